//! One run of a program: what it printed, what it cost, and how busy the machine was otherwise.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// As one would type it.
    pub(crate) fn line(&self) -> String {
        let mut words = vec![self.path.display().to_string()];
        words.extend(self.args.iter().map(|arg| arg.display().to_string()));
        words.join(" ")
    }
}

/// A figure with its unit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// What a run gave and cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) values: BTreeMap<String, f64>,
    #[serde(skip)]
    pub(crate) units: BTreeMap<String, String>,
    /// Seconds.
    pub(crate) wall: f64,
    /// Processor seconds of the program.
    pub(crate) cpu: f64,
    /// Context switches.
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
    /// Processor seconds of everybody else, for each second.
    pub(crate) noise: f64,
}

impl Run {
    pub(crate) fn add(&mut self, metric: &str, value: f64, unit: &str) {
        self.values.insert(metric.to_owned(), value);
        self.units.insert(metric.to_owned(), unit.to_owned());
    }

    pub(crate) fn figure(&self, metric: &str) -> Result<Figure, String> {
        match (self.values.get(metric), self.units.get(metric)) {
            (Some(value), Some(unit)) => Ok(Figure { value: *value, unit: unit.clone() }),
            _ => Err(format!("it printed no line `{metric}`")),
        }
    }
}

/// What ended.
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) wall: Duration,
    usage: Usage,
}

/// Runs a program to its end and reads the lines `metric value unit` it prints.
pub(crate) fn run(program: &Program, timeout: Duration) -> Result<Run, String> {
    let before = busy()?;
    let ended =
        output(&mut program.command(), timeout).map_err(|error| format!("{}: {error}", program.line()))?;
    let (wall, usage) = (ended.wall.as_secs_f64(), &ended.usage);
    let mut run = Run {
        wall,
        cpu: usage.cpu,
        voluntary: usage.voluntary,
        involuntary: usage.involuntary,
        noise: ((busy()? - before - usage.cpu) / wall).max(0.0),
        ..Run::default()
    };
    for line in ended.stdout.lines() {
        let wrong = || format!("{}: it printed `{line}`, not `metric value unit`", program.line());
        let [metric, value, unit] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        run.add(metric, value.parse().map_err(|_| wrong())?, unit);
    }
    Ok(run)
}

/// Runs a command to its end; after `timeout` it is killed. An error if it does not exit with 0.
pub(crate) fn output(command: &mut Command, timeout: Duration) -> Result<Ended, String> {
    let begin = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".to_owned(),
        _ => format!("it does not start: {error}"),
    })?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let (ended, waiting) = mpsc::channel();
    let pid = child.id() as libc::pid_t;
    thread::spawn(move || {
        wait_for_end(pid);
        let _ = ended.send(());
    });
    let timed_out = matches!(waiting.recv_timeout(timeout), Err(RecvTimeoutError::Timeout));
    if timed_out {
        // It has not been waited for, so the number is still its own.
        let _ = child.kill();
    }
    let (status, usage) = reap(&child).map_err(|error| format!("it cannot be waited for: {error}"))?;
    let wall = begin.elapsed();
    let (stdout, stderr) = (text(stdout), text(stderr));
    let last = |text: &str| -> String {
        let from = text.char_indices().rev().nth(1999).map_or(0, |(at, _)| at);
        text[from..].trim_end().to_owned()
    };
    if timed_out {
        let seconds = timeout.as_secs();
        return Err(format!(
            "still not done after {seconds} s (--timeout), so it was killed\n{}",
            last(&stderr)
        ));
    }
    if libc::WIFSIGNALED(status) {
        return Err(format!("killed by signal {}\n{}", libc::WTERMSIG(status), last(&stderr)));
    }
    match libc::WEXITSTATUS(status) {
        0 => Ok(Ended { stdout, stderr, wall, usage }),
        code => Err(format!("exit code {code}\n{}", last(&stderr))),
    }
}

type Reader = thread::JoinHandle<Vec<u8>>;

