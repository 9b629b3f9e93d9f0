//! A task says hello.

fn main() {
    smol::block_on(smol::spawn(async { println!("hello") }));
}
