//! A thread says hello.

fn main() {
    std::thread::spawn(|| println!("hello")).join().expect("it said hello");
}