fn reader(stream: Option<impl Read + Send + 'static>) -> Reader {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is still worth showing.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn text(reader: Reader) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

/// Waits until a child has ended, and leaves it to be reaped.
fn wait_for_end(pid: libc::pid_t) {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: `info` is a place for one.
        let result = unsafe {
            libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Processor time and context switches.
#[derive(Debug, Clone, Copy)]
struct Usage {
    cpu: f64,
    voluntary: u64,
    involuntary: u64,
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Self {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Usage {
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            voluntary: usage.ru_nvcsw as u64,
            involuntary: usage.ru_nivcsw as u64,
        }
    }
}

/// Waits for the end of a child: its status, and what it used.
fn reap(child: &Child) -> io::Result<(i32, Usage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both are places for what is written there; the child is ours and has not been waited for.
        let pid = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr()) };
        if pid > 0 {
            // SAFETY: all-zero is a valid one, and the call has filled it.
            return Ok((status, unsafe { usage.assume_init() }.into()));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Processor seconds of this process and the children it has waited for.
pub(crate) fn own_cpu() -> f64 {
    let used = |who| {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: `usage` is a place for one; all-zero is a valid one, also if the call failed.
        let usage = unsafe {
            libc::getrusage(who, usage.as_mut_ptr());
            usage.assume_init()
        };
        Usage::from(usage).cpu
    };
    used(libc::RUSAGE_SELF) + used(libc::RUSAGE_CHILDREN)
}

/// How many clock ticks /proc counts in a second.
pub(crate) fn ticks() -> f64 {
    // SAFETY: it takes no pointers.
    (unsafe { libc::sysconf(libc::_SC_CLK_TCK) }) as f64
}

/// Processor seconds of the whole machine.
pub(crate) fn busy() -> Result<f64, String> {
    let text =
        std::fs::read_to_string("/proc/stat").map_err(|error| format!("cannot read /proc/stat: {error}"))?;
    let fields: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let [user, nice, system, _, _, irq, softirq, ..] = fields[..] else {
        return Err("/proc/stat does not begin as it should".to_owned());
    };
    Ok((user + nice + system + irq + softirq) / ticks())
}

/// Lets this process and its children have as many descriptors as they may; says how many.
pub(crate) fn raise_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a place for one, and a valid one afterwards.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
    }
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Program {
        Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("LATE", "0.5".into())],
        }
    }

    #[test]
    fn lines_become_figures() {
        let run = run(&shell("echo pingpong 135.5 ns; echo late $LATE ms"), LONG).unwrap();
        assert_eq!(run.figure("pingpong").unwrap(), Figure { value: 135.5, unit: "ns".into() });
        assert_eq!(run.figure("late").unwrap().value, 0.5);
        assert!(run.figure("missing").unwrap_err().contains("missing"));
        assert!(run.wall > 0.0 && run.noise >= 0.0);
    }

    #[test]
    fn processor_time_is_the_childs() {
        let run = run(&shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"), LONG).unwrap();
        assert!(run.cpu > 0.005, "{run:?}");
    }

    #[test]
    fn what_fails_says_how() {
        let fails = |script: &str| run(&shell(script), LONG).unwrap_err();
        let error = fails("echo the reason >&2; exit 3");
        assert!(
            error.contains("exit code 3") && error.contains("the reason") && error.contains("/bin/sh -c"),
            "{error}"
        );
        assert!(fails("kill -SEGV $$").contains("signal 11"));
        assert!(fails("echo only two").contains("`only two`"));
        assert!(fails("echo x one ns").contains("`x one ns`"));
        let none = Program { path: "/no/such/program".into(), args: vec![], env: vec![] };
        assert!(run(&none, LONG).unwrap_err().contains("no such program"));
    }

    #[test]
    fn what_hangs_is_killed() {
        let begin = Instant::now();
        let error = run(&shell("echo waiting >&2; exec sleep 1000"), Duration::from_millis(300)).unwrap_err();
        assert!(error.contains("--timeout") && error.contains("waiting"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
