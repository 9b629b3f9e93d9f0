//! Says hello and ends: what the rows `size` and `hello` measure.

fn main() {
    std::thread::spawn(|| println!("hello")).join().expect("no panic");
}
