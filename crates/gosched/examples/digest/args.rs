//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use super::hash::Algorithm;

/// What the program prints for `--help` and behind every complaint about its arguments.
pub(crate) const USAGE: &str = "\
usage: digest [--workers N] [--algorithm sha256|blake3] [DIR]

Prints a digest of every regular file under DIR, in the format of sha256sum and in
the order of the paths. Symbolic links are not followed. Without DIR it digests the
sources of the project it belongs to.

  --workers N      how many files are digested at once (default: one per core)
  --algorithm A    sha256 (default) or blake3

Exit codes: 0 done, 1 some files could not be read, 2 bad arguments, 130 interrupted.
";

/// What the user asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Help,
    Run(Arguments),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    /// None means one per core.
    pub(crate) workers: Option<usize>,
    pub(crate) algorithm: Algorithm,
    /// None means the project itself.
    pub(crate) root: Option<PathBuf>,
}

/// Reads the arguments behind the program's name. The error says what is wrong with them.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut parsed = Arguments { workers: None, algorithm: Algorithm::Sha256, root: None };
    let mut arguments = arguments.into_iter();
    let mut only_paths = false;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if text.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text, None),
        };
        let mut value =
            || inline.clone().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match name {
            _ if only_paths => set_root(&mut parsed, argument)?,
            "--" => only_paths = true,
            "-h" | "--help" => return Ok(Request::Help),
            "--workers" => parsed.workers = Some(workers(&value()?)?),
            "--algorithm" => parsed.algorithm = algorithm(&value()?)?,
            _ if text.starts_with('-') && text.len() > 1 => return Err(format!("unknown option {text}")),
            _ => set_root(&mut parsed, argument)?,
        }
    }
    Ok(Request::Run(parsed))
}

fn set_root(parsed: &mut Arguments, path: OsString) -> Result<(), String> {
    if path.is_empty() {
        return Err("DIR is empty".to_owned());
    }
    match parsed.root.replace(path.into()) {
        None => Ok(()),
        Some(_) => Err("more than one DIR".to_owned()),
    }
}

fn workers(value: &OsString) -> Result<usize, String> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(workers @ 1..=1024) => Ok(workers),
        _ => Err(format!("--workers takes a number from 1 to 1024, not {value:?}")),
    }
}

fn algorithm(value: &OsString) -> Result<Algorithm, String> {
    match value.to_str() {
        Some("sha256") => Ok(Algorithm::Sha256),
        Some("blake3") => Ok(Algorithm::Blake3),
        _ => Err(format!("--algorithm is sha256 or blake3, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &[&str]) -> Result<Arguments, String> {
        match parse(line.iter().map(OsString::from))? {
            Request::Run(arguments) => Ok(arguments),
            Request::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn good_command_lines() {
        let plain = Arguments { workers: None, algorithm: Algorithm::Sha256, root: None };
        assert_eq!(run(&[]), Ok(plain));
        let all = Arguments { workers: Some(3), algorithm: Algorithm::Blake3, root: Some("d".into()) };
        assert_eq!(run(&["--workers", "3", "d", "--algorithm=blake3"]).as_ref(), Ok(&all));
        assert_eq!(run(&["--", "--workers"]).unwrap().root, Some("--workers".into()));
        assert_eq!(run(&["a=b"]).unwrap().root, Some("a=b".into()));
        assert_eq!(parse(["--help".into()]), Ok(Request::Help));
    }

    #[test]
    fn bad_command_lines() {
        for (line, complaint) in [
            (&["--workers"][..], "--workers needs a value"),
            (&["--workers", "0"], "--workers takes a number from 1 to 1024, not \"0\""),
            (&["--workers=x"], "--workers takes a number from 1 to 1024, not \"x\""),
            (&["--algorithm", "md5"], "--algorithm is sha256 or blake3, not \"md5\""),
            (&["--fast"], "unknown option --fast"),
            (&["-j4"], "unknown option -j4"),
            (&["a", "b"], "more than one DIR"),
            (&[""], "DIR is empty"),
        ] {
            assert_eq!(run(line), Err(complaint.to_owned()));
        }
    }
}
