//! A stand-in for the library: channels of one thread and a select engine that looks at one case
//! after the other, with the names and signatures the expansion of `select!` uses.
//!
//! It is here so that the macros are tested by themselves: what is evaluated when, what compiles,
//! whose `break` is whose. The real engine is tested with the real macros in the library.

#![allow(unreachable_pub, reason = "it is written as the library's public module is")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The shell, as the library writes it.
#[macro_export]
macro_rules! select {
    ($($case:tt)*) => { $crate::__select::select_impl! { $crate select $($case)* } };
}
/// The shell with a bias.
#[macro_export]
macro_rules! select_biased {
    ($($case:tt)*) => { $crate::__select::select_impl! { $crate select_biased $($case)* } };
}
/// The shell for futures.
#[macro_export]
macro_rules! select_async {
    ($($case:tt)*) => { $crate::__select::select_impl! { $crate select_async $($case)* } };
}

#[derive(Debug, PartialEq)]
pub struct RecvError;
#[derive(Debug, PartialEq)]
pub struct SendError<T>(pub T);

struct Channel<T> {
    queue: RefCell<VecDeque<T>>,
    capacity: usize,
    /// Slots given back by arms that were chosen and dropped.
    returned: std::cell::Cell<usize>,
}

#[derive(Clone)]
pub struct Sender<T>(Rc<Channel<T>>);
#[derive(Clone)]
pub struct Receiver<T>(Rc<Channel<T>>);

pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel { queue: RefCell::default(), capacity, returned: Default::default() });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Sender<T> {
    pub fn send(&self, message: T) {
        self.0.queue.borrow_mut().push_back(message);
    }
    pub fn returned(&self) -> usize {
        self.0.returned.get()
    }
}

impl<T> Receiver<T> {
    pub fn len(&self) -> usize {
        self.0.queue.borrow().len()
    }
    pub fn try_recv(&self) -> Option<T> {
        self.0.queue.borrow_mut().pop_front()
    }
}

pub mod select {
    pub mod __private {
        use super::super::{Receiver, RecvError, SendError, Sender};
        use std::cell::Cell;
        use std::mem::ManuallyDrop;
        use std::time::Duration;

        pub use gosched_macros::select_impl;

        pub trait RecvOperand {
            type Item;
            fn __recv_needs_a_receiver(&self) -> Option<&Receiver<Self::Item>>;
        }
        impl<T> RecvOperand for Receiver<T> {
            type Item = T;
            fn __recv_needs_a_receiver(&self) -> Option<&Receiver<T>> {
                Some(self)
            }
        }
        impl<R: RecvOperand> RecvOperand for Option<R> {
            type Item = R::Item;
            fn __recv_needs_a_receiver(&self) -> Option<&Receiver<R::Item>> {
                self.as_ref()?.__recv_needs_a_receiver()
            }
        }
        impl<R: RecvOperand + ?Sized> RecvOperand for &R {
            type Item = R::Item;
            fn __recv_needs_a_receiver(&self) -> Option<&Receiver<R::Item>> {
                (**self).__recv_needs_a_receiver()
            }
        }

        pub trait SendOperand {
            type Item;
            fn __send_needs_a_sender(&self) -> Option<&Sender<Self::Item>>;
        }
        impl<T> SendOperand for Sender<T> {
            type Item = T;
            fn __send_needs_a_sender(&self) -> Option<&Sender<T>> {
                Some(self)
            }
        }
        impl<S: SendOperand> SendOperand for Option<S> {
            type Item = S::Item;
            fn __send_needs_a_sender(&self) -> Option<&Sender<S::Item>> {
                self.as_ref()?.__send_needs_a_sender()
            }
        }
        impl<S: SendOperand + ?Sized> SendOperand for &S {
            type Item = S::Item;
            fn __send_needs_a_sender(&self) -> Option<&Sender<S::Item>> {
                (**self).__send_needs_a_sender()
            }
        }

        pub enum Wait {
            Try,
            Forever,
            Timeout(Duration),
        }

        pub trait Arm {
            fn seems_ready(&self) -> bool;
            fn ready(&mut self) -> bool;
        }

