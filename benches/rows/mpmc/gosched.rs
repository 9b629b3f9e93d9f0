use bench_support::Args;

pub fn run(args: &Args) {
    crate::spsc::through("mpmc", 4, 4, 128, args.count(10_000_000));
}
