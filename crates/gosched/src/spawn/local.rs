//! Values that belong to one goroutine.

use crate::sys::threads::discard_payload;
use crate::task::TaskRef;
use crate::task::current::current_task;
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ptr::NonNull;

/// The values of one goroutine, by the address of their key.
#[derive(Default)]
struct Values(HashMap<usize, Box<dyn Any + Send>>);

impl Drop for Values {
    fn drop(&mut self) {
        for (_, value) in self.0.drain() {
            // The panic hook has told of a destructor's panic. It must not keep the others from being dropped,
            // and it comes too late to be the goroutine's.
            discard_payload(value);
        }
    }
}

thread_local! {
    /// Those of a thread that runs no goroutine.
    static OF_THREAD: RefCell<Values> = RefCell::new(Values::default());
}

/// A value of which each goroutine has its own. Made by [`goroutine_local!`](crate::goroutine_local).
///
/// It is made when a goroutine first asks for it, and dropped when the goroutine ends. A thread that runs no
/// goroutine has one, too.
///
/// `T` must be `Send`, since a goroutine may go on on another thread.
///
/// ```
/// use gosched::LocalKey;
/// use std::cell::Cell;
///
/// gosched::goroutine_local! {
///     static COUNT: Cell<u32> = Cell::new(0);
/// }
/// fn next(key: &'static LocalKey<Cell<u32>>) -> u32 {
///     key.with(|count| count.replace(count.get() + 1))
/// }
/// assert_eq!((next(&COUNT), next(&COUNT)), (0, 1));
/// assert_eq!(gosched::go(|| next(&COUNT)).join().unwrap(), 0, "it has its own");
/// ```
///
/// In Go: nothing; contexts carry values there.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey { .. }")
    }
}

impl<T: Send + 'static> LocalKey<T> {
    /// For [`goroutine_local!`](crate::goroutine_local).
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        // A key of no size could share its address with another one.
        Self { init }
    }

    /// Calls `f` with the calling goroutine's value.
    ///
    /// # Panics
    ///
    /// A panic of the initial expression or of `f` is passed on. On a thread whose thread-locals are being
    /// destroyed it panics.
    ///
    /// ```
    /// gosched::goroutine_local! {
    ///     static NAMES: std::cell::RefCell<Vec<&'static str>> = Default::default();
    /// }
    /// NAMES.with(|names| names.borrow_mut().push("gopher"));
    /// assert_eq!(NAMES.with(|names| names.borrow().len()), 1);
    /// ```
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        let value = match self.find() {
            Some(value) => value,
            None => {
                // Made without touching the map: the expression may use other keys, or this one. Then the value
                // made first stays, and ours is dropped outside the map, whose users' code it may call.
                let mut fresh: Option<Box<dyn Any + Send>> = Some(Box::new((self.init)()));
                self.edit(|values| {
                    if let Entry::Vacant(place) = values.0.entry(self.address())
                        && let Some(fresh) = fresh.take()
                    {
                        place.insert(fresh);
                    }
                });
                drop(fresh);
                self.find().expect("it was just put in")
            }
        };
        // SAFETY: a value is boxed, and stays in the map until the goroutine (or the thread) ends, which is
        // not before `f` has returned. Nobody has a `&mut` to it.
        f(unsafe { value.as_ref() })
    }

    fn address(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn find(&'static self) -> Option<NonNull<T>> {
        self.edit(|values| values.0.get(&self.address())?.downcast_ref::<T>().map(NonNull::from))
    }

    /// Calls `f`, which runs no code of the user, with the map of whoever calls.
    fn edit<R>(&'static self, f: impl FnOnce(&mut Values) -> R) -> R {
        match current_task() {
            Some(task) => Self::edit_task(task, f),
            None => OF_THREAD.with_borrow_mut(f),
        }
    }

    fn edit_task<R>(task: TaskRef, f: impl FnOnce(&mut Values) -> R) -> R {
        task.with_locals(|locals| {
            let values = locals.get_or_insert_with(|| Box::new(Values::default()));
            f(values.downcast_mut().expect("only this module stores locals"))
        })
    }
}

/// Declares values of which each goroutine has its own, as `std::thread_local!` does for threads.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// gosched::goroutine_local! {
///     static DEPTH: Cell<u32> = Cell::new(0);
/// }
/// gosched::run(|| {
///     DEPTH.with(|depth| depth.set(3));
///     let other = gosched::go(|| DEPTH.with(|depth| depth.get()));
///     assert_eq!(other.join().unwrap(), 0);
///     assert_eq!(DEPTH.with(|depth| depth.get()), 3);
/// });
/// ```
///
/// Go has refused them; contexts carry values there.
#[macro_export]
macro_rules! goroutine_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr; $($rest:tt)*) => {
        $(#[$attr])* $vis static $name: $crate::LocalKey<$t> =
            $crate::LocalKey::new(|| $init);
        $crate::goroutine_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr) => {
        $crate::goroutine_local!($(#[$attr])* $vis static $name: $t = $init;);
    };
}
