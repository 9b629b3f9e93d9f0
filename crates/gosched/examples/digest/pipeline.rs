//! The stages: one goroutine walks the tree, several digest, and whoever reads the results gets
//! them in the order of the paths.
//!
//! ```text
//!            permits                    jobs                results
//!   merger ----------> walker ----------------> digesters ----------> merger
//! ```
//!
//! A file enters with a permit and leaves, in its turn, when the merger gives the permit back. So
//! there are never more than `WINDOW` files under way, however large the tree is and however long
//! the file takes that all others wait for; and no other send ever waits, since the channels hold as
//! many.
//!
//! Nobody needs to be told to stop: when the merger leaves, its ends of the channels go with it, the
//! others' sends fail, and each stage ends. Only a digester in the middle of a large file has to
//! look.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use gosched::chan::{Receiver, Sender, bounded};
use gosched::{JoinHandle, go, yield_now};

use super::hash::{Algorithm, Digest, Digester};
use super::walk::{Found, Walk};

/// How many files are under way at most: enough to keep everyone busy behind one large file.
const WINDOW: usize = 4096;

/// What a digester may do before it lets others run, in bytes: about a millisecond.
const TURN: usize = 1 << 20;
/// What opening a file counts for in a turn.
const OPENING: usize = 16 << 10;

/// A file to digest: its place in the order and its path.
struct Job {
    index: u64,
    path: PathBuf,
}

/// What became of a file.
pub(crate) struct Outcome {
    index: u64,
    path: PathBuf,
    digest: io::Result<Digest>,
}

/// What the stages tell a spectator, and what they are told.
#[derive(Default)]
pub(crate) struct Status {
    /// Bytes read so far.
    pub(crate) read: AtomicU64,
    /// Nobody wants the results any more.
    pub(crate) stopped: AtomicBool,
}

/// The merger's end of a running pipeline.
pub(crate) struct Pipeline {
    /// Results as they come, in any order; closed when all have come. Hand each to `merge`.
    pub(crate) results: Receiver<Outcome>,
    pub(crate) status: Arc<Status>,
    permits: Receiver<()>,
    /// What came before its turn: the place at the front belongs to the file number `next`.
    early: VecDeque<Option<Outcome>>,
    next: u64,
    walker: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts the stages, with `workers` digesters at most.
    pub(crate) fn start(walk: Walk, workers: usize, algorithm: Algorithm) -> Pipeline {
        let (permits_in, permits) = bounded(WINDOW);
        let (results_in, results) = bounded(WINDOW);
        let status = Arc::new(Status::default());
        let stage = DigestStage { algorithm, results: results_in, status: status.clone() };
        let walker = go(move || walk_stage(walk, workers, &permits_in, &stage));
        Pipeline { results, status, permits, early: VecDeque::new(), next: 0, walker }
    }

    /// Takes a result, and hands on what it makes complete: paths and digests in the order of the
    /// paths.
    pub(crate) fn merge(
        &mut self,
        outcome: Outcome,
        mut each: impl FnMut(PathBuf, io::Result<Digest>) -> io::Result<()>,
    ) -> io::Result<()> {
        let place = usize::try_from(outcome.index - self.next).expect("it is inside the window");
        if self.early.len() <= place {
            self.early.resize_with(place + 1, || None);
        }
        self.early[place] = Some(outcome);
        while let Some(outcome) = self.early.front_mut().and_then(Option::take) {
            self.early.pop_front();
            self.next += 1;
            // One is there: each file came in with one.
            let _ = self.permits.try_recv();
            each(outcome.path, outcome.digest)?;
        }
        Ok(())
    }

    /// Stops what still runs, waits for the end of every stage, and passes on a stage's panic.
    pub(crate) fn finish(self) {
        self.status.stopped.store(true, Relaxed);
        drop((self.results, self.permits));
        let digesters = self.walker.join().unwrap_or_else(|panic| resume_unwind(panic));
        for digester in digesters {
            digester.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    }
}

/// The walker. It starts digesters while there is more to do than they get done, so that each
/// begins with a file at hand, on a worker that is free for it.
fn walk_stage(walk: Walk, workers: usize, permits: &Sender<()>, stage: &DigestStage) -> Vec<JoinHandle<()>> {
    let (jobs_in, jobs) = bounded(WINDOW);
    let mut digesters = Vec::with_capacity(workers);
    for (index, found) in (0..).zip(walk) {
        if permits.send(()).is_err() {
            break;
        }
        let sent = match found {
            Found::File(path) => jobs_in.send(Job { index, path }).is_ok(),
            // Nothing to digest, but it has its turn like the others.
            Found::Failed(path, error) => {
                stage.results.send(Outcome { index, path, digest: Err(error) }).is_ok()
            }
        };
        if !sent {
            break;
        }
        if digesters.len() < workers && !jobs.is_empty() {
            let (stage, jobs) = (stage.clone(), jobs.clone());
            digesters.push(go(move || stage.run(&jobs)));
        }
    }
    digesters
}

/// What each digester has.
#[derive(Clone)]
struct DigestStage {
    algorithm: Algorithm,
    results: Sender<Outcome>,
    status: Arc<Status>,
}

impl DigestStage {
    /// Digests files until there are no more or nobody wants the results.
    ///
    /// Files are read right here, not through `gosched::blocking`: most of the time they are in
    /// the page cache, where reading is copying, and a hop to another thread and back would cost more
    /// than opening, reading and hashing a small file. A read that does wait for a disk blocks
    /// this worker for less than it takes the runtime to notice, and if it takes longer than that,
    /// the runtime puts another worker in its place.
    fn run(self, jobs: &Receiver<Job>) {
        let mut digester = Digester::new(self.algorithm);
        let mut turn = 0;
        for Job { index, path } in jobs {
            let digest = digester.digest(&path, |count| {
                self.status.read.fetch_add(count as u64, Relaxed);
                take_turns(&mut turn, count);
                !self.status.stopped.load(Relaxed)
            });
            let digest = match digest.transpose() {
                Some(digest) => digest,
                None => return,
            };
            if self.results.send(Outcome { index, path, digest }).is_err() {
                return;
            }
            take_turns(&mut turn, OPENING);
        }
    }
}

/// Lets the other goroutines of this worker run when the turn is over: the walker and the merger
/// may be among them.
fn take_turns(turn: &mut usize, done: usize) {
    *turn += done;
    if *turn >= TURN {
        *turn = 0;
        yield_now();
    }
}
