//! Says hello and ends: what the rows `size` and `hello` measure.

fn main() {
    smol::block_on(async { smol::spawn(async { println!("hello") }).await });
}
