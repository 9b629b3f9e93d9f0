//! What is to be fetched: arguments, and lines of files and of standard input.

use crate::args::Input;
use gosched::blocking;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// A URL, or why one could not be read and from where.
pub(crate) type Target = Result<String, (String, io::Error)>;

/// All URLs, in the order in which they were named; lines are read when they are needed. The files are opened at once, so
/// that one that is not there is told of before anything is fetched.
pub(crate) fn open(inputs: &[Input]) -> io::Result<impl Iterator<Item = Target> + Send + 'static> {
    let mut sources: Vec<Box<dyn Iterator<Item = Target> + Send>> = Vec::new();
    for input in inputs {
        match input {
            Input::Url(url) => sources.push(Box::new(std::iter::once(Ok(url.clone())))),
            Input::Stdin => sources.push(Box::new(lines("standard input".to_owned(), gosched::io::stdin()))),
            Input::File(path) => {
                let name = path.display().to_string();
                let opened = blocking(|| File::open(path));
                let file =
                    opened.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
                sources.push(Box::new(lines(name, Blocking(file))));
            }
        }
    }
    Ok(sources.into_iter().flatten())
}

/// Those lines that name a URL. An error ends them.
fn lines(name: String, input: impl Read + Send) -> impl Iterator<Item = Target> + Send {
    let mut lines = BufReader::new(input).lines();
    let mut failed = false;
    std::iter::from_fn(move || {
        while !failed {
            match lines.next()? {
                Ok(line) if line.trim().is_empty() || line.trim_start().starts_with('#') => {}
                Ok(line) => return Some(Ok(line.trim().to_owned())),
                Err(error) => {
                    failed = true;
                    return Some(Err((name.clone(), error)));
                }
            }
        }
        None
    })
}

/// A file, for goroutines: it is read on a thread that may wait for the disk.
struct Blocking(File);

impl Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        blocking(|| self.0.read(buf))
    }
}
