//! A task says hello.

fn main() {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        tokio::spawn(async { println!("hello") }).await.expect("it said hello");
    });
}
