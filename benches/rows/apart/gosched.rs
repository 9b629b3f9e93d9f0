use bench_support::Args;

pub fn run(args: &Args) {
    crate::pingpong::pingpong("apart", 1, args.count(200_000), true);
}
