//! Tests of the stacks. Each uses a size class of its own where it counts on what a shelf holds, as tests
//! run side by side.

use super::*;
use crate::sys::mem::resident_pages;
use corosensei::{Coroutine, CoroutineResult};
use std::collections::HashSet;
use std::process::Command;

fn at(addr: usize) -> *mut u8 {
    ptr::with_exposed_provenance_mut(addr)
}

fn resident(stack: &StackMem) -> usize {
    resident_pages(stack.limit(), stack.size()).unwrap()
}

/// Writes a byte to every page of a stack.
fn touch(stack: &StackMem, byte: u8) {
    for addr in (stack.limit()..stack.top()).step_by(mem::page_size()) {
        // SAFETY: the stack is the caller's, who runs nothing on it.
        unsafe { at(addr).write_volatile(byte) };
    }
}

/// Whether the page below a stack cannot be read, as the kernel sees it.
fn is_guarded(stack: &StackMem) -> bool {
    use std::os::fd::AsRawFd;
    let (_reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the kernel checks the address, which is the point.
    let written = unsafe { libc::write(writer.as_raw_fd(), at(stack.limit() - 1).cast(), 1) };
    written == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn protected() -> bool {
    std::env::var_os("GOSCHED_STACK_GUARD").is_some_and(|value| value == "mprotect")
}

/// Marks the process that [`in_child`] starts.
const CHILD: &str = "GOSCHED_TEST_CHILD";

/// The tests for children change limits of their process: with `--include-ignored` they do nothing.
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs an ignored test of this file in a process of its own.
fn in_child(test: &str, env: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("fiber::stack::tests::{test}"), "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "{test} did not run:\n{text}");
}

#[test]
fn sizes_are_checked_and_rounded_up_to_powers_of_two() {
    assert_eq!(check_size(MIN_SIZE).unwrap(), MIN_SIZE);
    assert_eq!(check_size(MIN_SIZE + 1).unwrap(), 2 * MIN_SIZE);
    assert_eq!(check_size(DEFAULT_SIZE).unwrap(), DEFAULT_SIZE);
    assert_eq!(check_size(200_000).unwrap(), 256 << 10);
    assert_eq!(check_size(MAX_SIZE).unwrap(), MAX_SIZE);
    for (size, text) in [
        (0, "a stack of 0 bytes was asked for; at least 16 KiB are needed"),
        (MIN_SIZE - 1, "a stack of 16383 bytes was asked for; at least 16 KiB are needed"),
        (MAX_SIZE + 1, "a stack of 1073741825 bytes was asked for; at most 1024 MiB are possible"),
    ] {
        let error = acquire(size).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(check_size(usize::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_stack_of_any_class_is_usable_from_end_to_end() {
    for size in [DEFAULT_SIZE, 1 << 20, 2 << 20, 3_000_000, MAIN_SIZE] {
        let stack = acquire(size).unwrap();
        assert_eq!(stack.size(), size.next_power_of_two());
        assert_eq!(stack.top() - stack.limit(), stack.size());
        assert_eq!(stack.top() % mem::page_size(), 0);
        assert_eq!(Stack::base(&stack).get(), stack.top());
        assert_eq!(Stack::limit(&stack).get(), stack.limit() - GUARD_PAGES * mem::page_size());
        touch(&stack, 1);
        assert_eq!(resident(&stack), stack.size() / mem::page_size());
        // SAFETY: acquired above, and nothing runs on it.
        unsafe { release(stack) };
    }
}

#[test]
fn a_coroutine_runs_on_a_stack() {
    let stack = acquire(32 << 10).unwrap();
    let mut coroutine = Coroutine::with_stack(stack, |yielder, start: usize| {
        let next = yielder.suspend(start + 1);
        let local = 0u8;
        (next, &raw const local as usize)
    });
    assert!(matches!(coroutine.resume(1), CoroutineResult::Yield(2)));
    let CoroutineResult::Return((next, local)) = coroutine.resume(7) else { panic!("it has one yield") };
    assert_eq!(next, 7);
    assert!((stack.limit()..stack.top()).contains(&local));
}

#[test]
fn released_stacks_come_back_last_in_first_out() {
    let size = 64 << 10;
    let (a, b) = (acquire(size).unwrap(), acquire(size).unwrap());
    // SAFETY: acquired above, and nothing runs on them.
    unsafe {
        release(a);
        release_hot(b);
    }
    assert_eq!(acquire(size).unwrap().limit(), b.limit());
    assert_eq!(acquire(size).unwrap().limit(), a.limit());
    let c = acquire(size).unwrap();
    assert!(c.limit() != a.limit() && c.limit() != b.limit());
}

#[test]
fn trim_and_release_give_back_what_was_touched() {
    let page = mem::page_size();
    let stack = acquire(128 << 10).unwrap();
    touch(&stack, 9);
    // SAFETY: acquired above; nothing runs on it, and its content does not matter.
    unsafe {
        trim(&stack, 2 * page + 1);
        assert_eq!(resident(&stack), 3);
        assert_eq!(at(stack.top() - 3 * page).read_volatile(), 9, "what is kept keeps its content");
        assert_eq!(at(stack.limit()).read_volatile(), 0);
        trim(&stack, usize::MAX);
        assert_eq!(resident(&stack), 4);
        release_hot(stack);
        assert_eq!(resident(&stack), 4);
        let again = acquire(128 << 10).unwrap();
        assert_eq!(again.limit(), stack.limit());
        release(again);
        assert_eq!(resident(&stack), 1);
    }
    assert!(find_guard(stack.limit() - 1).is_some(), "trimming leaves the guard");
}

#[test]
fn retired_stacks_keep_their_memory_until_nobody_wants_them() {
    // Nobody else's monitor cools them there.
    in_child("child_retired_stacks", &[]);
}

#[test]
#[ignore = "run by retired_stacks_keep_their_memory_until_nobody_wants_them"]
fn child_retired_stacks() {
    if !is_child() {
        return;
    }
    let size = 32 << 10;
    let pages = size / mem::page_size();
    let stacks = [(); 3].map(|()| acquire(size).unwrap());
    let retire_all = |stacks: &[StackMem]| {
        for stack in stacks {
            touch(stack, 1);
            // SAFETY: acquired, and nothing runs on it.
            unsafe { retire(*stack) };
        }
    };
    let resident_now = || stacks.each_ref().map(resident);
    retire_all(&stacks);
    let before = stats().pooled;
    cool(false);
    assert_eq!(resident_now(), [pages; 3], "they have just come");
    // One of them is wanted meanwhile: the last.
    let wanted = acquire(size).unwrap();
    assert_eq!((wanted.limit(), resident(&wanted)), (stacks[2].limit(), pages));
    retire_all(&[wanted]);
    cool(false);
    assert_eq!(resident_now().iter().filter(|count| **count == pages).count(), 1, "two were not wanted");
    cool(true);
    assert_eq!(resident_now(), [1; 3]);
    assert_eq!(stats().pooled, before);
    // They are all there again. Many give back what they have by stretches, but for what is in use in between.
    let many: Vec<_> = (0..MANY + 50).map(|_| acquire(size).unwrap()).collect();
    assert!(stacks.iter().all(|stack| many.iter().any(|one| one.limit() == stack.limit())));
    let (used, unused): (Vec<_>, Vec<_>) = many.iter().copied().enumerate().partition(|(i, _)| i % 100 == 7);
    let [used, unused] =
        [used, unused].map(|stacks| stacks.into_iter().map(|(_, stack)| stack).collect::<Vec<_>>());
    used.iter().for_each(|stack| touch(stack, 3));
    retire_all(&unused);
    assert!(unused.iter().all(|stack| resident(stack) == pages));
    cool(false);
    cool(false);
    assert!(unused.iter().all(|stack| resident(stack) == 0));
    for stack in &used {
        assert_eq!(resident(stack), pages);
        // SAFETY: acquired above, and nothing runs on it.
        assert_eq!(unsafe { at(stack.limit()).read_volatile() }, 3, "what is in use keeps its content");
    }
    let again: Vec<_> = (0..unused.len()).map(|_| acquire(size).unwrap()).collect();
    assert!(again.iter().all(|one| unused.iter().any(|stack| stack.limit() == one.limit())));
    assert!(many.iter().all(is_guarded));
}

#[test]
fn beyond_a_number_of_waiting_stacks_all_memory_goes_back() {
    let stacks: Vec<_> = (0..WARM + 3).map(|_| acquire(MIN_SIZE).unwrap()).collect();
    for stack in &stacks {
        touch(stack, 1);
        // SAFETY: acquired above, and nothing runs on it.
        unsafe { release(*stack) };
    }
    let total: usize = stacks.iter().map(resident).sum();
    assert!(total <= WARM, "{total} pages");
    assert!(stats().pooled >= WARM);
}

#[test]
fn guards_are_found_by_address() {
    let stack = acquire(512 << 10).unwrap();
    let guard = GUARD_PAGES * mem::page_size();
    let hit = GuardHit { limit: stack.limit(), top: stack.top(), size: stack.size() };
    assert_eq!(find_guard(stack.limit() - 1), Some(hit));
    assert_eq!(find_guard(stack.limit() - guard), Some(hit));
    assert_eq!(find_guard(stack.limit()), None);
    assert_eq!(find_guard(stack.top() - 1), None);
    assert_ne!(find_guard(stack.limit() - guard - 1), Some(hit));
    assert_eq!(find_guard(0), None);
    assert_eq!(find_guard(usize::MAX), None);
    assert_eq!(find_guard(&raw const hit as usize), None);
}

#[test]
fn slabs_merge_so_that_many_stacks_take_few_mappings() {
    if protected() {
        return; // A protected guard is a mapping: two for each stack are expected.
    }
    let before = mappings();
    let stacks: Vec<_> = (0..10_000).map(|_| acquire(DEFAULT_SIZE).unwrap()).collect();
    let more = mappings().saturating_sub(before);
    assert!(more < 500, "{more} mappings for {} stacks", stacks.len());
    assert!(stats().reserved >= 10_000 * DEFAULT_SIZE);
    for stack in stacks {
        // SAFETY: acquired above, and nothing runs on it.
        unsafe { release(stack) };
    }
}

#[test]
fn no_stack_is_handed_out_twice() {
    let size = 16 << 20;
    let held: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4u8)
            .map(|me| {
                scope.spawn(move || {
                    for round in 0..300 {
                        let stacks = [acquire(size).unwrap(), acquire(size).unwrap()];
                        for stack in stacks {
                            // SAFETY: the stack is ours until it is released, and nothing runs on it.
                            unsafe { at(stack.top() - 1).write_volatile(me) };
                        }
                        std::thread::yield_now();
                        for stack in stacks {
                            // SAFETY: as above.
                            unsafe {
                                assert_eq!(at(stack.top() - 1).read_volatile(), me, "round {round}");
                                if round % 2 == 0 { release(stack) } else { release_hot(stack) }
                            }
                        }
                    }
                    acquire(size).unwrap().limit()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(held.iter().collect::<HashSet<_>>().len(), held.len());
}

#[test]
fn the_fallback_by_mprotect_passes_the_same_tests() {
    if protected() {
        return; // This is the process that the other one started.
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("fiber::")
        .env("GOSCHED_STACK_GUARD", "mprotect")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("no_stack_is_handed_out_twice ... ok"), "{text}");
}

#[test]
fn running_out_of_mappings_is_an_error_that_says_so() {
    in_child("child_out_of_budget", &[("GOSCHED_STACK_GUARD", "mprotect")]);
    in_child("child_out_of_mappings", &[("GOSCHED_STACK_GUARD", "mprotect")]);
}

#[test]
fn running_out_of_address_space_is_an_error_that_passes() {
    in_child("child_out_of_address_space", &[]);
}

fn max_map_count() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap()
}

/// Acquires until that fails, and checks that the text tells how many stacks there were.
fn acquire_all(size: usize) -> (Vec<StackMem>, String) {
    let mut stacks = Vec::new();
    loop {
        match acquire(size) {
            Ok(stack) => stacks.push(stack),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
                let text = error.to_string();
                assert!(text.contains(&format!("{} stacks exist", stacks.len())), "{text}");
                assert_eq!(stats().carved, stacks.len());
                return (stacks, text);
            }
        }
    }
}

#[test]
#[ignore = "run by running_out_of_mappings_is_an_error_that_says_so"]
fn child_out_of_budget() {
    if !is_child() {
        return;
    }
    let max = max_map_count();
    if max > 200_000 {
        return; // A machine tuned for more; the other child runs into the kernel's own limit elsewhere.
    }
    let (stacks, text) = acquire_all(MIN_SIZE);
    assert!(text.contains("vm.max_map_count") && text.contains(&max.to_string()), "{text}");
    assert!(stacks.len() >= max / 3, "{}", stacks.len());
    assert!(max - mappings() >= max / 10, "the process keeps some mappings");
    std::thread::spawn(|| {}).join().unwrap();
    // SAFETY: acquired above, and nothing runs on it.
    unsafe { release(stacks[0]) };
    assert_eq!(acquire(MIN_SIZE).unwrap().limit(), stacks[0].limit());
    assert!(acquire(MIN_SIZE).is_err());
}

#[test]
#[ignore = "run by running_out_of_mappings_is_an_error_that_says_so"]
fn child_out_of_mappings() {
    if !is_child() {
        return;
    }
    let (max, page) = (max_map_count(), mem::page_size());
    // Somebody else takes nearly all mappings: every other page of a large range is forbidden.
    let others = max.saturating_sub(mappings() + 1000) & !1;
    let memory = mem::reserve((others + 2) * page).unwrap();
    let base = memory.as_ptr().expose_provenance();
    for index in (1..others).step_by(2) {
        // SAFETY: a page of a mapping that nobody uses.
        unsafe { mem::forbid(base + index * page, page).unwrap() };
    }
    let (stacks, text) = acquire_all(MIN_SIZE);
    assert!(text.contains("vm.max_map_count") && text.contains(&max.to_string()), "{text}");
    assert!((100..2000).contains(&stacks.len()), "{}", stacks.len());
    // SAFETY: nobody uses it.
    unsafe { mem::unmap(memory, (others + 2) * page).unwrap() };
    assert!(acquire(MIN_SIZE).is_ok(), "what failed for want of mappings works when there are some");
}

#[test]
#[ignore = "run by running_out_of_address_space_is_an_error_that_passes"]
fn child_out_of_address_space() {
    if !is_child() {
        return;
    }
    let used: usize = std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .unwrap();
    let limit = |bytes: u64| {
        // SAFETY: the pointer is valid for the call.
        let set = unsafe {
            let mut now = std::mem::zeroed::<libc::rlimit>();
            libc::getrlimit(libc::RLIMIT_AS, &mut now);
            libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: bytes, rlim_max: now.rlim_max })
        };
        assert_eq!(set, 0);
    };
    // Room for one slab and a half: the second must come out smaller.
    limit((used * mem::page_size() + SLAB_SIZE * 3 / 2) as u64);
    let (stacks, text) = acquire_all(DEFAULT_SIZE);
    assert!(text.contains("cannot reserve address space"), "{text}");
    assert!(stacks.len() > SLAB_SIZE / (DEFAULT_SIZE + guard_len()), "{}", stacks.len());
    // SAFETY: acquired above, and nothing runs on it.
    unsafe { release(stacks[1]) };
    assert_eq!(acquire(DEFAULT_SIZE).unwrap().limit(), stacks[1].limit());
    assert!(acquire(DEFAULT_SIZE).is_err());
    limit(libc::RLIM_INFINITY);
    assert!(acquire(DEFAULT_SIZE).is_ok());
}

#[test]
fn locked_memory_which_takes_no_advice_falls_back() {
    in_child("child_locked_memory", &[]);
}

#[test]
#[ignore = "run by locked_memory_which_takes_no_advice_falls_back"]
fn child_locked_memory() {
    if !is_child() {
        return;
    }
    // SAFETY: locking memory changes nothing that a program can observe but its speed.
    if unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) } != 0 {
        eprintln!("skipped: this process may not lock memory");
        return;
    }
    // Here the kernel refuses both advices, to guard and to give back, with EINVAL.
    for _ in 0..3 {
        let stack = acquire(MIN_SIZE).unwrap();
        touch(&stack, 3);
        assert!(find_guard(stack.limit() - 1).is_some());
        // SAFETY: acquired above, and nothing runs on it.
        unsafe { release(stack) };
        assert_eq!(acquire(MIN_SIZE).unwrap().limit(), stack.limit());
    }
}
