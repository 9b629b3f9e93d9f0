//! Small codes that addresses and headers need.

use std::fmt::Write;

/// Base64 with padding, as basic authentication wants it.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | group.get(at).copied().map_or(0, usize::from));
        for at in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * at) & 63];
            out.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// The value of a header that tells who asks.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// Adds `name=value` in the form of queries and forms.
pub(super) fn add_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    escape(out, name);
    out.push('=');
    escape(out, value);
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_its_rfc_has_it() {
        let words = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let codes = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (word, code) in words.into_iter().zip(codes) {
            assert_eq!(base64(word.as_bytes()), code);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn pairs_are_escaped() {
        let mut out = String::new();
        add_pair(&mut out, "a b", "c&d=é");
        add_pair(&mut out, "~x", "");
        assert_eq!(out, "a+b=c%26d%3D%C3%A9&~x=");
    }
}
