//! Backtraces in dumps: rows U05 and U09 of the features.
#![allow(non_snake_case)]

mod common;

use common::{
    Child, HOUR, bounded, eventually, everywhere, goroutines_are_threads, is_child, masked, one_worker,
    settle, stacks_are_seen,
};
use gosched::chan::{self, Receiver, bounded as channel};
use gosched::debug::{self, GoroutineInfo, GoroutineState};
use gosched::goroutine::Builder;
use gosched::{Runtime, current, go, go_async, num_goroutine, time};
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// What is known of a goroutine that has not ended.
fn info(id: u64) -> GoroutineInfo {
    debug::goroutines().into_iter().find(|info| info.id == id).expect("it has not ended")
}

/// The same, once it waits.
#[track_caller]
fn parked(id: u64) -> GoroutineInfo {
    eventually("it waits", || matches!(info(id).state, GoroutineState::Waiting(_)));
    info(id)
}

/// The functions' own names, as they are shown.
fn names(info: &GoroutineInfo) -> Vec<String> {
    let backtrace = info.stack.as_ref().expect("its stack is seen").backtrace();
    let last = |function: &str| function.rsplit("::").next().unwrap().to_owned();
    backtrace.frames().map(|frame| last(frame.function.as_deref().expect("it has a name"))).collect()
}

const RECEIVE_LINE: u32 = line!() + 4;

#[inline(never)]
fn receives(rx: &Receiver<u8>) -> bool {
    black_box(rx.recv().is_ok())
}

// The two differ, and their last act is not a call: else an optimised program would make one of them, or leave them out.
#[inline(never)]
fn one_way(rx: &Receiver<u8>) -> bool {
    let received = receives(rx);
    black_box((received, 1)).0
}

#[inline(never)]
fn another_way(rx: &Receiver<u8>) -> bool {
    let received = receives(rx);
    black_box((received, 2)).0
}

#[inline(never)]
fn recurses(depth: usize, rx: &Receiver<u8>) -> bool {
    black_box(if depth == 0 { receives(rx) } else { recurses(depth - 1, rx) })
}

#[test]
fn U05_a_goroutine_shows_the_programs_calls_as_data() {
    if !stacks_are_seen() {
        return;
    }
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        let child = go(move || one_way(&rx));
        let seen = parked(child.id());
        assert_eq!(names(&seen)[..2], ["receives", "one_way"], "{seen}");
        let stack = seen.stack.unwrap();
        let backtrace = stack.backtrace();
        let first = backtrace.frames().next().unwrap();
        assert!(first.file.as_deref().is_some_and(|file| file.ends_with(file!())), "{first:?}");
        assert_eq!(first.line, Some(RECEIVE_LINE));
        assert!(stack.addresses().contains(&first.address));
        // Into the function that the call is in.
        assert!(first.offset.is_some_and(|offset| (1..10_000).contains(&offset)), "{first:?}");
        // The library's own calls are there, and not shown.
        assert!(stack.addresses().len() > backtrace.frames().count() + 2, "{backtrace}");
        drop(tx);
        assert!(!child.join().unwrap());
    });
}

#[test]
fn U05_the_middle_of_a_deep_stack_is_left_out_and_counted() {
    if !stacks_are_seen() {
        return;
    }
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        let child = go(move || recurses(150, &rx));
        let seen = parked(child.id());
        let text = seen.to_string();
        let shown = text.lines().filter(|line| line.ends_with("(...)")).count();
        assert_eq!(shown, 100, "{text}");
        let elided =
            text.lines().find_map(|line| line.strip_prefix("...")?.strip_suffix(" frames elided..."));
        let elided: usize = elided.expect("how many are left out").parse().unwrap();
        // `receives`, 151 times `recurses`, the closure; and what was inlined into it.
        assert!((53..=54).contains(&elided), "{text}");
        let backtrace = seen.stack.unwrap().backtrace();
        assert_eq!((backtrace.elided(), backtrace.is_cut()), (elided, false));
        drop(tx);
        assert!(!child.join().unwrap());
    });
}

#[inline(never)]
fn lists_itself() -> GoroutineInfo {
    let mut all = debug::goroutines();
    all.retain(|info| info.id == current().id());
    black_box(all.remove(0))
}

#[test]
fn U09_the_caller_comes_first_with_its_own_calls() {
    #[inline(never)]
    fn dumps() -> String {
        black_box(debug::stacks())
    }
    if !stacks_are_seen() {
        return;
    }
    one_worker(|| {
        go(|| time::sleep(HOUR));
        // From a goroutine that is not the one with the lowest id, ...
        let dump = go(dumps).join().unwrap();
        let first = masked(dump.split("\n\n").next().unwrap());
        let expected = "goroutine N [running]:\ndumps(...)\n\tdump_stacks.rs:N +N\n\
                        created by go in goroutine N\n\tdump_stacks.rs:N\n";
        assert_eq!(first, expected, "{dump}");
        // ... or from a future, while it is polled.
        let seen = go_async(async { lists_itself() }).join().unwrap();
        assert_eq!(names(&seen)[0], "lists_itself", "{seen}");
        assert!(seen.to_string().contains("created by go_async in goroutine "), "{seen}");
    });
}

