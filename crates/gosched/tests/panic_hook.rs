//! `Builder::panic_hook` and `Builder::abort_on_panic`: what a runtime does when a panic ends one of its goroutines.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, bounded_as, eventually, is_child, panic_text, stderr, text};
use gosched::chan::{self, Sender};
use gosched::context::background;
use gosched::goroutine::Builder as Goroutine;
use gosched::group::{self, Group};
use gosched::pipeline::{self, WorkerPool};
use gosched::runtime::{Builder, GoroutinePanic};
use gosched::sync::{SingleFlight, WaitGroup};
use gosched::{Runtime, blocking, current, go, go_async, goexit, num_goroutine, scope, time, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn boom() -> ! {
    resume_unwind(Box::new("boom"))
}

/// Builders for every mode, by name.
fn builders() -> [(&'static str, Builder); 4] {
    let new = || Runtime::builder().workers(2);
    // SAFETY: the tests hold nothing that is bound to a thread across a blocking call.
    let migrating = unsafe { new().migrate() };
    [
        ("one worker", new().workers(1)),
        ("two", new()),
        ("migrating", migrating),
        ("threads", new().os_threads()),
    ]
}

/// Calls `f`, whatever becomes of it.
fn quietly<T>(f: impl FnOnce() -> T) {
    let _ = catch_unwind(AssertUnwindSafe(f));
}

type Way = (&'static str, fn(Sender<u64>));

/// All that starts goroutines with users' functions. Each tells the id of the one that is about to panic.
const WAYS: [Way; 19] = [
    ("go, not joined", |tell| drop(go(move || die(&tell)))),
    ("go, joined", |tell| drop(go(move || die(&tell)).join())),
    ("go, dropped later", |tell| {
        let handle = go(move || die(&tell));
        eventually("it has ended", || handle.is_finished());
    }),
    ("go_async", |tell| drop(go_async(async move { die(&tell) }).join())),
    ("a future's destructor", |tell| {
        let dies = OnDrop(Some(move || die(&tell)));
        let future = std::future::poll_fn(move |_| {
            let _ = &dies;
            std::task::Poll::Ready(7)
        });
        assert_eq!(go_async(future).join().unwrap(), 7);
    }),
    ("Builder::spawn", |tell| drop(Goroutine::new().name("bob").spawn(move || die(&tell)).unwrap().join())),
    ("scope", |tell| quietly(|| scope(|s| drop(s.go(|| die(&tell)))))),
    ("scope, joined", |tell| scope(|s| drop(s.go(|| die(&tell)).join()))),
    ("WaitGroup", |tell| {
        let wg = WaitGroup::new();
        wg.go(move || die(&tell));
        quietly(|| wg.wait());
    }),
    ("Group", |tell| {
        let (group, _ctx) = Group::<String>::with_context(&background());
        group.go(move || die(&tell));
        quietly(|| group.wait());
    }),
    ("group::scope", |tell| quietly(|| group::scope(|g| g.go(|| -> Result<(), String> { die(&tell) })))),
    ("a source", |tell| {
        let rx = pipeline::source(&background(), std::iter::from_fn(move || -> Option<u8> { die(&tell) }));
        quietly(|| rx.recv());
    }),
    ("a stage", |tell| {
        let rx = pipeline::source(&background(), [1]);
        let rx = pipeline::stage(&background(), 1, rx, move |_| die(&tell));
        quietly(|| pipeline::merge(&background(), [rx]).recv());
    }),
    ("par_map", |tell| quietly(|| pipeline::par_map(&background(), 2, [1], move |_| die(&tell)).next())),
    ("tee", |tell| {
        struct NotTwice(Sender<u64>);
        impl Clone for NotTwice {
            fn clone(&self) -> Self {
                die(&self.0)
            }
        }
        let rx = pipeline::source(&background(), [NotTwice(tell)]);
        quietly(|| drop(pipeline::tee(&background(), 2, rx)[0].recv()));
    }),
    ("WorkerPool", |tell| {
        let pool = WorkerPool::new(1);
        let _ = pool.submit(move || die(&tell)).join();
    }),
    ("WorkerPool::submit_try", |tell| {
        let pool = WorkerPool::new(1);
        let _ = pool.submit_try(move |_| -> Result<(), String> { die(&tell) }).join();
    }),
    ("after_func", |tell| {
        let once = AtomicBool::new(false);
        let timer = time::after_func(Duration::ZERO, move || {
            assert!(!once.swap(true, Ordering::SeqCst));
            die(&tell)
        });
        eventually("its goroutine has ended", || num_goroutine() == 1);
        drop(timer);
    }),
    ("Context::after_func", |tell| {
        let ctx = background().with_cancel();
        ctx.after_func(move || die(&tell));
        ctx.cancel();
    }),
];

/// Tells who it is, then panics.
fn die(tell: &Sender<u64>) -> ! {
    tell.send(current().id()).unwrap();
    boom()
}

/// Runs a closure when dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0.take().expect("it is dropped once"))();
    }
}

#[test]
fn the_hook_is_called_on_the_goroutine_that_panicked_whoever_started_it() {
    for (mode, builder) in builders() {
        for (name, way) in WAYS {
            let (told, hears) = chan::unbounded();
            let hook = move |panic: &GoroutinePanic<'_>| {
                // A goroutine like any other, also now.
                yield_now();
                blocking(|| ());
                assert_eq!(current().id(), panic.id());
                assert_eq!(current().name(), panic.name());
                let text = panic.payload_as_str().unwrap().to_owned();
                told.send((panic.id(), panic.creator(), panic.created().file(), text)).unwrap();
            };
            let runtime = builder.clone().panic_hook(hook).build().unwrap();
            bounded_as(&format!("{name}, {mode}"), move || {
                runtime.run(|| {
                    let (tell, ids) = chan::unbounded();
                    way(tell);
                    let id = ids.recv().unwrap();
                    let heard = hears.recv().unwrap();
                    assert_eq!((heard.0, &*heard.3), (id, "boom"), "{name}");
                    assert!(heard.2.ends_with("panic_hook.rs"), "{name}: {}", heard.2);
                    eventually("all have ended", || num_goroutine() == 1);
                    assert!(hears.try_recv().is_err(), "{name}: once");
                    assert_eq!(go(|| 1).join().unwrap(), 1);
                });
            });
        }
    }
}

