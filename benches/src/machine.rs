//! Where the figures come from: the machine, the versions, the commit.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
        Machine {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        }
    }
}

/// What a command prints, without the line's end; nothing if it cannot be run.
fn says(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The versions of rustc, of Go if there is one, and of the peers.
pub(crate) fn versions(root: &Path, go: Option<&Path>) -> BTreeMap<String, String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let mut versions = peers(&lock);
    versions.insert("rustc".into(), says(Command::new("rustc").arg("--version")));
    if let Some(go) = go {
        versions.insert("go".into(), says(Command::new(go).arg("version").env("GOTOOLCHAIN", "local")));
    }
    versions
}

/// The versions of what the peers' programs depend on, by Cargo.lock.
fn peers(lock: &str) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        #[serde(default)]
        dependencies: Vec<String>,
    }
    let Ok(lock) = toml::from_str::<Lock>(lock) else { return BTreeMap::new() };
    let programs =
        lock.package.iter().filter(|package| ["bench-peers", "bench-coroutines"].contains(&&*package.name));
    // `name`, or `name version` where there are several.
    let version = |dependency: &String| {
        let (name, version) =
            dependency.split_once(' ').map_or((dependency.as_str(), None), |(n, v)| (n, Some(v)));
        let package = lock
            .package
            .iter()
            .find(|package| package.name == name && version.is_none_or(|v| v == package.version));
        package
            .filter(|package| package.name != "bench-support")
            .map(|package| (name.to_owned(), package.version.clone()))
    };
    programs.flat_map(|program| &program.dependencies).filter_map(version).collect()
}

/// The commit, with `-dirty` if the sources differ from it.
pub(crate) fn commit(root: &Path) -> String {
    let git = |args: &[&str]| says(Command::new("git").arg("-C").arg(root).args(args));
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]).is_empty();
    if commit.is_empty() {
        "unknown".to_owned()
    } else if changed {
        format!("{commit}-dirty")
    } else {
        commit
    }
}

/// A file as it is in the last commit.
pub(crate) fn committed(root: &Path, path: &str) -> Option<String> {
    let text = says(Command::new("git").arg("-C").arg(root).args(["show", &format!("HEAD:{path}")]));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_known() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && !machine.kernel.is_empty(), "{machine:?}");
    }

    #[test]
    fn the_peers_versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = 'bench-peers'\nversion = '0.1.0'\n\
                    dependencies = ['bench-support', 'kanal', 'tokio 1.5.0']\n\
                    [[package]]\nname = 'bench-support'\nversion = '0.1.0'\n[[package]]\nname = 'kanal'\nversion = '0.1.1'\n\
                    [[package]]\nname = 'tokio'\nversion = '0.9.0'\n[[package]]\nname = 'tokio'\nversion = '1.5.0'\n";
        let versions = peers(lock);
        assert_eq!(versions.len(), 2, "{versions:?}");
        assert_eq!((versions["kanal"].as_str(), versions["tokio"].as_str()), ("0.1.1", "1.5.0"));
        let real = fs::read_to_string(crate::root().join("Cargo.lock")).unwrap();
        for name in ["tokio", "kanal", "may"] {
            assert!(peers(&real).contains_key(name), "{name}");
        }
    }
}