#[test]
fn U09_each_kind_of_caller_sees_itself_and_nothing_of_its_thread() {
    if cfg!(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))) {
        return;
    }
    // In thread-backed mode, too: of a goroutine that runs there is always a stack.
    everywhere(|| {
        let seen = go(lists_itself).join().unwrap();
        let names = names(&seen);
        assert_eq!(names[0], "lists_itself", "{seen}");
        assert!(names.len() <= 2, "its function, and the closure around it: {seen}");
        // A thread has no goroutine of its own in the list.
        let running = thread::spawn(debug::goroutines).join().unwrap();
        let main = running.iter().find(|info| info.id == current().id()).unwrap();
        assert!(main.stack.is_none(), "{main}");
    });
}

#[test]
fn G35_a_dump_shows_those_whose_worker_is_stuck_and_says_what_it_cannot_see() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (tx, rx) = channel::<u8>(0);
        let parked = runtime.handle().go(move || one_way(&rx));
        let waits = |id: u64| matches!(info(id).state, GoroutineState::Waiting(_));
        eventually("it waits", || waits(parked.id()));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let hog = runtime.handle().go(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        eventually("it runs", || info(hog.id()).state == GoroutineState::Running);
        let dump = debug::stacks();
        let block = |id: u64| {
            let head = format!("goroutine {id} ");
            dump.split("\n\n").find(|block| block.starts_with(&head)).expect("it is in the dump").to_owned()
        };
        let running = block(hog.id());
        assert!(
            running
                .contains(" [running]:\n\tgoroutine running on other thread; stack unavailable\ncreated by"),
            "{running}"
        );
        if stacks_are_seen() {
            let waiting = masked(&block(parked.id()));
            let calls = "[chan receive]:\nreceives(...)\n\tdump_stacks.rs:N +N\none_way(...)\n";
            assert!(waiting.contains(calls), "{dump}");
        }
        stop.store(true, Ordering::Relaxed);
        drop(tx);
        hog.join().unwrap();
        assert!(!parked.join().unwrap());
    });
}

#[test]
fn U03_a_future_that_blocks_inside_a_poll_shows_its_calls() {
    if !stacks_are_seen() {
        return;
    }
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        let blocks = go_async(async move {
            one_way(&rx);
            poll_fn(|_| Poll::<()>::Pending).await;
        });
        let seen = parked(blocks.id());
        assert_eq!(names(&seen)[..2], ["receives", "one_way"], "{seen}");
        drop(tx);
        eventually("it is between two polls", || parked(blocks.id()).stack.is_none());
    });
}

#[test]
fn U09_goroutines_are_grouped_by_their_calls() {
    if !is_child() {
        // Alone in its process, so that no other test's goroutines are counted.
        return drop(Child::new("U09_goroutines_are_grouped_by_their_calls").passes());
    }
    const MANY: usize = 2_000;
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        // All begin in the same place, and wait in the same place; a fourth gets there another way.
        let start = |another: bool, rx: Receiver<u8>| {
            let body = move || if another { another_way(&rx) } else { one_way(&rx) };
            Builder::new().stack_size(16 << 10).spawn(body).unwrap()
        };
        let children: Vec<_> = (0..MANY).map(|i| start(i % 4 == 0, rx.clone())).collect();
        let waiting =
            || debug::groups().iter().filter(|group| group.longest.is_some()).map(|group| group.count).sum();
        eventually("all wait", || MANY == waiting());
        let groups = debug::groups();
        assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), num_goroutine());
        let text = debug::stacks();
        assert!(text.starts_with(&format!("goroutine profile: total {}\n", num_goroutine())), "{text}");
        if stacks_are_seen() {
            let counts: Vec<usize> = groups.iter().map(|group| group.count).collect();
            assert_eq!(counts, [MANY / 4 * 3, MANY / 4, 1], "{text}");
            let calls = |at: usize| groups[at].stack.as_ref().unwrap().to_string();
            assert!(calls(0).contains("one_way(...)") && calls(1).contains("another_way(...)"), "{text}");
            let expected = format!("{} @ [chan receive]\n#\t0x", MANY / 4 * 3);
            assert!(text.contains(&expected) && text.matches("receives+0x").count() == 2, "{text}");
        }
        drop(tx);
        children.into_iter().for_each(|child| assert!(!child.join().unwrap()));
    });
}

#[test]
fn U09_the_headers_of_a_dump_are_as_many_as_num_goroutine_says() {
    if !is_child() {
        return drop(Child::new("U09_the_headers_of_a_dump_are_as_many_as_num_goroutine_says").passes());
    }
    everywhere(|| {
        let (tx, rx) = channel::<u8>(0);
        let rx = Arc::new(rx);
        for i in 0..200 {
            let rx = rx.clone();
            if i % 2 == 0 {
                drop(go(move || one_way(&rx)));
            } else {
                drop(go_async(async move { rx.recv_async().await.is_ok() }));
            }
        }
        let headers = || {
            let text = debug::stacks();
            text.lines().filter(|line| line.starts_with("goroutine ") && line.ends_with("]:")).count()
        };
        assert_eq!((headers(), num_goroutine()), (201, 201));
        drop(tx);
        eventually("all have ended", || num_goroutine() == 1);
        assert_eq!(headers(), 1);
    });
}

