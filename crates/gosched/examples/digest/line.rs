//! The lines of `sha256sum`.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::hash::Digest;

/// Writes `digest  path`. A path with a backslash, line feed or carriage return is written with
/// escapes, and the line then begins with a backslash: what reads it back knows where it ends.
pub(crate) fn write_line(output: &mut impl Write, digest: &Digest, path: &Path) -> io::Result<()> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b' '; 66];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    let path = path.as_os_str().as_bytes();
    if !path.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        output.write_all(&text)?;
        output.write_all(path)?;
        return output.write_all(b"\n");
    }
    output.write_all(b"\\")?;
    output.write_all(&text)?;
    for byte in path {
        match byte {
            b'\\' => output.write_all(b"\\\\")?,
            b'\n' => output.write_all(b"\\n")?,
            b'\r' => output.write_all(b"\\r")?,
            _ => output.write_all(&[*byte])?,
        }
    }
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_sha256sum_does() {
        let line = |path: &str| {
            let mut output = Vec::new();
            write_line(&mut output, &[0xa5; 32], Path::new(path)).unwrap();
            String::from_utf8(output).unwrap().replace(&"a5".repeat(32), "DIGEST")
        };
        assert_eq!(line("d/plain name"), "DIGEST  d/plain name\n");
        assert_eq!(line("a\\b\nc\rd"), "\\DIGEST  a\\\\b\\nc\\rd\n");
    }
}