        pub struct RecvArm<'a, T>(Option<&'a Receiver<T>>);
        impl<'a, T> RecvArm<'a, T> {
            pub fn new(operand: &Option<&'a Receiver<T>>) -> Self {
                RecvArm(*operand)
            }
            pub fn take(self) -> Result<T, RecvError> {
                self.0.unwrap().0.queue.borrow_mut().pop_front().ok_or(RecvError)
            }
        }
        impl<T> Arm for RecvArm<'_, T> {
            fn seems_ready(&self) -> bool {
                self.0.is_some_and(|receiver| receiver.len() > 0)
            }
            fn ready(&mut self) -> bool {
                self.seems_ready()
            }
        }

        pub struct SendArm<'a, T> {
            sender: Option<&'a Sender<T>>,
            chosen: bool,
        }
        impl<'a, T> SendArm<'a, T> {
            pub fn new(operand: &Option<&'a Sender<T>>) -> Self {
                SendArm { sender: *operand, chosen: false }
            }
            pub fn finish(mut self, message: T) -> Result<(), SendError<T>> {
                assert!(std::mem::take(&mut self.chosen));
                self.sender.unwrap().send(message);
                Ok(())
            }
            pub async fn finish_async(self, message: T) -> Result<(), SendError<T>> {
                self.finish(message)
            }
        }
        impl<T> Drop for SendArm<'_, T> {
            fn drop(&mut self) {
                if self.chosen {
                    let channel = &self.sender.unwrap().0;
                    channel.returned.set(channel.returned.get() + 1);
                }
            }
        }
        impl<T> Arm for SendArm<'_, T> {
            fn seems_ready(&self) -> bool {
                self.sender.is_some_and(|Sender(c)| c.queue.borrow().len() < c.capacity)
            }
            fn ready(&mut self) -> bool {
                self.chosen = self.seems_ready();
                self.chosen
            }
        }

        pub struct Ready(Vec<usize>);
        impl Ready {
            pub fn new() -> Self {
                Self(Vec::new())
            }
            pub fn note(&mut self, case: u32, ready: bool) {
                self.0.extend(ready.then_some(case as usize));
            }
            pub fn draw(&self, biased: bool) -> Option<usize> {
                // Fair means "the last one" here: enough to tell the two apart.
                if biased { self.0.first().copied() } else { self.0.last().copied() }
            }
        }

        pub struct Local<A>(ManuallyDrop<A>);
        impl<A: Arm> Local<A> {
            pub fn of(arm: A) -> Self {
                Self(ManuallyDrop::new(arm))
            }
            pub fn seems_ready(&self) -> bool {
                self.0.seems_ready()
            }
            /// Every other one is left to `run_drawn`: the expansion needs both ways.
            pub fn try_now(&mut self) -> bool {
                thread_local!(static WAY: Cell<bool> = const { Cell::new(false) });
                WAY.set(!WAY.get());
                WAY.get() && self.0.ready()
            }
            pub fn arm(&mut self) -> &mut A {
                &mut self.0
            }
            pub fn won(self) -> A {
                ManuallyDrop::into_inner(self.0)
            }
        }
        impl<T> Local<RecvArm<'_, T>> {
            pub fn take(&mut self) -> Result<T, RecvError> {
                self.0.0.unwrap().0.queue.borrow_mut().pop_front().ok_or(RecvError)
            }
        }

        pub fn run(arms: &mut [&mut dyn Arm], biased: bool, wait: Wait) -> Option<usize> {
            run_drawn(arms, biased, wait, None)
        }

        pub fn run_drawn(
            arms: &mut [&mut dyn Arm],
            biased: bool,
            wait: Wait,
            drawn: Option<usize>,
        ) -> Option<usize> {
            if let Wait::Timeout(timeout) = wait {
                assert!(timeout.is_zero(), "the mock never waits");
            }
            let chosen = if biased {
                arms.iter_mut().position(|arm| arm.ready())
            } else {
                arms.iter_mut().rposition(|arm| arm.ready())
            };
            assert_eq!(chosen, drawn);
            assert!(chosen.is_some() || !matches!(wait, Wait::Forever), "would block forever");
            chosen
        }

        pub trait Arms {
            fn ready(&mut self, index: usize) -> Option<usize>;
        }
        impl Arms for () {
            fn ready(&mut self, _: usize) -> Option<usize> {
                None
            }
        }
        impl<A: Arm, R: Arms> Arms for (A, R) {
            fn ready(&mut self, index: usize) -> Option<usize> {
                if self.0.ready() { Some(index) } else { self.1.ready(index + 1) }
            }
        }
        pub async fn select_async<A: Arms>(_biased: bool, wait: Wait, mut arms: A) -> (Option<usize>, A) {
            let chosen = arms.ready(0);
            assert!(chosen.is_some() || !matches!(wait, Wait::Forever), "would block forever");
            (chosen, arms)
        }
    }
}
