//! Child processes that end with a context.

mod common;

use common::{HOUR, everywhere, ms};
use gosched::context::background;
use gosched::process::Command;
use gosched::{go, time};
use std::io::ErrorKind;

#[test]
fn the_output_and_the_status_of_a_process() {
    everywhere(|| {
        let ctx = background();
        let output = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output(&ctx).unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.status.code(), Some(3));
        assert!(Command::new("true").status(&ctx).unwrap().success());
        let missing = Command::new("/no/such/program").status(&ctx).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn much_output_does_not_stop_the_process() {
    everywhere(|| {
        let output = Command::new("sh")
            .args(["-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"])
            .output(&background())
            .unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 1_000_000));
    });
}

#[test]
fn a_context_that_is_done_kills_the_process_and_others_run_meanwhile() {
    everywhere(|| {
        let start = time::now();
        let ctx = background().with_cancel();
        let child = go({
            let ctx = ctx.clone();
            move || Command::new("sleep").arg("3600").status(&ctx).unwrap_err()
        });
        time::sleep(ms(20));
        ctx.cancel();
        assert_eq!(child.join().unwrap().to_string(), "context canceled");
        let soon = background().with_timeout(ms(20));
        let late = Command::new("sleep").arg("3600").output(&soon).unwrap_err();
        assert_eq!(
            (late.kind(), late.to_string().as_str()),
            (ErrorKind::TimedOut, "context deadline exceeded")
        );
        let never = Command::new("/no/such/program").status(&soon).unwrap_err();
        assert_eq!(never.kind(), ErrorKind::TimedOut, "it is not even started");
        assert!(start.elapsed() < HOUR);
    });
}
