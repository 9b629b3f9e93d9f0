use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::select0::select_two("select128", 128, args.count(2_000_000));
}
