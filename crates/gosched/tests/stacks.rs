//! Stacks: their overflow, their exhaustion, what they cost and what they give back.
//!
//! What is counted per process, and what kills it, happens in a child process that runs one test.
#![allow(non_snake_case)]

mod common;

use common::{
    Child, PATIENCE, bounded, cheap_modes, everywhere, in_each, is_child, limit_address_space, panic_text,
    proc_status, stderr,
};
use gosched::goroutine::Builder;
use gosched::{Runtime, chan, go, go_async, num_goroutine, time, wait, yield_now};
use std::hint::black_box;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A child process on stacks of our own, also where this run's goroutines are threads: that is what it is about.
fn on_our_stacks(test: &'static str) -> Child {
    Child::new(test).env("GOSCHED_OS_THREADS", "0")
}

/// Calls itself `depth` times, using at least 1 KiB each time, and then `f`.
#[inline(never)]
fn deep<T>(depth: usize, f: &mut dyn FnMut() -> T) -> T {
    let mut block = [depth as u8; 1024];
    let result = if depth == 0 { f() } else { deep(depth - 1, f) };
    black_box(&mut block);
    result
}

fn overflow() {
    deep(usize::MAX, &mut || ());
}

/// Which overflow, the name in its report, and how it is brought about.
type Overflow = (&'static str, &'static str, fn());

/// Said before the goroutine is made, which may end the process on another worker before anything else is said.
fn tell_created_at(line: u32) {
    println!("line {line}.");
}

fn overflows() -> [Overflow; 5] {
    [
        ("plain", "", || {
            tell_created_at(line!() + 1);
            drop(go(overflow));
        }),
        ("named", " \"deep\"", || {
            tell_created_at(line!() + 1);
            drop(Builder::new().name("deep").stack_size(64 << 10).spawn(overflow).unwrap());
        }),
        ("main", " \"main\"", || {
            black_box(0);
            overflow();
        }),
        ("nested", "", || {
            tell_created_at(line!() + 1);
            drop(go_async(async { wait(async { overflow() }) }));
        }),
        ("resumed", "", || {
            tell_created_at(line!() + 1);
            drop(go_async(async { overflow_after_a_sleep().await }));
        }),
    ]
}

async fn overflow_after_a_sleep() {
    time::sleep_async(Duration::from_millis(1)).await;
    // A blocking call in the poll: it goes on on this stack.
    time::sleep(Duration::from_millis(1));
    overflow();
}

#[test]
fn an_overflow_is_reported_with_goroutine_origin_and_size_and_aborts() {
    const TEST: &str = "an_overflow_is_reported_with_goroutine_origin_and_size_and_aborts";
    if is_child() {
        let which = std::env::var("WHICH").unwrap();
        let (_, _, start) = overflows().into_iter().find(|(name, ..)| *name == which).unwrap();
        // SAFETY: no requirement; a core file of each child would only fill the disk.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        gosched::run(|| {
            start();
            time::sleep(PATIENCE);
        });
        return;
    }
    for (which, name, _) in overflows() {
        let output = on_our_stacks(TEST).env("WHICH", which).output();
        let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{which}: {}\n{err}", output.status);
        let size = match which {
            "main" => "8 MiB",
            "named" => "64 KiB",
            _ => "256 KiB",
        };
        let report = err.find("gosched: goroutine ").unwrap_or_else(|| panic!("{which}: no report in {err}"));
        let (first, rest) = err[report..].split_once('\n').unwrap();
        let id = first["gosched: goroutine ".len()..].split(' ').next().unwrap();
        assert!(id.parse::<u64>().is_ok_and(|id| id > 0), "{which}: {err}");
        assert!(first.ends_with(&format!("{id}{name} overflowed its stack of {size}")), "{which}: {err}");
        let line = out.split_once("line ").map_or("", |(_, rest)| rest.split('.').next().unwrap());
        assert!(rest.starts_with(&format!("created at {}:{line}", file!())), "{which}, line {line}: {err}");
        assert!(which == "main" || !line.is_empty(), "{which}: {out}");
        assert!(rest.contains("help: give it a larger one"), "{which}: {err}");
    }
}

