use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::select8_0::select_eight("select8_128", 128, args.count(2_000_000));
}
