//! Every macro of gosched, used through another crate's re-exports by a crate that does not know gosched.

use gosched_reexport_test as reexport;
use reexport::prelude::{bounded, choose, never, per_goroutine, select_async, select_async_biased, wait};
use reexport::{go, goroutine_local, run, select, select_biased};
use std::cell::Cell;
use std::time::Duration;

#[test]
fn select_is_used_through_a_re_export() {
    let (tx, rx) = bounded(1);
    for i in 0..4 {
        let done = select! {
            recv(rx) -> value => value.unwrap() + 1,
            send(tx, i) -> sent => {
                sent.unwrap();
                0
            }
        };
        assert_eq!(done, if i % 2 == 0 { 0 } else { i });
    }
    // By another name, by its path, with each kind of default.
    assert!(choose! { recv(rx) -> _ => false, default => true });
    assert!(reexport::select! { recv(rx) -> _ => false, default(Duration::from_micros(1)) => true });
}

#[test]
fn select_biased_is_used_through_a_re_export() {
    let (tx, first) = bounded(100);
    let (tx2, second) = bounded(100);
    for i in 0..100 {
        tx.send(i).unwrap();
        tx2.send(i).unwrap();
    }
    for i in 0..100 {
        let got = select_biased! {
            recv(first) -> value => value,
            recv(second) -> _ => unreachable!("the first case was ready"),
        };
        assert_eq!(got, Ok(i));
    }
}

#[test]
fn select_async_is_used_through_a_re_export() {
    let (tx, rx) = bounded(1);
    let nothing = never::<i32>();
    let value = wait(async {
        let sent = select_async! {
            send(tx, 5) -> sent => sent.is_ok(),
            recv(nothing) -> _ => false,
        };
        assert!(sent);
        select_async_biased! {
            recv(rx) -> value => value.unwrap(),
            default => 0,
        }
    });
    assert_eq!(value, 5);
}

goroutine_local! {
    /// Declared with the name of the re-export.
    static COUNT: Cell<u32> = Cell::new(1);
    static OTHER: Cell<u32> = const { Cell::new(2) };
}

per_goroutine! {
    pub(crate) static RENAMED: Cell<u32> = Cell::new(3)
}

#[test]
fn goroutine_local_is_used_through_a_re_export() {
    run(|| {
        let sum = || COUNT.with(Cell::get) + OTHER.with(Cell::get) + RENAMED.with(Cell::get);
        COUNT.with(|count| count.set(10));
        assert_eq!(go(sum).join().unwrap(), 6);
        assert_eq!(sum(), 15);
    });
}

#[test]
fn main_is_used_through_a_re_export() {
    #[reexport::main(crate = reexport::gosched)]
    fn plain() -> u32 {
        go(|| 1).join().unwrap()
    }

    #[reexport::prelude::program(crate = "reexport::gosched", workers = 2)]
    async fn later() -> Result<u32, String> {
        go(|| 2).await.map_err(|_| "it panicked".to_owned())
    }

    #[reexport::main(crate = gosched_reexport_test::gosched, os_threads, name = "reexport")]
    fn threads() {
        assert_eq!(go(|| 3).join().unwrap(), 3);
    }

    // All of them run inside a runtime of their own: outside there is none, and no goroutine.
    assert_eq!((plain(), later()), (1, Ok(2)));
    threads();
}
