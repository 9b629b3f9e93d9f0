//! What signal handlers here have in common.
//!
//! A handler of ours runs with all other signals blocked: the signal stack of a thread may have room for one handler, since
//! the kernel puts the processor's registers there, 3.4 KB of them with AVX-512, and std's threads have 8.

use libc::{c_int, c_void, siginfo_t};
use std::mem::MaybeUninit;
use std::ptr;

/// Calls the handler that was there before ours, as the kernel would have: with those signals blocked that were when this
/// one came, and those it has asked for.
///
/// # Safety
///
/// By a handler, with what the kernel has passed to it; `old` names a handler.
pub(crate) unsafe fn call_previous(
    old: &libc::sigaction,
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: all of it is async-signal-safe. The context is the kernel's. The old action's handler has the form that its
    // flags tell, and expects what the kernel passed us.
    unsafe {
        let before = &raw const (*context.cast::<libc::ucontext_t>()).uc_sigmask;
        libc::pthread_sigmask(libc::SIG_SETMASK, before.cast(), ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_BLOCK, &old.sa_mask, ptr::null_mut());
        if old.sa_flags & libc::SA_NODEFER == 0 {
            let mut this = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            libc::sigemptyset(&mut this);
            libc::sigaddset(&mut this, signal);
            libc::pthread_sigmask(libc::SIG_BLOCK, &this, ptr::null_mut());
        }
        if old.sa_flags & libc::SA_SIGINFO != 0 {
            type Informed = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            std::mem::transmute::<usize, Informed>(old.sa_sigaction)(signal, info, context);
        } else {
            std::mem::transmute::<usize, extern "C" fn(c_int)>(old.sa_sigaction)(signal);
        }
    }
}
