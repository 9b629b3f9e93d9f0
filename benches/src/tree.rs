//! The trees of files that the digest rows read.

use crate::row::Tree;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a tree of so many files below `directory`, if it is not there, and reads it once: the rows measure with a
/// warm page cache.
pub(crate) fn make(directory: &Path, tree: Tree, files: u64) -> Result<PathBuf, String> {
    let name = match tree {
        Tree::Small => format!("small-{files}"),
        Tree::Big => format!("big-{files}"),
    };
    let path = directory.join(&name);
    let cannot = |error: io::Error| format!("cannot make the tree {}: {error}", path.display());
    if !path.exists() {
        // Under another name until it is complete.
        let part = directory.join(format!("{name}.part"));
        let _ = fs::remove_dir_all(&part);
        let filled = match tree {
            Tree::Small => fill_small(&part, files),
            Tree::Big => fill_big(&part, files),
        };
        if let Err(error) = filled.and_then(|()| fs::rename(&part, &path)) {
            let _ = fs::remove_dir_all(&part);
            return Err(cannot(error));
        }
    }
    read_all(&path).map_err(cannot)?;
    Ok(path)
}

/// Directories of up to a hundred files each, all files of a directory of one size: 100 bytes to 20 kB.
fn fill_small(root: &Path, files: u64) -> io::Result<()> {
    let mut noise = fastrand::Rng::with_seed(1);
    for number in 0..files.div_ceil(100) {
        let directory = root.join(format!("part-{}/dir-{number}", number % 10));
        fs::create_dir_all(&directory)?;
        for file in 0..(files - number * 100).min(100) {
            let mut bytes = vec![0; 100 + (number as usize % 200) * 100];
            noise.fill(&mut bytes);
            fs::write(directory.join(format!("file-{file:02}")), bytes)?;
        }
    }
    Ok(())
}

/// Files of 100 MB.
fn fill_big(root: &Path, files: u64) -> io::Result<()> {
    let mut noise = fastrand::Rng::with_seed(2);
    fs::create_dir_all(root)?;
    let mut bytes = vec![0; 1_000_000];
    for file in 0..files {
        let mut out = fs::File::create(root.join(format!("file-{file}")))?;
        for _ in 0..100 {
            noise.fill(&mut bytes);
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

fn read_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| read_all(&entry?.path()));
    }
    io::copy(&mut fs::File::open(path)?, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(path: &Path) -> Vec<(PathBuf, u64)> {
        if !path.is_dir() {
            return vec![(path.into(), path.metadata().unwrap().len())];
        }
        fs::read_dir(path).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
    }

    #[test]
    fn a_tree_has_its_files_and_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let tree = make(directory.path(), Tree::Small, 250).unwrap();
        let all = files(&tree);
        assert_eq!(all.len(), 250);
        assert_eq!(all.iter().map(|(_, size)| size).sum::<u64>(), 100 * 100 + 100 * 200 + 50 * 300);
        fs::remove_file(&all[0].0).unwrap();
        assert_eq!(files(&make(directory.path(), Tree::Small, 250).unwrap()).len(), 249);
    }

    #[test]
    fn a_tree_that_cannot_be_made_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(make(&file, Tree::Small, 5).unwrap_err().contains("cannot make the tree"));
    }
}
