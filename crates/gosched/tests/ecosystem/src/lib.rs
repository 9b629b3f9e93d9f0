//! Crates that are made for tokio, called from goroutines: `tests` and `examples` of this package.
