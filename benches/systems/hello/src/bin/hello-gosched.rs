//! A goroutine says hello.

fn main() {
    gosched::Runtime::new().expect("a runtime").run(|| {
        gosched::go(|| println!("hello")).join().expect("it said hello");
    });
}
