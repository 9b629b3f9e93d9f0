//! Floating point, allocation, spawning and channels, while some goroutines keep their workers: what the storm beside
//! hogs and those with other allocators share.
//!
//! It lasts a second in each mode, or as many seconds in all as `GOSCHED_STORM_SECS` says.

use gosched::runtime::Builder;
use gosched::{JoinHandle, Runtime, chan, go, go_async, select, yield_now};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// How many goroutines of each kind there are.
const EACH: u64 = 4;

fn duration() -> Duration {
    let seconds = std::env::var("GOSCHED_STORM_SECS").ok().and_then(|text| text.parse::<f64>().ok());
    seconds.map_or(Duration::from_secs(1), |seconds| Duration::from_secs_f64(seconds / 2.0))
}

/// What tells the goroutines of a storm to go on, and counts what they have done.
#[derive(Default)]
struct Storm {
    over: AtomicBool,
    done: [AtomicU64; 3],
    stalls: AtomicU64,
}

impl Storm {
    fn is_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn count(&self, kind: usize) {
        self.done[kind].fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the storm, pinned and migrating.
pub(crate) fn storm() {
    let pinned = || Runtime::builder().workers(2);
    // SAFETY: the goroutines of the storm hold nothing that is bound to a thread.
    let migrating = unsafe { pinned().migrate() };
    for (name, builder) in [("pinned", pinned()), ("migrating", migrating)] {
        let storm = Arc::new(Storm::default());
        run(builder, &storm);
        let done: Vec<u64> = storm.done.iter().map(|done| done.load(Ordering::Relaxed)).collect();
        assert!(done.iter().all(|done| *done > 0), "{name}: some have done nothing: {done:?}");
        // The first report reads the program's names, and comes late.
        let deadline = Instant::now() + Duration::from_secs(20);
        while name == "pinned" && storm.stalls.load(Ordering::Relaxed) == 0 {
            assert!(Instant::now() < deadline, "nobody was interrupted");
            thread::sleep(MS);
        }
        println!("{name}: {done:?} done, {} stalls told of", storm.stalls.load(Ordering::Relaxed));
    }
}

fn run(builder: Builder, storm: &Arc<Storm>) {
    // Those that stall are interrupted, wherever they are.
    let told = storm.clone();
    let count = move |_: &_| {
        told.stalls.fetch_add(1, Ordering::Relaxed);
    };
    let runtime = builder.stall_report(Some(5 * MS)).on_stall(count).build().unwrap();
    let handle = runtime.handle();
    let start = |work: fn(&Storm, u64), seed: u64| {
        let storm = storm.clone();
        handle.go(move || work(&storm, seed))
    };
    // Two that never come back, and then all that work.
    let mut handles: Vec<JoinHandle<()>> = (0..2).map(|seed| start(hog, seed)).collect();
    for seed in 0..EACH {
        handles.extend([numbers, memory, goroutines].map(|work| start(work, seed)));
    }
    let (stop, rest) = (storm.clone(), duration());
    let clock = thread::spawn(move || {
        thread::sleep(rest);
        stop.over.store(true, Ordering::Relaxed);
    });
    // Others come and go, and block the system's way too.
    let mut passing = Vec::new();
    while storm.is_on() {
        passing.push(handle.go(|| check_numbers(7, 2_000, || ())));
        passing.push(handle.go(|| thread::sleep(15 * MS)));
        thread::sleep(10 * MS);
    }
    clock.join().unwrap();
    handles.into_iter().chain(passing).for_each(|handle| handle.join().unwrap());
}

fn hog(storm: &Storm, seed: u64) {
    while storm.is_on() {
        check_numbers(seed, 100, || ());
    }
}

// ---- floating point -----------------------------------------------------------------------------

fn numbers(storm: &Storm, seed: u64) {
    let mut round = seed;
    while storm.is_on() {
        check_numbers(round, 200, yield_now);
        storm.count(0);
        // Now and then it lets those wait who are pinned behind it, and is interrupted.
        let begin = Instant::now();
        while round.is_multiple_of(10) && begin.elapsed() < 40 * MS {
            check_numbers(round, 200, || ());
        }
        round += EACH;
    }
}

/// Sums that are exact, so that there is one right result: with registers full of them at each `pause`.
fn check_numbers(seed: u64, rounds: u64, pause: fn()) {
    let factors: [f64; 16] = std::array::from_fn(|i| (seed % 1000 + i as u64) as f64);
    let sums = add_up(&factors, rounds, pause);
    for (factor, sum) in factors.iter().zip(sums) {
        let expected = factor * (rounds * (rounds - 1) / 2) as f64;
        assert_eq!(sum.to_bits(), expected.to_bits(), "{sum} instead of {expected}");
    }
}

fn add_up(factors: &[f64; 16], rounds: u64, pause: fn()) -> [f64; 16] {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor can do it.
        return unsafe { add_up_wide(factors, rounds, pause) };
    }
    add_up_plain(factors, rounds, pause)
}

#[inline(always)]
fn add_up_plain(factors: &[f64; 16], rounds: u64, pause: fn()) -> [f64; 16] {
    let mut sums = [0.0; 16];
    for round in 0..rounds {
        for (sum, factor) in sums.iter_mut().zip(factors) {
            *sum += black_box(factor) * round as f64;
        }
        if round % 20 == 19 {
            pause();
        }
    }
    sums
}

/// In registers of 256 bits, of which four are full all the time.
///
/// # Safety
///
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn add_up_wide(factors: &[f64; 16], rounds: u64, pause: fn()) -> [f64; 16] {
    use std::arch::x86_64::*;
    let mut result = [0.0; 16];
    // SAFETY: four times four numbers are read and written, in arrays of sixteen.
    unsafe {
        let wide: [__m256d; 4] = std::array::from_fn(|i| _mm256_loadu_pd(factors.as_ptr().add(4 * i)));
        let mut sums = [_mm256_setzero_pd(); 4];
        for round in 0..rounds {
            let times = _mm256_set1_pd(round as f64);
            for (sum, factor) in sums.iter_mut().zip(&wide) {
                *sum = _mm256_add_pd(*sum, _mm256_mul_pd(*factor, times));
            }
            if round % 20 == 19 {
                pause();
            }
        }
        sums.iter().enumerate().for_each(|(i, sum)| _mm256_storeu_pd(result.as_mut_ptr().add(4 * i), *sum));
    }
    result
}

// ---- allocation -----------------------------------------------------------------------------------

/// Memory that is filled here, checked and freed by another goroutine, often on another thread.
fn memory(storm: &Storm, seed: u64) {
    let (tx, rx) = chan::bounded::<(u8, Vec<u8>)>(8);
    let checker = go(move || {
        let mut kept: Vec<(u8, Vec<u8>)> = Vec::new();
        for (fill, bytes) in &rx {
            kept.push((fill, bytes));
            // Freed in another order, some after having moved.
            if kept.len() > 20 {
                let (fill, mut bytes) = kept.swap_remove(usize::from(fill) % kept.len());
                bytes.reserve(bytes.len());
                assert!(bytes.iter().all(|byte| *byte == fill), "memory was overwritten");
            }
        }
        assert!(
            kept.iter().all(|(fill, bytes)| bytes.iter().all(|byte| byte == fill)),
            "memory was overwritten"
        );
    });
    let mut random = seed * 2 + 1;
    while storm.is_on() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Mostly small, now and then a mapping of its own.
        let size = 1 << (random % 12 + 4 * u64::from(random.is_multiple_of(50)));
        let fill = (random >> 32) as u8;
        tx.send((fill, vec![fill; size + (random >> 40) as usize % 64])).unwrap();
        storm.count(1);
    }
    drop(tx);
    checker.join().unwrap();
}

// ---- spawning and channels ----------------------------------------------------------------------------

fn goroutines(storm: &Storm, seed: u64) {
    let mut round = seed;
    while storm.is_on() {
        let leaves = 1 << (round % 6);
        assert_eq!(tree(leaves), leaves * (leaves + 1) / 2);
        storm.count(2);
        round += 1;
    }
}

/// The sum of the numbers up to `leaves`, each from a goroutine of its own, through channels and selects.
fn tree(leaves: u64) -> u64 {
    let (tx, rx) = chan::bounded(2);
    let (late, lates) = chan::unbounded();
    for number in 1..=leaves {
        let (tx, late) = (tx.clone(), late.clone());
        if number % 2 == 0 {
            drop(go(move || tx.send(number).unwrap()));
        } else {
            drop(go_async(async move { late.send_async(number).await.unwrap() }));
        }
    }
    (0..leaves)
        .map(|_| {
            select! {
                recv(rx) -> number => number.unwrap(),
                recv(lates) -> number => number.unwrap(),
            }
        })
        .sum()
}