#[test]
fn the_hook_is_told_who_started_it_where_and_with_what() {
    for (_, builder) in builders() {
        let (told, hears) = chan::unbounded();
        let hook = move |panic: &GoroutinePanic<'_>| {
            let number = panic.payload().downcast_ref::<u32>().copied();
            let name = panic.name().map(str::to_owned);
            told.send((format!("{panic}"), panic.creator(), panic.created().line(), number, name)).unwrap();
            assert!(panic.payload_as_str().is_none() || number.is_none());
            assert!(format!("{panic:?}").starts_with("GoroutinePanic { id: "));
        };
        let runtime = builder.panic_hook(hook).build().unwrap();
        bounded(move || {
            runtime.run(|| {
                let me = current().id();
                let line = line!() + 1;
                let id = go(|| resume_unwind(Box::new(String::from("owned")))).id();
                let heard = hears.recv().unwrap();
                let file = file!();
                assert!(heard.0.starts_with(&format!(
                    "goroutine {id} panicked: owned; created by goroutine {me} at {file}:{line}:"
                )));
                assert_eq!((heard.1, heard.2, heard.3, heard.4), (me, line, None, None));
                drop(Goroutine::new().name("bob").spawn_async(async { resume_unwind(Box::new(7u32)) }));
                let heard = hears.recv().unwrap();
                assert!(heard.0.contains(" \"bob\" panicked: a value that is not a text; "), "{}", heard.0);
                assert_eq!((heard.3, heard.4.as_deref()), (Some(7), Some("bob")));
            });
            // Main is a goroutine; its panic is told, and passed on.
            assert_eq!(panic_text(|| runtime.run(|| boom())), "boom");
            let heard = hears.recv().unwrap();
            assert_eq!((heard.1, heard.4.as_deref()), (0, Some("main")));
        });
    }
}

