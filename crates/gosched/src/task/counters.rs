//! What a scheduler has counted.

/// Of a histogram of times: number `i` counts those from 2^i nanoseconds up to twice that; the last one also all above,
/// from 18 minutes on.
pub(crate) const BUCKETS: usize = 41;

/// A snapshot; the numbers may be a moment apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// Goroutines made and ended.
    pub(crate) created: u64,
    pub(crate) finished: u64,
    /// Threads that run goroutines, and how many of them are stuck.
    pub(crate) workers: usize,
    pub(crate) stuck: usize,
    /// How often a worker took from another.
    pub(crate) steals: u64,
    /// How often somebody stood in for one that was stuck.
    pub(crate) stand_ins: u64,
    /// How long goroutines that could run waited until they did, of those that were timed.
    pub(crate) latencies: [u64; BUCKETS],
}

impl Counters {
    pub(crate) const NONE: Self = Self {
        created: 0,
        finished: 0,
        workers: 0,
        stuck: 0,
        steals: 0,
        stand_ins: 0,
        latencies: [0; BUCKETS],
    };

    pub(crate) fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.finished += other.finished;
        self.workers += other.workers;
        self.stuck += other.stuck;
        self.steals += other.steals;
        self.stand_ins += other.stand_ins;
        self.latencies.iter_mut().zip(&other.latencies).for_each(|(sum, more)| *sum += more);
    }
}
