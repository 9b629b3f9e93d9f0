use bench_support::{Args, hello};

pub fn run(args: &Args) {
    hello::measure(args, "hello-tokio");
}
