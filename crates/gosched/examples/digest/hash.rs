//! The digest of one file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::Digest as _;

/// What `--algorithm` chooses from. Both digests have 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Algorithm {
    Sha256,
    Blake3,
}

pub(crate) type Digest = [u8; 32];

/// Digests one file after the other, with one buffer.
pub(crate) struct Digester {
    state: State,
    buffer: Box<[u8]>,
}

enum State {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

/// Large enough to make system calls cheap, small enough that what was read is still in the
/// second-level cache when it is hashed.
const BUFFER: usize = 256 * 1024;

impl Digester {
    pub(crate) fn new(algorithm: Algorithm) -> Digester {
        // Both crates choose the fastest instructions of the processor when the program runs.
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
        };
        Digester { state, buffer: vec![0; BUFFER].into_boxed_slice() }
    }

    /// The digest of a file. `progress` is told of each piece that was read; when it answers false
    /// the digest is given up and the result is `None`.
    pub(crate) fn digest(
        &mut self,
        path: &Path,
        mut progress: impl FnMut(usize) -> bool,
    ) -> io::Result<Option<Digest>> {
        let read = self.update(path, &mut progress);
        // Also after an error: the next file starts afresh.
        let digest = self.finish();
        Ok(read?.then_some(digest))
    }

    fn update(&mut self, path: &Path, progress: &mut impl FnMut(usize) -> bool) -> io::Result<bool> {
        let mut file = File::open(path)?;
        loop {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match &mut self.state {
                State::Sha256(hasher) => hasher.update(&self.buffer[..count]),
                State::Blake3(hasher) => drop(hasher.update(&self.buffer[..count])),
            }
            if !progress(count) {
                return Ok(false);
            }
        }
    }

    fn finish(&mut self) -> Digest {
        match &mut self.state {
            State::Sha256(hasher) => hasher.finalize_reset().into(),
            State::Blake3(hasher) => {
                let digest = hasher.finalize();
                hasher.reset();
                digest.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_one_after_the_other() {
        let path = std::env::temp_dir().join(format!("digest-hash-{}", std::process::id()));
        let hex = |digest: Option<Digest>| digest.unwrap().map(|byte| format!("{byte:02x}")).concat();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        for (algorithm, abc) in [(Algorithm::Sha256, sha256), (Algorithm::Blake3, blake3)] {
            let mut digester = Digester::new(algorithm);
            std::fs::write(&path, vec![7; 3 * BUFFER]).unwrap();
            assert!(digester.digest(&path, |_| false).unwrap().is_none());
            std::fs::write(&path, "abc").unwrap();
            for _ in 0..2 {
                let mut bytes = 0;
                let digest = digester.digest(&path, |count| {
                    bytes += count;
                    true
                });
                assert_eq!((hex(digest.unwrap()).as_str(), bytes), (abc, 3));
            }
            assert!(digester.digest(Path::new("/does/not/exist"), |_| true).is_err());
            assert_eq!(hex(digester.digest(&path, |_| true).unwrap()), abc);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
