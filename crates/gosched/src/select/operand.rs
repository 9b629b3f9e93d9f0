//! What may stand in `recv(…)` and `send(…)` of the select macros.
//!
//! The macros look the channel up with a method call, so that the compiler's own rules find it: a
//! `Receiver`, an `Option` of one, and references, boxes and whatever else derefs to one of the two.
//! The methods are called the way the compiler's error shall read when there is no channel.

use std::rc::Rc;
use std::sync::Arc;

use crate::chan::{Receiver, Sender};

/// Something to receive from in a select.
pub trait RecvOperand {
    /// The channel's messages.
    type Item;

    /// The receiver, or none: a case that is never ready.
    fn __recv_needs_a_receiver(&self) -> Option<&Receiver<Self::Item>>;
}

/// Something to send to in a select.
pub trait SendOperand {
    /// The channel's messages.
    type Item;

    /// The sender, or none: a case that is never ready.
    fn __send_needs_a_sender(&self) -> Option<&Sender<Self::Item>>;
}

impl<T> RecvOperand for Receiver<T> {
    type Item = T;

    fn __recv_needs_a_receiver(&self) -> Option<&Receiver<T>> {
        Some(self)
    }
}

impl<T> SendOperand for Sender<T> {
    type Item = T;

    fn __send_needs_a_sender(&self) -> Option<&Sender<T>> {
        Some(self)
    }
}

/// Go's nil channel.
impl<R: RecvOperand> RecvOperand for Option<R> {
    type Item = R::Item;

    fn __recv_needs_a_receiver(&self) -> Option<&Receiver<R::Item>> {
        self.as_ref()?.__recv_needs_a_receiver()
    }
}

/// Go's nil channel.
impl<S: SendOperand> SendOperand for Option<S> {
    type Item = S::Item;

    fn __send_needs_a_sender(&self) -> Option<&Sender<S::Item>> {
        self.as_ref()?.__send_needs_a_sender()
    }
}

/// Pointers inside an `Option`: outside of one the method call derefs by itself.
macro_rules! through_pointers {
    ($($pointer:ty),*) => { $(
        impl<C: RecvOperand + ?Sized> RecvOperand for $pointer {
            type Item = C::Item;

            fn __recv_needs_a_receiver(&self) -> Option<&Receiver<C::Item>> {
                (**self).__recv_needs_a_receiver()
            }
        }

        impl<C: SendOperand + ?Sized> SendOperand for $pointer {
            type Item = C::Item;

            fn __send_needs_a_sender(&self) -> Option<&Sender<C::Item>> {
                (**self).__send_needs_a_sender()
            }
        }
    )* };
}

through_pointers!(&C, &mut C, Box<C>, Rc<C>, Arc<C>);
