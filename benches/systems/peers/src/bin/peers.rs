//! The rows on other Rust libraries, with the system's allocator: `peers SYSTEM ROW [--workers N] [--mode M] [N]`.

fn main() {
    bench_peers::main();
}
