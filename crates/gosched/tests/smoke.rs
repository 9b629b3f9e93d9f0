use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn basics() {
    let v = gosched::run(|| {
        let hs: Vec<_> = (0..1000)
            .map(|i| {
                gosched::go(move || {
                    gosched::yield_now();
                    i * 2
                })
            })
            .collect();
        hs.into_iter().map(|h| h.join().unwrap()).sum::<usize>()
    });
    assert_eq!(v, 999000);
}

#[test]
fn sleeping() {
    gosched::run(|| {
        let n = AtomicUsize::new(0);
        gosched::scope(|s| {
            for i in 0..100 {
                let n = &n;
                s.go(move || {
                    gosched::time::sleep(Duration::from_millis(i % 10));
                    n.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(n.load(Ordering::SeqCst), 100);
    });
}

#[test]
fn wg_and_async() {
    gosched::run(|| {
        let wg = gosched::sync::WaitGroup::new();
        for _ in 0..10000 {
            wg.go(|| gosched::yield_now());
        }
        wg.wait();
        let h = gosched::go_async(async {
            gosched::time::sleep_async(Duration::from_millis(3)).await;
            gosched::time::sleep(Duration::from_millis(3));
            5
        });
        assert_eq!(h.join().unwrap(), 5);
        assert_eq!(gosched::blocking(|| 7), 7);
    });
}

#[test]
fn many_runtimes() {
    for i in 0..200 {
        assert_eq!(gosched::run(|| gosched::go(move || i).join().unwrap()), i);
    }
}

#[test]
fn os_threads() {
    let rt = gosched::Runtime::builder().os_threads().workers(2).build().unwrap();
    assert_eq!(
        rt.run(|| {
            let h: Vec<_> = (0..100)
                .map(|i| {
                    gosched::go(move || {
                        gosched::yield_now();
                        i
                    })
                })
                .collect();
            h.into_iter().map(|h| h.join().unwrap()).sum::<i32>()
        }),
        4950
    );
}

#[test]
fn panic_join() {
    gosched::run(|| {
        assert!(gosched::go(|| panic!("x")).join().is_err());
        drop(gosched::goroutine::Builder::new().name("bob").spawn(|| panic!("unjoined")));
        gosched::time::sleep(Duration::from_millis(10));
    });
}
