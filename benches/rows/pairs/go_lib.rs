use bench_support::Args;

pub fn run(args: &Args) {
    super::pingpong::pingpong("pairs", 1000, args.count(1000));
}