#[test]
fn U09_two_dumps_at_once_do_not_see_each_other() {
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        let child = go(move || one_way(&rx));
        let before = parked(child.id());
        let stop = Arc::new(AtomicBool::new(false));
        let other = {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut looks = 0u32;
                while !stop.load(Ordering::Relaxed) || looks == 0 {
                    looks += 1;
                    drop(debug::goroutines());
                }
            })
        };
        for _ in 0..500 {
            // Parked all the time, also while the other one looks at it.
            let seen = info(child.id());
            assert_eq!((seen.state, seen.waits_at), (before.state, before.waits_at), "{seen}");
        }
        stop.store(true, Ordering::Relaxed);
        other.join().unwrap();
        drop(tx);
        assert!(!child.join().unwrap());
    });
}

#[test]
fn U09_dumps_of_goroutines_that_talk_lose_no_message() {
    const BALLS: u32 = 3_000;
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let game = runtime.handle().go(|| {
            let ((to, from), (back, home)) = (channel::<u32>(0), channel::<u32>(0));
            let echo = go(move || from.iter().for_each(|ball| back.send(ball + 1).unwrap()));
            for ball in 0..BALLS {
                to.send(ball).unwrap();
                assert_eq!(home.recv(), Ok(ball + 1));
            }
            drop(to);
            echo.join().unwrap();
        });
        let mut dumps = 0;
        while !game.is_finished() || dumps == 0 {
            // If it has ended since, there may be nobody.
            assert!(debug::stacks().starts_with("goroutine ") || game.is_finished());
            dumps += 1;
        }
        game.join().unwrap();
    });
}

#[test]
fn G05_what_a_shutdown_abandons_is_reported_with_its_calls() {
    if !stacks_are_seen() {
        return;
    }
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (tx, rx) = channel::<u8>(0);
        let child = runtime.handle().go(move || one_way(&rx));
        eventually("it waits", || matches!(info(child.id()).state, GoroutineState::Waiting(_)));
        let left = runtime.shutdown(Duration::from_secs(1));
        let [abandoned] = &left.abandoned[..] else { panic!("{left}") };
        assert_eq!(names(abandoned)[..2], ["receives", "one_way"], "{left}");
        drop(tx);
    });
}

#[test]
fn L01_a_leak_is_named_by_the_function_on_top_of_its_stack() {
    if !stacks_are_seen() {
        return;
    }
    use gosched::debug::leak::{self, Options};
    one_worker(|| {
        let (tx, rx) = channel::<u8>(0);
        let left = go(move || one_way(&rx));
        parked(left.id());
        let now = Options::new().attempts(0);
        let text = leak::find(&now).unwrap_err().to_string();
        let head = format!("[Goroutine {} in state chan receive, with ", left.id());
        assert!(text.contains(&head), "{text}");
        assert!(text.contains("receives on top of the stack:\ngoroutine "), "{text}");
        // L04: the function on top, or any.
        let found = |options: &Options| leak::find(options).is_err();
        assert!(!found(&now.clone().ignore_top_function("receives")));
        assert!(found(&now.clone().ignore_top_function("one_way")));
        assert!(!found(&now.clone().ignore_any_function("one_way")));
        assert!(found(&now.clone().ignore_any_function("way")), "whole segments only");
        assert!(found(&now.clone().ignore_any_function("another_way")));
        drop(tx);
        left.join().unwrap();
    });
}

/// What the figures in the docs were measured with: `cargo test --release -p gosched --test dump_stacks -- --ignored
/// --nocapture`. Needs 5 GB.
#[test]
#[ignore = "a million stacks"]
fn U09_a_million_stacks_are_summarised_in_less_than_5_seconds() {
    if !is_child() {
        let output = Child::new("U09_a_million_stacks_are_summarised_in_less_than_5_seconds").passes();
        return println!("{}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(!goroutines_are_threads(), "not with a thread for each");
    const MANY: usize = 1_000_000;
    let (_tx, rx) = chan::bounded::<u8>(0);
    gosched::run(move || {
        for _ in 0..MANY {
            let rx = rx.clone();
            Builder::new().spawn(move || one_way(&rx)).map(drop).unwrap();
        }
        while debug::groups()[0].count < MANY {
            settle();
        }
        let begun = std::time::Instant::now();
        let text = debug::stacks();
        let took = begun.elapsed();
        println!("{took:?}");
        assert!(
            text.starts_with(&format!("goroutine profile: total {}\n{MANY} @ ", num_goroutine())),
            "{text}"
        );
        assert!(took.as_secs() < 5, "{took:?}");
    });
}
