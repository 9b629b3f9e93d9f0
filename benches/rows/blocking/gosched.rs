use bench_support::Args;

pub fn run(args: &Args) {
    crate::interference::ticks_beside(args, |duration| gosched::blocking(|| std::thread::sleep(duration)));
}
