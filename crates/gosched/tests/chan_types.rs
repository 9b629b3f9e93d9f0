//! What the types of channels say: which handle can do what, and who may have one. (What must not compile at all is
//! at `chan::MustNotCompile`.)
#![allow(non_snake_case)]

use gosched::chan::{self, Receiver, RecvFuture, SendFuture, Sender};
use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

/// Whether a type has a trait: the constant of the type itself comes before that of the trait, if it is there.
macro_rules! has {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code)]
        trait No {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> No for T {}
        #[allow(dead_code)]
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)]
        impl<T: ?Sized + $($bound)+> Probe<T> {
            const ANSWER: bool = true;
        }
        <Probe<$type>>::ANSWER
    }};
}

/// Methods that a type has if it has none of its own with these names.
trait Lacks {
    fn send(&self, _: i32) -> Lacking {
        Lacking
    }
    fn try_send(&self, _: i32) -> Lacking {
        Lacking
    }
    fn close(&self) -> Lacking {
        Lacking
    }
    fn recv(&self) -> Lacking {
        Lacking
    }
    fn try_recv(&self) -> Lacking {
        Lacking
    }
}

#[derive(Debug, PartialEq)]
struct Lacking;

impl Lacks for Sender<i32> {}
impl Lacks for Receiver<i32> {}

#[test]
fn C12_and_C13_each_handle_has_one_direction_and_neither_becomes_the_other() {
    let (tx, rx) = chan::bounded(1);
    // Its own methods where it has them.
    assert_eq!((tx.send(1), rx.recv(), rx.try_recv().is_err(), tx.close()), (Ok(()), Ok(1), true, true));
    assert!(tx.try_send(2).is_err());
    // And ours where it has none.
    assert_eq!((rx.send(1), rx.try_send(1), rx.close()), (Lacking, Lacking, Lacking));
    assert_eq!((tx.recv(), tx.try_recv()), (Lacking, Lacking));
    let becomes = [
        has!(Sender<i32>: Into<Receiver<i32>>),
        has!(Receiver<i32>: Into<Sender<i32>>),
        has!(Sender<i32>: AsRef<Receiver<i32>>),
        has!(Receiver<i32>: AsRef<Sender<i32>>),
        has!(Sender<i32>: std::borrow::Borrow<Receiver<i32>>),
        has!(Sender<i32>: IntoIterator),
        has!(Receiver<i32>: Extend<i32>),
        has!(Sender<i32>: std::ops::Deref),
        has!(Receiver<i32>: std::ops::Deref),
    ];
    assert_eq!(becomes, [false; 9]);
    assert!(has!(Receiver<i32>: IntoIterator<Item = i32>) && has!(Sender<i32>: Clone));
}

#[test]
fn C28_handles_go_wherever_their_messages_may_go() {
    // A message that may change threads, even one that may not be shared, lets its channel be shared.
    assert!(has!(Sender<Cell<i32>>: Send + Sync) && has!(Receiver<Cell<i32>>: Send + Sync));
    assert!(has!(SendFuture<'static, Cell<i32>>: Send) && has!(RecvFuture<'static, Cell<i32>>: Send));
    // One that may not keeps everything where it is.
    let goes = [
        has!(Sender<Rc<i32>>: Send),
        has!(Sender<Rc<i32>>: Sync),
        has!(Receiver<Rc<i32>>: Send),
        has!(Receiver<Rc<i32>>: Sync),
        has!(SendFuture<'static, Rc<i32>>: Send),
        has!(RecvFuture<'static, Rc<i32>>: Send),
    ];
    assert_eq!(goes, [false; 6]);
    // An operation that waits is reached from outside: it must stay where it is.
    assert!(!has!(SendFuture<'static, i32>: Unpin) && !has!(RecvFuture<'static, i32>: Unpin));
}
