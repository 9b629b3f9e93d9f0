//! The digest example as its users meet it: output, exit codes, ctrl-C.

mod common;

use common::build_example;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The program, built when the first test asks for it.
fn digest() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(|| build_example("digest")))
}

/// A directory of its own for a test, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let path = std::env::temp_dir().join(format!("digest-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Tree(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str], root: Option<&Path>) -> Output {
    digest().args(arguments).args(root).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn prints_what_sha256sum_prints() {
    let tree = Tree::new("same");
    for number in 0..500 {
        tree.file(&format!("d{}/f{number}", number % 7), vec![number as u8; number * number % 20_000]);
    }
    for name in ["d1-x", "d1.y", "back\\slash", "line\nfeed", "carriage\rreturn", "empty", "d é/\u{1f980}"] {
        tree.file(name, name.repeat(name.len() % 5));
    }
    tree.file("large", vec![1; 3 << 20]);
    std::os::unix::fs::symlink("large", tree.0.join("link")).unwrap();
    std::os::unix::fs::symlink(".", tree.0.join("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.0.join("socket")).unwrap();

    let script = r#"find "$0" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"#;
    let expected = Command::new("sh").args(["-c", script]).arg(&tree.0).output().unwrap();
    assert_eq!(expected.stdout.iter().filter(|byte| **byte == b'\n').count(), 508);
    for arguments in [&[][..], &["--workers", "1"], &["--workers=9", "--algorithm=sha256"]] {
        let output = run(arguments, Some(&tree.0));
        assert_eq!(text(&output.stdout), text(&expected.stdout));
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    }
}

#[test]
fn blake3_in_the_same_form() {
    let tree = Tree::new("blake3");
    let path = tree.file("abc", "abc");
    let output = run(&["--algorithm", "blake3"], Some(&tree.0));
    let digest = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(text(&output.stdout), format!("{digest}  {}\n", path.display()));
}

#[test]
fn without_a_directory_it_digests_the_project() {
    let output = run(&[], None);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(lines.iter().any(|line| line.ends_with("crates/gosched/tests/digest.rs")));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_str().unwrap();
    let (target, git) = (format!("  {workspace}/target/"), format!("  {workspace}/.git/"));
    assert!(!lines.iter().any(|line| line.contains(&target) || line.contains(&git)));
    let summary = text(&output.stderr);
    assert!(summary.starts_with(&format!("digest: {} files, ", lines.len())), "{summary}");
    assert!(summary.trim_end().ends_with("MB/s") && summary.lines().count() == 1, "{summary}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn unreadable_files_are_listed_at_the_end() {
    let tree = Tree::new("unreadable");
    tree.file("a", "");
    let secret = tree.file("b", "");
    tree.file("c", "");
    let mut mode = fs::metadata(&secret).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
    fs::set_permissions(&secret, mode).unwrap();
    let output = run(&[], Some(&tree.0));
    if fs::File::open(&secret).is_ok() {
        // The superuser reads everything.
        assert_eq!((text(&output.stdout).lines().count(), output.status.code()), (3, Some(0)));
    } else {
        assert_eq!(text(&output.stdout).lines().count(), 2);
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("digest: 1 could not be read:\n  "), "{complaint}");
        assert!(complaint.contains(secret.to_str().unwrap()), "{complaint}");
        assert_eq!(output.status.code(), Some(1));
    }

    let gone = run(&[], Some(&tree.0.join("gone")));
    assert_eq!((text(&gone.stdout), gone.status.code()), ("", Some(1)));
    let complaint = text(&gone.stderr);
    assert!(complaint.starts_with("digest: 1 could not be read:\n"), "{complaint}");
    assert!(complaint.contains("/gone: No such file or directory"), "{complaint}");
}

#[test]
fn bad_arguments_get_the_usage() {
    for arguments in [&["--workers", "none"][..], &["--algorithm", "md5"], &["--unknown"], &["a", "b"]] {
        let output = run(arguments, None);
        assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)), "{arguments:?}");
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("digest: ") && complaint.contains("\nusage: digest "), "{complaint}");
    }
    let help = run(&["--help"], None);
    assert!(text(&help.stdout).starts_with("usage: digest ") && help.status.success());
}

#[test]
fn ctrl_c_stops_it_at_once() {
    let tree = Tree::new("interrupt");
    let first = tree.file("a", "done");
    // Holes: as large as needed, without a disk.
    for name in ["b", "c", "d", "e"] {
        fs::File::create(tree.0.join(name)).unwrap().set_len(1 << 42).unwrap();
    }
    let mut child = digest()
        .args(["--workers", "4"])
        .arg(&tree.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // The first line comes while the rest is being digested.
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.trim_end().ends_with(first.to_str().unwrap()), "{line}");

    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let pressed = Instant::now();
    // SAFETY: `kill` has no preconditions; the child has not been waited for, so the number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let status = child.wait().unwrap();
    let elapsed = pressed.elapsed();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(status.code(), Some(130), "{complaint}");
    assert!(complaint.starts_with("digest: interrupted after 1 files, "), "{complaint}");
    assert!(complaint.trim_end().ends_with(&format!("the last was {}", first.display())), "{complaint}");
    assert!(elapsed < Duration::from_secs(2), "it took {elapsed:?} to stop");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let tree = Tree::new("pipe");
    for number in 0..3000 {
        tree.file(&format!("file-{number}"), "");
    }
    let mut child =
        digest().arg(&tree.0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(1)));
}