#[test]
fn a_panic_with_a_full_backtrace_fits_the_default_stack() {
    if is_child() {
        gosched::run(|| {
            assert!(go(|| panic!("shallow")).join().is_err());
            // A deep chain, with as little stack left as a program may sensibly count on.
            assert!(go(|| deep(100, &mut || panic!("deep"))).join().is_err());
            assert!(go_async(async { deep(100, &mut || panic!("polled")) }).join().is_err());
            fn chain(n: usize) {
                if n == 0 {
                    panic!("long");
                }
                chain(n - 1);
                black_box(n);
            }
            assert!(go(|| chain(500)).join().is_err());
        });
        return;
    }
    let child = on_our_stacks("a_panic_with_a_full_backtrace_fits_the_default_stack");
    let err = stderr(&child.env("RUST_BACKTRACE", "full").passes());
    for text in ["shallow", "deep", "polled", "long"] {
        assert!(err.contains(&format!("\n{text}\nstack backtrace:")), "{err}");
    }
}

#[test]
fn big_stacks_are_as_big_as_asked_for() {
    everywhere(|| {
        for (size, depth) in [(1 << 20, 700), (16 << 20, 12_000)] {
            let handle =
                Builder::new().stack_size(size).spawn(move || deep(depth, &mut || (yield_now(), 5).1));
            assert_eq!(handle.unwrap().join().unwrap(), 5);
        }
    });
}

#[test]
fn what_deep_calls_have_touched_is_given_back() {
    if !is_child() {
        return drop(on_our_stacks("what_deep_calls_have_touched_is_given_back").passes());
    }
    for mode in cheap_modes() {
        let name = mode.name;
        let runtime = mode.runtime;
        let before = proc_status("VmRSS:");
        let most = runtime.run(|| {
            let (tx, rx) = chan::bounded::<()>(0);
            let waiting = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..100)
                .map(|_| {
                    let (rx, waiting) = (rx.clone(), waiting.clone());
                    go(move || {
                        deep(150, &mut || {
                            waiting.fetch_add(1, Ordering::SeqCst);
                            rx.recv().is_err()
                        })
                    })
                })
                .collect();
            common::eventually("all are deep down", || waiting.load(Ordering::SeqCst) == 100);
            let most = proc_status("VmRSS:");
            drop(tx);
            handles.into_iter().for_each(|handle| assert!(handle.join().unwrap()));
            most
        });
        // At least 150 KiB each.
        assert!(most > before + 14_000, "{name}: {before} KiB before, {most} KiB at most");
        let mut after = 0;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            // The workers sleep by and by.
            thread::sleep(Duration::from_millis(20));
            after = proc_status("VmRSS:");
            if after < before + 2500 {
                break;
            }
        }
        assert!(after < before + 2500, "{name}: {before} KiB before, {most} KiB at most, {after} KiB after");
    }
}

/// Starts goroutines that wait, until that fails; returns them and the error.
fn until_it_fails(
    rx: &chan::Receiver<()>,
    most: usize,
) -> (Vec<gosched::JoinHandle<()>>, Option<std::io::Error>) {
    let mut handles = Vec::with_capacity(most);
    let started = Arc::new(AtomicUsize::new(0));
    while handles.len() < most {
        let (rx, starts) = (rx.clone(), started.clone());
        let body = move || {
            starts.fetch_add(1, Ordering::SeqCst);
            let _ = rx.recv();
        };
        match Builder::new().spawn(body) {
            Ok(handle) => handles.push(handle),
            Err(error) => return (handles, Some(error)),
        }
        // They have a stack from when they start; where stacks are short, some do not.
        let turns = if handles.len() % 64 == 0 { 200 } else { 0 };
        (0..turns).take_while(|_| started.load(Ordering::SeqCst) < handles.len()).for_each(|_| yield_now());
    }
    common::eventually("all have started", || started.load(Ordering::SeqCst) == handles.len());
    (handles, None)
}

