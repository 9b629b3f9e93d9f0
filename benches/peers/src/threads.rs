//! The programs on OS threads with crossbeam-channel.

use crate::util::{out, out_per, status};
use crossbeam_channel::{bounded, select};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

pub fn spawn(n: u64) {
    let begin = Instant::now();
    let mut handles = Vec::new();
    for i in 0..n {
        handles.push(thread::spawn(|| {}));
        // Not all at once: the system has a limit.
        if i % 1000 == 999 {
            handles.drain(..).for_each(|handle| handle.join().unwrap());
        }
    }
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    out_per("spawn", begin.elapsed(), n, "ns/task");
    out("spawn_peak_rss", status("VmHWM:") / f64::from(1 << 20), "MiB");
}

pub fn pingpong(name: &str, pairs: u64, rounds: u64) {
    let begin = Instant::now();
    let mut handles = Vec::new();
    for _ in 0..pairs {
        let (ask, asked) = bounded::<u64>(0);
        let (answer, answered) = bounded::<u64>(0);
        handles.push(thread::spawn(move || {
            for _ in 0..rounds {
                answer.send(asked.recv().unwrap() + 1).unwrap();
            }
        }));
        handles.push(thread::spawn(move || {
            for i in 0..rounds {
                ask.send(i).unwrap();
                assert_eq!(answered.recv().unwrap(), i + 1);
            }
        }));
    }
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    out_per(name, begin.elapsed(), pairs * rounds, "ns/roundtrip");
}

pub fn through(name: &str, producers: u64, consumers: u64, n: u64) {
    let begin = Instant::now();
    let (tx, rx) = bounded::<u64>(128);
    let per = n / producers;
    for _ in 0..producers {
        let tx = tx.clone();
        thread::spawn(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    drop(tx);
    let handles: Vec<_> = (0..consumers)
        .map(|_| {
            let rx = rx.clone();
            thread::spawn(move || rx.iter().sum::<u64>())
        })
        .collect();
    let sum: u64 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
    assert_eq!(sum, producers * (per * (per - 1) / 2));
    out_per(name, begin.elapsed(), n, "ns/msg");
}

pub fn select_two(name: &str, capacity: usize, n: u64) {
    let begin = Instant::now();
    let per = n / 2;
    let [(tx0, rx0), (tx1, rx1)] = [bounded::<u64>(capacity), bounded::<u64>(capacity)];
    for tx in [tx0.clone(), tx1.clone()] {
        thread::spawn(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    let mut sum = 0;
    for _ in 0..2 * per {
        select! {
            recv(rx0) -> value => sum += value.unwrap(),
            recv(rx1) -> value => sum += value.unwrap(),
        }
    }
    let time = begin.elapsed();
    assert_eq!(sum, per * (per - 1));
    drop((tx0, tx1));
    out_per(name, time, n, "ns/msg");
}

pub fn pool(n: u64) {
    let begin = Instant::now();
    let (jobs, todo) = bounded::<u64>(100);
    let (results, finished) = bounded::<u64>(100);
    for _ in 0..2 {
        let (todo, results) = (todo.clone(), results.clone());
        thread::spawn(move || {
            for job in todo.iter() {
                results.send(job * 2).unwrap();
            }
        });
    }
    thread::spawn(move || {
        for i in 0..n {
            jobs.send(i).unwrap();
        }
    });
    let sum: u64 = (0..n).map(|_| finished.recv().unwrap()).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    out_per("pool", time, n, "ns/job");
}

pub fn yields(n: u64) {
    let begin = Instant::now();
    let handles = [(); 2].map(|()| thread::spawn(move || (0..n).for_each(|_| thread::yield_now())));
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    out_per("yield", begin.elapsed(), 2 * n, "ns/yield");
}

pub fn mutex(threads: u64, n: u64) {
    let begin = Instant::now();
    let (total, per) = (Arc::new(Mutex::new(0u64)), n / threads);
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let total = total.clone();
            thread::spawn(move || (0..per).for_each(|_| *total.lock().unwrap() += 1))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    assert_eq!(*total.lock().unwrap(), threads * per);
    out_per("mutex", begin.elapsed(), n, "ns/lock");
}