#[test]
fn what_a_goroutine_catches_and_goexit_are_no_panics_for_the_hook() {
    for (_, builder) in builders() {
        let runtime = builder.panic_hook(|panic| panic!("{panic}")).abort_on_panic(true).build().unwrap();
        bounded(move || {
            runtime.run(|| {
                go(|| quietly(boom)).join().unwrap();
                go(|| assert_eq!(panic_text(|| blocking(|| boom())), "boom")).join().unwrap();
                go(|| goexit()).join().unwrap_err();
                go_async(async { goexit() }).join().unwrap_err();
                scope(|s| drop(s.go(|| goexit())));
                let wg = WaitGroup::new();
                wg.go(|| goexit());
                wg.wait();
                let one = SingleFlight::<u8, u8>::new();
                assert_eq!(panic_text(|| one.run(1, || boom())), "boom");
            });
            // Nor is what a shutdown ends.
            let (tx, rx) = chan::bounded::<()>(0);
            let parked = runtime.handle().go(move || rx.recv());
            let pending = runtime.handle().go_async(std::future::pending::<()>());
            drop(runtime);
            assert!(parked.join().is_err() && pending.join().is_err());
            drop(tx);
        });
    }
}

#[test]
fn a_hook_that_panics_or_ends_itself_harms_nobody() {
    let name = "a_hook_that_panics_or_ends_itself_harms_nobody";
    if is_child() {
        for (_, builder) in builders() {
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            let hook = move |_: &GoroutinePanic<'_>| match count.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => resume_unwind(Box::new("the hook's own")),
                _ => goexit(),
            };
            let runtime = builder.panic_hook(hook).build().unwrap();
            runtime.run(|| {
                for round in 0..4 {
                    assert_eq!(text(&*go(|| boom()).join().map(|never: ()| never).unwrap_err()), "boom");
                    assert_eq!(panic_text(|| scope(|s| drop(s.go(|| boom())))), "boom", "{round}");
                    drop(go_async(async { boom() }));
                }
                eventually("all have ended", || num_goroutine() == 1);
            });
            assert_eq!(calls.load(Ordering::SeqCst), 12);
        }
        return;
    }
    let said = stderr(&Child::new(name).passes());
    let told = "gosched: the panic hook panicked: the hook's own; it was called for: goroutine ";
    assert_eq!(said.matches(told).count(), 4 * 6, "{said}");
}

#[test]
fn the_hook_replaces_the_report_of_panics_that_nobody_joins() {
    let name = "the_hook_replaces_the_report_of_panics_that_nobody_joins";
    if is_child() {
        let runtime = Runtime::builder().panic_hook(|panic| println!("told: {panic}")).build().unwrap();
        runtime.run(|| {
            drop(go(|| panic!("the first")));
            let handle = go(|| panic!("the second"));
            eventually("it has ended", || handle.is_finished());
            drop(handle);
            // A header that is used again remembers nothing.
            let handles: Vec<_> = (0..200).map(|_| go(|| ())).collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            eventually("all have ended", || num_goroutine() == 1);
        });
        Runtime::new().unwrap().run(|| {
            let handles: Vec<_> = (0..200).map(|_| go(|| panic!("told as ever"))).collect();
            drop(handles);
            eventually("all have ended", || num_goroutine() == 1);
        });
        return;
    }
    let output = Child::new(name).passes();
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    assert!(out.contains(" panicked: the first; ") && out.contains(" panicked: the second; "), "{out}");
    assert_eq!(out.matches("told: ").count(), 2, "{out}");
    assert_eq!(err.matches("nobody joined it: told as ever").count(), 200, "{err}");
    assert_eq!(err.matches("nobody joined it").count(), 200, "{err}");
    assert!(err.contains("the first") && err.contains("the second"), "std's own hook has its say: {err}");
}

