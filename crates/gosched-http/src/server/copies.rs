//! Whether hyper copies the bodies of responses behind their heads, or has the system gather them.
//!
//! For a small body the copy is much the cheaper: hyper keeps no list of pieces, and the system is given one. For a large one
//! it is a waste. hyper is told when a connection of its is made, before anybody knows what will be sent. So a connection
//! begins with gathering; when it has sent many small responses in a row, hyper's is made anew with copying, and again
//! with gathering once there was a large one. (Behind TLS everything is copied, since it is encrypted piece by piece.)
//!
//! That is done after a request without a body only. What is left of a body that somebody has dropped just now hyper may
//! not know of yet, and a new connection would take it for the next request.

use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// From which size on gathering is cheaper.
pub(super) const LARGE: usize = 4 * 1024;
/// How many small responses make it copy: so many that hyper's new connection costs little beside them.
const MANY: u32 = 64;
/// The most that is copied at once, since all of it must be stored.
const PIECE: usize = 64 * 1024;

/// See the module. Used by the connection's goroutine alone, but for HTTP/2, which does not care.
pub(super) struct Copies {
    made: AtomicBool,
    /// Cannot change.
    fixed: bool,
    /// Responses since the last large piece.
    small: AtomicU32,
    /// The last request had none.
    no_body: AtomicBool,
}

impl Copies {
    pub(super) fn new(secure: bool) -> Self {
        Self {
            made: AtomicBool::new(secure),
            fixed: secure,
            small: AtomicU32::new(0),
            no_body: AtomicBool::new(false),
        }
    }

    pub(super) fn are_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn note_request(&self, body: bool) {
        self.no_body.store(!body, Ordering::Relaxed);
        self.small.store(self.small.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Notes a piece of a body that is to be sent. What comes back is to be sent after it.
    #[inline]
    pub(super) fn note_piece(&self, piece: &mut Bytes) -> Option<Bytes> {
        if piece.len() < LARGE { None } else { self.note_large(piece) }
    }

    fn note_large(&self, piece: &mut Bytes) -> Option<Bytes> {
        self.small.store(0, Ordering::Relaxed);
        (self.are_made() && piece.len() > PIECE).then(|| piece.split_off(PIECE))
    }

    /// Whether the other way would be better, of a connection that waits for the next request.
    pub(super) fn should_turn(&self) -> bool {
        let small = self.small.load(Ordering::Relaxed);
        let better = if self.are_made() { small == 0 } else { small >= MANY };
        better && !self.fixed && self.no_body.load(Ordering::Relaxed)
    }

    pub(super) fn turn(&self) {
        self.made.store(!self.are_made(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(copies: &Copies, size: usize) -> (usize, usize) {
        let mut piece = Bytes::from(vec![0; size]);
        let rest = copies.note_piece(&mut piece).map_or(0, |rest| rest.len());
        (piece.len(), rest)
    }

    #[test]
    fn many_small_responses_are_copied_until_a_large_one_comes() {
        let copies = Copies::new(false);
        for _ in 1..MANY {
            copies.note_request(false);
            assert_eq!(piece(&copies, 100), (100, 0));
            assert!(!copies.should_turn());
        }
        copies.note_request(true);
        assert!(!copies.should_turn());
        copies.note_request(false);
        assert!(copies.should_turn());
        copies.turn();
        assert!(copies.are_made() && !copies.should_turn());
        copies.note_request(false);
        // What is stored has a bound.
        assert_eq!(piece(&copies, 3 * PIECE), (PIECE, 2 * PIECE));
        assert!(copies.should_turn());
        copies.turn();
        assert_eq!(piece(&copies, 3 * PIECE), (3 * PIECE, 0));
        assert!(!copies.are_made() && !copies.should_turn());
    }

    #[test]
    fn behind_tls_everything_is_copied_in_pieces() {
        let copies = Copies::new(true);
        assert_eq!(piece(&copies, 3 * PIECE), (PIECE, 2 * PIECE));
        for _ in 0..2 * MANY {
            copies.note_request(false);
            assert!(copies.are_made() && !copies.should_turn());
        }
    }
}
