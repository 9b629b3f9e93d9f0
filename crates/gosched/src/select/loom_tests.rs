//! Models of what no future of a model reaches, since there time stands still: a select that looks again.
//! How they run is said in `chan/loom_tests.rs`.

use super::engine::{Cases, Engine, Limit};
use crate::chan::{Receiver, bounded};
use crate::wait::list::{Kind, Node};
use crate::wait::selectable::{End, Selectable};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// One receive.
struct One<'a>(&'a Receiver<u8>, Node);

// SAFETY: the models queue it where it stays until the select has ended.
unsafe impl Cases for One<'_> {
    fn count(&self) -> usize {
        1
    }

    fn case(&self, _: usize) -> Option<(&dyn Selectable, &Node, *mut ())> {
        Some((self.0, &self.1, std::ptr::null_mut()))
    }
}

/// A select whose clock makes it look again, and finds nothing, has been waiting all the time.
#[test]
fn loom_c25_a_select_that_looks_again_is_always_seen_waiting() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let case = One(&rx, Node::new(Kind::Case));
        let engine = pin!(Engine::new(true, Limit::Forever));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(engine.as_ref().poll(&case, &mut cx).is_pending());
        let sender = loom::thread::spawn(move || {
            assert_eq!(tx.try_send(1), Ok(()), "somebody waits for it");
            tx
        });
        // Perhaps it is served already.
        assert_eq!(engine.time_passed(&case, Limit::Forever), None);
        let _tx = sender.join().unwrap();
        let Poll::Ready(Some((0, end @ End::Held(_)))) = engine.as_ref().poll(&case, &mut cx) else {
            panic!("the message was sent to it")
        };
        assert_eq!(rx.take_case(end), Some(1));
    });
}
