//! Addresses and names, and the way from one to the other.

use crate::blocking_async;
use crate::chan::{self, Receiver, Sender};
use crate::sys::global::{Mutex, OnceLock, lock};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs as _};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};

/// What can be turned into addresses: as [`std::net::ToSocketAddrs`], whose types all are, but names are looked up on a
/// thread that may block instead of on a worker.
///
/// It is sealed: nothing else can implement it.
///
/// ```
/// use gosched::net::{TcpListener, ToSocketAddrs};
///
/// fn listen(addr: impl ToSocketAddrs) -> std::io::Result<u16> {
///     Ok(TcpListener::bind(addr)?.local_addr()?.port())
/// }
/// listen("localhost:0")?;
/// listen(("127.0.0.1", 0))?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: the address strings of `net.Dial` and `net.Listen`.
pub trait ToSocketAddrs: sealed::Sealed {}

impl<T: sealed::Sealed + ?Sized> ToSocketAddrs for T {}

pub(super) mod sealed {
    use std::io;
    use std::net::SocketAddr;

    // Public as far as the compiler is concerned; nobody outside can name them.
    #[allow(unreachable_pub)]
    pub trait Sealed {
        #[doc(hidden)]
        fn target(&self) -> io::Result<Target>;
    }

    /// Addresses, or a name that stands for some.
    #[allow(unreachable_pub)]
    #[derive(Debug)]
    pub enum Target {
        /// Known.
        One(SocketAddr),
        /// Known.
        Addrs(Vec<SocketAddr>),
        /// To be looked up.
        Name(String, u16),
    }
}

pub(super) use sealed::Target;

macro_rules! one {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::One((*self).into()))
            }
        }
    )*};
}

one!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl sealed::Sealed for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

impl<const N: usize> sealed::Sealed for [SocketAddr; N] {
    fn target(&self) -> io::Result<Target> {
        self.as_slice().target()
    }
}

impl sealed::Sealed for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Target> {
        self.as_slice().target()
    }
}

impl sealed::Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => (ip, self.1).target(),
            Err(_) => Ok(Target::Name(self.0.to_owned(), self.1)),
        }
    }
}

impl sealed::Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).target()
    }
}

impl sealed::Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return addr.target();
        }
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| wrong("invalid socket address"))?;
        let port = port.parse().map_err(|_| wrong("invalid port value"))?;
        (host, port).target()
    }
}

impl sealed::Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

pub(super) type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

type Name = (String, u16);

/// A question to the system that is under way.
struct Question {
    answer: OnceLock<Result<Vec<SocketAddr>, Arc<io::Error>>>,
    /// Closed when the answer is there.
    answered: Receiver<Infallible>,
}

static QUESTIONS: LazyLock<Mutex<HashMap<Name, Arc<Question>>>> = LazyLock::new(Mutex::default);

/// The addresses of a name. Who asks for a name that is just being looked up for somebody shares that answer.
pub(super) fn look_up(target: Target) -> Lookup {
    Box::pin(async move {
        match target {
            Target::One(addr) => Ok(vec![addr]),
            Target::Addrs(addrs) => Ok(addrs),
            Target::Name(host, port) => {
                let question = ask((host, port));
                let _ = question.answered.recv_async().await;
                match question.answer.get() {
                    Some(Ok(addrs)) => Ok(addrs.clone()),
                    Some(Err(error)) => Err(io::Error::new(error.kind(), error.clone())),
                    None => Err(io::Error::other("the lookup of a name has panicked")),
                }
            }
        }
    })
}

