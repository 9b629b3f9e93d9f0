use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::interference::ticks_beside(args, |duration| async move {
        tokio::task::spawn_blocking(move || std::thread::sleep(duration)).await.unwrap();
    });
}
