//! The same rows with mimalloc: `peers-mimalloc SYSTEM ROW [--workers N] [--mode M] [N]`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    bench_peers::main();
}
