use bench_support::Args;

pub fn run(args: &Args) {
    crate::select0::select_two("select128", 128, args.count(5_000_000));
}
