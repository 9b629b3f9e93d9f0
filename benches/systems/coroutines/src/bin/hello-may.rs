//! Says hello and ends: what the rows `size` and `hello` measure.

fn main() {
    may::go!(|| println!("hello")).join().expect("no panic");
}