#[test]
fn running_out_of_stacks_is_an_error_that_passes() {
    if !is_child() {
        let err = stderr(&on_our_stacks("running_out_of_stacks_is_an_error_that_passes").passes());
        // Told once per shortage, not per goroutine.
        assert!(err.matches("gosched: no stack for goroutine").count() <= 6, "{err}");
        return;
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| go(|| 1).join().unwrap());
    let limit = (proc_status("VmSize:") as u64 + 512 * 1024) * 1024;
    limit_address_space(limit);
    runtime.run(|| {
        for _ in 0..3 {
            let (tx, rx) = chan::bounded::<()>(0);
            let (handles, error) = until_it_fails(&rx, 20_000);
            let error = error.expect("512 MiB are not enough for 20,000 stacks");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("goroutine stack"), "{error}");
            let said = panic_text(|| go(|| ()));
            assert!(said.contains("cannot start a goroutine: cannot"), "{said}");
            assert!(handles.len() > 500, "{}", handles.len());
            // What has a stack goes on, and what waits for one gets it as others end.
            drop(tx);
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            common::eventually("only main is left", || num_goroutine() == 1);
            assert_eq!(go(|| 1).join().unwrap(), 1);
        }
    });
}

#[test]
fn a_worker_whose_thread_cannot_be_had_gives_its_stack_back() {
    const TEST: &str = "a_worker_whose_thread_cannot_be_had_gives_its_stack_back";
    if !is_child() {
        // No thread of std's can be had with a stack as large as that.
        on_our_stacks(TEST).env("RUST_MIN_STACK", &(1u64 << 47).to_string()).passes();
        return;
    }
    let fails = || assert!(Runtime::builder().workers(1).build().is_err());
    (0..10).for_each(|_| fails());
    let before = proc_status("VmSize:");
    (0..1000).for_each(|_| fails());
    let more = proc_status("VmSize:").saturating_sub(before);
    // In KiB: a stack with its guards has 324.
    assert!(more < 1000 * 324 / 4, "{more} KiB");
}

#[test]
fn a_stack_that_can_never_be_had_is_an_error_of_its_spawn() {
    if !is_child() {
        return drop(on_our_stacks("a_stack_that_can_never_be_had_is_an_error_of_its_spawn").passes());
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| go(|| 1).join().unwrap());
    let limit = (proc_status("VmSize:") as u64 + 200 * 1024) * 1024;
    limit_address_space(limit);
    bounded(move || {
        runtime.run(|| {
            for _ in 0..3 {
                let error = Builder::new().stack_size(1 << 30).spawn(|| 5).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutOfMemory);
                assert!(error.to_string().contains("reserve address space"), "{error}");
            }
            // Stackless ones do not ask for it.
            let stackless = Builder::new().stack_size(1 << 30).spawn_async(async { 5 });
            assert_eq!(stackless.unwrap().join().unwrap(), 5);
            // One that fits is not in its way.
            assert_eq!(Builder::new().stack_size(4 << 20).spawn(|| 5).unwrap().join().unwrap(), 5);
            assert_eq!(go(|| 6).join().unwrap(), 6);
        });
    });
}

