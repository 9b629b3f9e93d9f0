use bench_support::Args;

pub fn run(args: &Args) {
    crate::sleepers::run_async(args);
}
