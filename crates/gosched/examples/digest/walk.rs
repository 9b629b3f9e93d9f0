//! A directory tree as a stream of paths, in the order of `sort` on whole paths.
//!
//! Nothing but the directories on the way down is held in memory: each is read and sorted when the
//! walk enters it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec;

/// One step of the walk.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file.
    File(PathBuf),
    /// A directory, or an entry of one, that could not be looked at.
    Failed(PathBuf, io::Error),
}

/// The walk. Symbolic links, sockets, pipes and devices are passed over.
pub(crate) struct Walk {
    /// The directories between the root and the current place, what is left of each.
    open: Vec<Directory>,
    /// What comes before the first step into `open`.
    first: Option<Found>,
    /// Names that are passed over directly under the root.
    skipped_at_root: &'static [&'static str],
}

struct Directory {
    path: PathBuf,
    entries: vec::IntoIter<Entry>,
}

enum Entry {
    File(OsString),
    Directory(OsString),
    Failed(OsString, io::Error),
}

impl Entry {
    fn name(&self) -> &OsString {
        match self {
            Entry::File(name) | Entry::Directory(name) | Entry::Failed(name, _) => name,
        }
    }

    /// The bytes that decide the order. Whole paths are compared, and behind a directory's name they
    /// go on with a slash: `a-b` comes before `a/x`, although `a` comes before `a-b`.
    fn sort_key(&self) -> impl Iterator<Item = u8> + '_ {
        let slash = matches!(self, Entry::Directory(_)).then_some(b'/');
        self.name().as_bytes().iter().copied().chain(slash)
    }
}

impl Walk {
    /// A walk of everything under `root`, which may also be a single file.
    pub(crate) fn new(root: &Path, skipped_at_root: &'static [&'static str]) -> Walk {
        let mut walk = Walk { open: Vec::new(), first: None, skipped_at_root };
        // The root itself may be a link: the user named it.
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.first = walk.enter(root.to_owned()),
            Ok(metadata) if metadata.is_file() => walk.first = Some(Found::File(root.to_owned())),
            Ok(_) => {
                let error = io::Error::other("neither a directory nor a regular file");
                walk.first = Some(Found::Failed(root.to_owned(), error));
            }
            Err(error) => walk.first = Some(Found::Failed(root.to_owned(), error)),
        }
        walk
    }

    /// Reads a directory and makes it the current place, or says why it cannot.
    fn enter(&mut self, path: PathBuf) -> Option<Found> {
        let skipped = if self.open.is_empty() { self.skipped_at_root } else { &[] };
        let listing = match fs::read_dir(&path) {
            Ok(listing) => listing,
            Err(error) => return Some(Found::Failed(path, error)),
        };
        let mut entries = Vec::new();
        for entry in listing {
            match entry {
                Ok(entry) if skipped.iter().any(|name| entry.file_name() == *name) => {}
                Ok(entry) => entries.extend(classify(&entry)),
                // The rest of the directory cannot be read; what was read is still walked.
                Err(error) => {
                    entries.push(Entry::Failed(OsString::new(), error));
                    break;
                }
            }
        }
        entries.sort_unstable_by(|a, b| a.sort_key().cmp(b.sort_key()));
        self.open.push(Directory { path, entries: entries.into_iter() });
        None
    }
}

fn classify(entry: &fs::DirEntry) -> Option<Entry> {
    match entry.file_type() {
        Ok(kind) if kind.is_file() => Some(Entry::File(entry.file_name())),
        Ok(kind) if kind.is_dir() => Some(Entry::Directory(entry.file_name())),
        Ok(_) => None,
        Err(error) => Some(Entry::Failed(entry.file_name(), error)),
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let here = self.open.last_mut()?;
            let step = match here.entries.next() {
                None => {
                    self.open.pop();
                    continue;
                }
                Some(Entry::File(name)) => Some(Found::File(here.path.join(name))),
                Some(Entry::Failed(name, error)) => Some(Found::Failed(here.path.join(name), error)),
                Some(Entry::Directory(name)) => {
                    let path = here.path.join(name);
                    self.enter(path)
                }
            };
            if step.is_some() {
                return step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_whole_paths() {
        let root = std::env::temp_dir().join(format!("digest-walk-{}", std::process::id()));
        for name in ["a/x", "a-b", "a.c", "a/-/y", "b/z", "skip/s", "b/skip/s", "é", "A"] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        std::os::unix::fs::symlink("a-b", root.join("link")).unwrap();
        std::os::unix::fs::symlink("a", root.join("z")).unwrap();
        let walk = Walk::new(&root, &["skip"]);
        let paths: Vec<String> = walk
            .map(|found| match found {
                Found::File(path) => path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                failed => panic!("{failed:?}"),
            })
            .collect();
        let mut sorted = paths.clone();
        sorted.sort();
        assert_eq!(paths, sorted);
        assert_eq!(paths, ["A", "a-b", "a.c", "a/-/y", "a/x", "b/skip/s", "b/z", "é"]);
        let file = Walk::new(&root.join("A"), &[]).next();
        assert!(matches!(file, Some(Found::File(path)) if path == root.join("A")));
        fs::remove_dir_all(&root).unwrap();
        assert!(matches!(Walk::new(&root, &[]).next(), Some(Found::Failed(..))));
    }
}
