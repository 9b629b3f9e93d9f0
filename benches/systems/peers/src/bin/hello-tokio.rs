//! Says hello and ends: what the rows `size` and `hello` measure.

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::spawn(async { println!("hello") }).await.expect("no panic") });
}
