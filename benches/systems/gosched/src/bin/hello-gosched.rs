//! Says hello and ends: what the rows `size` and `hello` measure.

fn main() {
    gosched::run(|| gosched::go(|| println!("hello")).join().expect("no panic"));
}
