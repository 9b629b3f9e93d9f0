//! Pipes within the process, and files beside them: rows I09, I12 and I13 of the features.
#![allow(non_snake_case)]

mod common;

use common::{Dice, HOUR, everywhere, ms};
use gosched::io::{ClosedPipe, pipe};
use gosched::net;
use gosched::time::{self, timeout};
use gosched::{blocking, go, scope};
use std::io::{Error, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

fn is_closed(error: &Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<ClosedPipe>())
}

#[test]
fn I12_a_write_returns_when_all_of_it_was_read() {
    everywhere(|| {
        let (mut reader, mut writer) = pipe();
        let writes = go(move || {
            let n = writer.write(b"hello").unwrap();
            (n, writer)
        });
        let mut buf = [0; 3];
        assert_eq!((reader.read(&mut buf).unwrap(), &buf), (3, b"hel"));
        time::sleep(ms(2));
        assert!(!writes.is_finished(), "two bytes are left");
        assert_eq!((reader.read(&mut buf).unwrap(), &buf[..2]), (2, &b"lo"[..]));
        let (n, writer) = writes.join().unwrap();
        assert_eq!(n, 5);
        drop(writer);
        assert_eq!(reader.read(&mut buf).unwrap(), 0, "the end");
    });
}

#[test]
fn I12_closing_an_end_tells_the_other_why() {
    everywhere(|| {
        let (mut reader, writer) = pipe();
        let waits = go(move || reader.read(&mut [0]).unwrap_err());
        time::sleep(ms(2));
        writer.close_with_error(Error::new(ErrorKind::InvalidData, "no more sense"));
        let error = waits.join().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidData, "no more sense"));

        let (reader, mut writer) = pipe();
        let waits = go(move || (writer.write(b"x").unwrap_err(), writer.write(b"x").unwrap_err()));
        time::sleep(ms(2));
        drop(reader);
        let (first, second) = waits.join().unwrap();
        assert!(is_closed(&first) && is_closed(&second));
        assert_eq!(first.to_string(), "io: read/write on closed pipe");

        let (reader, mut writer) = pipe();
        reader.close_with_error(Error::other("enough"));
        assert_eq!(writer.write(b"x").unwrap_err().to_string(), "enough");
    });
}

#[test]
fn I12_parallel_writes_are_whole() {
    everywhere(|| {
        let (mut reader, writer) = pipe();
        let read = go(move || {
            let mut all = Vec::new();
            // In pieces that fit none of the writes.
            let mut buf = [0; 7];
            loop {
                match reader.read(&mut buf).unwrap() {
                    0 => return all,
                    n => all.extend_from_slice(&buf[..n]),
                }
            }
        });
        scope(|s| {
            for i in 0..10_u8 {
                let writer = &writer;
                s.go(move || (0..10).for_each(|_| assert_eq!({ writer }.write(&[i; 10]).unwrap(), 10)));
            }
        });
        drop(writer);
        let all = read.join().unwrap();
        assert_eq!(all.len(), 1000);
        assert!(all.chunks(10).all(|write| write.iter().all(|&byte| byte == write[0])));
    });
}

#[test]
fn I12_reads_that_are_given_up_take_nothing() {
    everywhere(|| {
        let (reader, mut writer) = pipe();
        let sum = AtomicUsize::new(0);
        scope(|s| {
            for seed in 0..3 {
                let (reader, sum) = (&reader, &sum);
                s.go(move || {
                    let mut dice = Dice::new(seed);
                    loop {
                        let mut buf = [0; 2];
                        match timeout(common::US * dice.below(200) as u32, reader.read_async(&mut buf)) {
                            Ok(read) => match read.unwrap() {
                                0 => return,
                                n => drop(sum.fetch_add(n, Ordering::SeqCst)),
                            },
                            Err(_) => continue,
                        }
                    }
                });
            }
            s.go(move || (0..300).for_each(|_| writer.write_all(b"abc").unwrap()));
        });
        assert_eq!(sum.load(Ordering::SeqCst), 900);
    });
}

#[test]
fn I13_both_directions_and_the_end() {
    everywhere(|| {
        let (near, far) = net::pipe();
        let echo = go(move || std::io::copy(&mut &far, &mut &far).unwrap());
        for i in 0..50_u32 {
            (&near).write_all(&i.to_le_bytes()).unwrap();
            let mut answer = [0; 4];
            (&near).read_exact(&mut answer).unwrap();
            assert_eq!(u32::from_le_bytes(answer), i);
        }
        drop(near);
        assert_eq!(echo.join().unwrap(), 200);
    });
}

#[test]
fn I13_deadlines_as_those_of_connections() {
    everywhere(|| {
        let (near, far) = net::pipe();
        near.set_deadline(Some(time::now() + ms(5)));
        assert_eq!((&near).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!((&near).write(b"x").unwrap_err().to_string(), "i/o timeout");
        near.set_deadline(Some(time::now() + HOUR));
        let waits = go({
            let near = near.clone();
            move || (&near).read(&mut [0]).unwrap_err()
        });
        time::sleep(ms(2));
        near.set_read_deadline(Some(time::now() - ms(1)));
        assert_eq!(waits.join().unwrap().kind(), ErrorKind::TimedOut);
        near.set_deadline(None);
        let write = go(move || (&far).write(b"x").unwrap());
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(write.join().unwrap(), 1);
    });
}

#[test]
fn I13_a_part_that_was_read_before_the_deadline_counts() {
    everywhere(|| {
        let (near, far) = net::pipe();
        near.set_write_deadline(Some(time::now() + ms(20)));
        let write = go(move || ((&near).write(b"hello").unwrap(), (&near).write(b"lo").unwrap_err()));
        assert_eq!((&far).read(&mut [0; 3]).unwrap(), 3);
        let (n, error) = write.join().unwrap();
        assert_eq!((n, error.kind()), (3, ErrorKind::TimedOut));
    });
}

#[test]
fn I13_close_ends_calls_of_both_sides() {
    everywhere(|| {
        let (near, far) = net::pipe();
        let ours = go({
            let near = near.clone();
            move || (&near).read(&mut [0]).unwrap_err()
        });
        let theirs = go({
            let far = far.clone();
            move || (&far).read(&mut [0]).unwrap()
        });
        time::sleep(ms(2));
        near.close();
        assert!(is_closed(&ours.join().unwrap()));
        assert_eq!(theirs.join().unwrap(), 0);
        assert!(is_closed(&(&far).write(b"x").unwrap_err()));
        assert!(is_closed(&(&near).write(b"x").unwrap_err()));
    });
}

#[test]
fn I09_a_file_that_lets_its_reader_wait_holds_a_thread_and_no_worker() {
    common::one_worker(|| {
        // One that waits for as long as the test wants it to.
        let path = std::env::temp_dir().join(format!("gosched-fifo-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
        let reader = go({
            let path = path.clone();
            move || blocking(|| std::fs::read_to_string(path))
        });
        for _ in 0..50 {
            go(|| ()).join().unwrap();
            time::sleep(ms(1));
        }
        assert!(!reader.is_finished());
        blocking(|| std::fs::write(&path, "at last")).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "at last");
        std::fs::remove_file(path).unwrap();
    });
}
