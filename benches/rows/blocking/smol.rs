use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::smol::interference::ticks_beside(args, |duration| {
        smol::unblock(move || std::thread::sleep(duration))
    });
}