#[test]
fn stacks_of_own_size_that_never_start_are_given_back() {
    everywhere(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let handle = runtime.handle();
        let (stop, stopped) = chan::bounded::<()>(0);
        let hog = handle.go(move || gosched::no_suspend(|| stopped.recv()));
        let (made, unmade) = (Arc::new(()), Arc::new(()));
        let _entered = ();
        let spawned: Vec<_> = gosched::blocking(|| {
            let _entered = handle.enter();
            (0..20)
                .map(|_| {
                    let held = (made.clone(), unmade.clone());
                    Builder::new().stack_size(1 << 20).spawn(move || drop(held)).unwrap()
                })
                .collect()
        });
        gosched::blocking(|| drop(runtime));
        drop(stop);
        let _ = hog.join();
        for handle in spawned {
            assert!(handle.join().unwrap_err().is::<gosched::goroutine::ShutDown>());
        }
        common::eventually("what they held is dropped", || Arc::strong_count(&made) == 1);
    });
}

#[test]
fn guards_by_mprotect_work_and_run_out_with_an_error() {
    if !is_child() {
        let child = on_our_stacks("guards_by_mprotect_work_and_run_out_with_an_error");
        return drop(child.env("GOSCHED_STACK_GUARD", "mprotect").passes());
    }
    let mappings: usize =
        std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    gosched::run(|| {
        let (tx, rx) = chan::bounded::<()>(0);
        let (mut handles, error) = until_it_fails(&rx, 20_000);
        assert!(error.is_none(), "{error:?}");
        if mappings <= 200_000 {
            let (more, error) = until_it_fails(&rx, mappings);
            let error = error.expect("each takes two mappings");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("vm.max_map_count"), "{error}");
            assert!(panic_text(|| go(|| ())).contains("vm.max_map_count"));
            handles.extend(more);
        }
        drop(tx);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        common::eventually("only main is left", || num_goroutine() == 1);
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}

/// Blocks `count` goroutines on one channel and wakes them; returns kilobytes of memory per goroutine.
fn block_and_wake(count: usize) -> f64 {
    let before = proc_status("VmRSS:");
    let start = Instant::now();
    let (tx, rx) = chan::bounded::<()>(0);
    let waiting = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..count)
        .map(|i| {
            let (rx, waiting) = (rx.clone(), waiting.clone());
            if i % 1024 == 0 {
                yield_now();
            }
            go(move || {
                waiting.fetch_add(1, Ordering::Relaxed);
                rx.recv().is_err()
            })
        })
        .collect();
    common::eventually("all have started", || waiting.load(Ordering::Relaxed) == count);
    time::sleep(Duration::from_millis(50));
    let blocked = start.elapsed();
    let rss = proc_status("VmRSS:") - before;
    let tables = proc_status("VmPTE:");
    let start = Instant::now();
    drop(tx);
    handles.into_iter().for_each(|handle| assert!(handle.join().unwrap()));
    let kb = rss as f64 * 1.024 / count as f64;
    println!(
        "{count} goroutines: blocked after {blocked:?}, woken and joined in {:?}; {kb:.2} kB of memory each, page \
         tables {} MiB",
        start.elapsed(),
        tables / 1024,
    );
    kb
}

/// A hundred thousand where guards take no memory mappings (Linux 6.13 and later), else what the mappings allow.
fn how_many() -> usize {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let forced = std::env::var("GOSCHED_STACK_GUARD").is_ok_and(|guard| guard == "mprotect");
    if version >= (6, 13) && !forced { 100_000 } else { 20_000 }
}

#[test]
fn G47_a_hundred_thousand_goroutines_block_at_once() {
    if !is_child() {
        return drop(on_our_stacks("G47_a_hundred_thousand_goroutines_block_at_once").passes());
    }
    // One worker shows nothing that two do not.
    in_each(cheap_modes().split_off(1), || {
        let kb = block_and_wake(how_many());
        // A page, the header, the wait node's share and two words of the handle.
        assert!(kb < 5.0 || cfg!(debug_assertions) && kb < 9.0, "{kb} kB each");
    });
}

#[test]
#[ignore = "takes 5 GB of memory"]
fn G47_a_million_goroutines_block_at_once() {
    gosched::run(|| {
        block_and_wake(1_000_000);
    });
}