#[test]
fn the_destructor_of_a_hook_may_panic() {
    bounded(|| {
        let dies = OnDrop(Some(|| boom()));
        let runtime = Runtime::builder()
            .panic_hook(move |_| {
                let _ = &dies;
            })
            .build()
            .unwrap();
        let handle = runtime.handle();
        runtime.run(|| drop(go(|| boom()).join().map(|never: ()| never)));
        drop(runtime);
        drop(handle);
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}

/// Runs one of [`WAYS`] on a runtime with Go's rule, in a child, and returns what it said.
fn dies_of(test: &str, which: usize, mode: usize) -> (String, String) {
    let child = Child::new(test).env("WHICH", &which.to_string()).env("MODE", &mode.to_string());
    let output = child.output();
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(libc::SIGABRT), "{}\n{out}\n{err}", output.status);
    (out, err)
}

fn number(key: &str) -> usize {
    std::env::var(key).unwrap().parse().unwrap()
}

#[test]
fn G06_abort_on_panic_ends_the_process_whoever_started_the_goroutine() {
    let name = "G06_abort_on_panic_ends_the_process_whoever_started_the_goroutine";
    if is_child() {
        let (_, builder) = builders().into_iter().nth(number("MODE")).unwrap();
        let runtime = builder.abort_on_panic(true).build().unwrap();
        runtime.run(|| {
            let (tell, ids) = chan::unbounded();
            WAYS[number("WHICH")].1(tell);
            println!("it goes on: {:?}", ids.recv());
            // The hand-over may come before the end; the end comes.
            time::sleep(common::PATIENCE);
        });
        return;
    }
    for (which, (way, _)) in WAYS.into_iter().enumerate() {
        let (_, err) = dies_of(name, which, which % builders().len());
        assert!(err.contains("panic: boom\n\ngoroutine "), "{way}: {err}");
        assert!(err.contains(" [running]:\ncreated by goroutine "), "{way}: {err}");
        assert!(err.contains(concat!("\n\t", file!(), ":")), "{way}: {err}");
        assert_eq!(
            err.matches("\npanic: ").count() + usize::from(err.starts_with("panic: ")),
            1,
            "{way}: {err}"
        );
    }
}

#[test]
fn G06_abort_on_panic_runs_the_goroutine_s_destructors_and_nobody_else_s() {
    let name = "G06_abort_on_panic_runs_the_goroutine_s_destructors_and_nobody_else_s";
    if is_child() {
        let (_, builder) = builders().into_iter().nth(number("MODE")).unwrap();
        let hook = |panic: &GoroutinePanic<'_>| println!("the hook: {}", panic.payload_as_str().unwrap());
        let runtime = builder.abort_on_panic(true).panic_hook(hook).build().unwrap();
        runtime.run(|| {
            let _main = OnDrop(Some(|| println!("main's destructor")));
            let (tx, rx) = chan::bounded::<()>(0);
            let other = go(move || {
                let _other = OnDrop(Some(|| println!("another's destructor")));
                rx.recv()
            });
            yield_now();
            let named = Goroutine::new().name("bob").spawn(|| {
                let _mine = OnDrop(Some(|| println!("its own destructor")));
                panic!("out of tea");
            });
            let _ = named.unwrap().join();
            println!("the end of main");
            drop((tx, other));
        });
        return;
    }
    for mode in 0..builders().len() {
        let (out, err) = dies_of(name, 0, mode);
        let line = |text: &str| out.lines().position(|line| line.ends_with(text));
        assert!(line("its own destructor").unwrap() < line("the hook: out of tea").unwrap(), "{out}");
        for text in ["another's destructor", "main's destructor", "the end of main"] {
            assert_eq!(line(text), None, "{out}");
        }
        assert!(err.contains("panic: out of tea\n\ngoroutine "), "{err}");
        assert!(err.contains(" \"bob\" [running]:\ncreated by goroutine "), "{err}");
    }
}

#[test]
fn U13_of_many_panics_at_once_one_is_printed() {
    let name = "U13_of_many_panics_at_once_one_is_printed";
    if is_child() {
        Runtime::builder().workers(4).abort_on_panic(true).build().unwrap().run(|| {
            scope(|s| {
                for _ in 0..100 {
                    s.go(|| boom());
                }
            });
        });
        return;
    }
    for _ in 0..5 {
        let (_, err) = dies_of(name, 0, 0);
        assert_eq!(err.matches("panic: boom").count(), 1, "{err}");
    }
}
