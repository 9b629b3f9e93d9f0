use bench_support::Args;

pub fn run(args: &Args) {
    crate::select8_0::eight("select8_128", 128, args.count(4_000_000));
}