/// The question that is under way, or a new one.
fn ask(name: Name) -> Arc<Question> {
    let (sender, answered) = chan::bounded(0);
    let question = match lock(&QUESTIONS).entry(name.clone()) {
        Entry::Occupied(found) => return found.get().clone(),
        Entry::Vacant(place) => {
            place.insert(Arc::new(Question { answer: OnceLock::new(), answered })).clone()
        }
    };
    let asked = question.clone();
    let call = blocking_async(move || {
        /// Also if the lookup panics.
        struct Answered(Name, Option<Sender<Infallible>>);
        impl Drop for Answered {
            fn drop(&mut self) {
                // First: who comes from now on asks anew.
                let gone = lock(&QUESTIONS).remove(&self.0);
                drop(gone);
                drop(self.1.take());
            }
        }
        let answered = Answered(name, Some(sender));
        let (host, port) = &answered.0;
        let found = (host.as_str(), *port).to_socket_addrs();
        let _ = asked.answer.set(found.map(Iterator::collect).map_err(Arc::new));
    });
    // It goes on without its future.
    drop(call);
    question
}

/// The addresses of a name.
///
/// Several who ask for the same name at the same time share one answer. The system is asked (`getaddrinfo`), on a thread
/// that may block.
///
/// # Errors
///
/// The system's: no such name.
///
/// # Cancellation
///
/// Cannot be told to stop; give it up with `ctx.wait(lookup_host_async(..))`. The question goes on without us then.
///
/// ```
/// let addrs = gosched::net::lookup_host("localhost:80")?;
/// assert!(addrs.iter().all(|addr| addr.ip().is_loopback()));
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.LookupHost`.
#[track_caller]
pub fn lookup_host(addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    match addr.target()? {
        Target::One(addr) => Ok(vec![addr]),
        Target::Addrs(addrs) => Ok(addrs),
        name @ Target::Name(..) => crate::wait::wait_for(crate::WaitReason::IoWait, pin!(look_up(name))),
    }
}

/// [`lookup_host`] as a future.
///
/// ```
/// let addrs = gosched::wait(gosched::net::lookup_host_async("127.0.0.1:80"))?;
/// assert_eq!(addrs, ["127.0.0.1:80".parse().unwrap()]);
/// # std::io::Result::Ok(())
/// ```
pub async fn lookup_host_async(addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    look_up(addr.target()?).await
}

/// Tries `f` with each address until it succeeds.
pub(super) fn each_addr<T>(
    addrs: &[SocketAddr],
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for &addr in addrs {
        match f(addr) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses")
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn I10_who_asks_for_a_name_that_is_being_looked_up_shares_the_answer() {
        let (sender, answered) = chan::bounded(0);
        let name = ("being-looked-up.invalid".to_owned(), 80);
        let question = Arc::new(Question { answer: OnceLock::new(), answered });
        lock(&QUESTIONS).insert(name.clone(), question.clone());
        let mut cx = Context::from_waker(Waker::noop());
        let mut lookups: Vec<Lookup> =
            (0..3).map(|_| look_up(Target::Name(name.0.clone(), name.1))).collect();
        assert!(lookups.iter_mut().all(|lookup| lookup.as_mut().poll(&mut cx).is_pending()));
        let addr: SocketAddr = "192.0.2.1:80".parse().unwrap();
        assert!(question.answer.set(Ok(vec![addr])).is_ok());
        lock(&QUESTIONS).remove(&name);
        drop(sender);
        for lookup in &mut lookups {
            let Poll::Ready(Ok(addrs)) = lookup.as_mut().poll(&mut cx) else { panic!("not answered") };
            assert_eq!(addrs, [addr]);
        }
    }

    #[test]
    fn addresses_are_known_and_names_are_not() {
        let known = |target: io::Result<Target>| matches!(target, Ok(Target::One(_)));
        assert!(known(sealed::Sealed::target("127.0.0.1:80")));
        assert!(known(sealed::Sealed::target(&("::1", 80))));
        assert!(known(sealed::Sealed::target("[::1]:80")));
        let name = sealed::Sealed::target("localhost:80");
        assert!(matches!(name, Ok(Target::Name(host, 80)) if host == "localhost"));
        for wrong in ["", "localhost", "localhost:", "localhost:http", "localhost:70000"] {
            let error = sealed::Sealed::target(wrong).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
    }
}
