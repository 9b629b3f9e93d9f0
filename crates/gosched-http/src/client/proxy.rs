//! Which proxy a request goes through: the rules of Go's `ProxyFromEnvironment`.

use super::encode::basic;
use super::error::{Error, without_password};
use crate::router::decode;
use http::Uri;
use std::env;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The proxies of a client; for [`ClientBuilder::proxy`](super::ClientBuilder::proxy). A client that is told nothing takes
/// those [of the environment](Proxy::from_env).
///
/// A proxy is asked for what `http` addresses name, and for a tunnel to the hosts of `https` ones. It may speak TLS itself
/// (`https://proxy`, with the feature `tls`). A user and a password in its address are sent to it. SOCKS is not spoken.
///
/// ```
/// use gosched_http::{Client, Proxy};
///
/// let proxy = Proxy::new("http://me:secret@proxy.example:3128")?.except("example.com, 10.0.0.0/8");
/// let client = Client::builder().proxy(proxy).build();
/// # Ok::<(), gosched_http::Error>(())
/// ```
///
/// In Go: `Transport.Proxy`, `http.ProxyURL`.
#[derive(Clone, Default)]
pub struct Proxy {
    /// For addresses with `http`.
    plain: Option<Known>,
    /// For addresses with `https`.
    secure: Option<Known>,
    exceptions: Vec<Exception>,
    /// This machine is not asked for through a proxy.
    spares_localhost: bool,
}

/// A proxy that can be asked, or why not: nobody must go past it unawares.
type Known = Result<Arc<Endpoint>, Arc<str>>;

/// Where a proxy is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) secure: bool,
    /// As in an address: IPv6 in brackets.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) auth: Option<Box<str>>,
}

impl Proxy {
    /// This one for all requests. Without a scheme it is an `http` one.
    ///
    /// # Errors
    ///
    /// It is no address; its scheme is neither `http` nor `https`; it is `https` and the feature `tls` is missing.
    ///
    /// In Go: `http.ProxyURL`.
    pub fn new(url: &str) -> Result<Self, Error> {
        let endpoint = match endpoint(url) {
            Ok(endpoint) => Some(Ok(Arc::new(endpoint))),
            Err(Wrong::NoAddress(why)) => return Err(Error::request(why)),
            Err(Wrong::Unusable(why)) => return Err(Error::request(why)),
        };
        Ok(Self { plain: endpoint.clone(), secure: endpoint, ..Self::default() })
    }

    /// No proxy.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those that the environment names: `HTTP_PROXY` for `http` addresses, `HTTPS_PROXY` for `https` ones, and
    /// [exceptions](Proxy::except) in `NO_PROXY`; or the same in lower case. What is no address is ignored; with a proxy that
    /// cannot be asked, as one of SOCKS, requests fail. `localhost` and loopback addresses are never asked for through these.
    ///
    /// Where `REQUEST_METHOD` is set the program is a CGI script, and `HTTP_PROXY` may be what its client has sent as the
    /// header `Proxy`: it is ignored. (In Go: an error.)
    ///
    /// In Go: `http.ProxyFromEnvironment`.
    pub fn from_env() -> Self {
        Self::from_vars(|name| env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let any = |name: &str| {
            [name.to_owned(), name.to_ascii_lowercase()].iter().find_map(|name| var(name)).unwrap_or_default()
        };
        let one = |name: &str| match endpoint(&any(name)) {
            Ok(endpoint) => Some(Ok(Arc::new(endpoint))),
            Err(Wrong::NoAddress(_)) => None,
            Err(Wrong::Unusable(why)) => Some(Err(why.into())),
        };
        let is_cgi = var("REQUEST_METHOD").is_some_and(|method| !method.is_empty());
        let proxies = Self {
            plain: if is_cgi { None } else { one("HTTP_PROXY") },
            secure: one("HTTPS_PROXY"),
            exceptions: Vec::new(),
            spares_localhost: true,
        };
        proxies.except(&any("NO_PROXY"))
    }

    /// Hosts that are asked without a proxy, separated by commas:
    ///
    /// - `example.com`: this host, and all whose names end with `.example.com`;
    /// - `.example.com` or `*.example.com`: these alone;
    /// - `192.0.2.7` or `2001:db8::7`: this address, where the request names it as an address;
    /// - `10.0.0.0/8`: all addresses in this range;
    /// - each of these but the range with `:80` after it, for this port alone;
    /// - `*`: all.
    ///
    /// In Go: the environment's `NO_PROXY`.
    pub fn except(mut self, hosts: &str) -> Self {
        self.exceptions.extend(hosts.split(',').filter_map(Exception::parse));
        self
    }

    /// The proxy for a host.
    pub(super) fn of(&self, secure: bool, host: &str, port: u16) -> Result<Option<&Arc<Endpoint>>, Error> {
        let Some(known) = (if secure { &self.secure } else { &self.plain }) else { return Ok(None) };
        let host = host.to_ascii_lowercase();
        let ip: Option<IpAddr> = bare(&host).parse().ok();
        let is_local = host == "localhost" || ip.is_some_and(|ip| ip.to_canonical().is_loopback());
        let spared = self.spares_localhost && is_local
            || self.exceptions.iter().any(|exception| exception.holds(&host, ip, port));
        match known {
            _ if spared => Ok(None),
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(why) => Err(Error::request(why.to_string())),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("http", &self.plain)
            .field("https", &self.secure)
            .field("except", &self.exceptions)
            .finish()
    }
}

impl Endpoint {
    /// Host and port.
    pub(super) fn addr(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Endpoint {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.addr())
    }
}

/// An IPv6 address without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Why something is no address of a proxy.
#[derive(Debug)]
enum Wrong {
    NoAddress(&'static str),
    Unusable(String),
}

fn endpoint(url: &str) -> Result<Endpoint, Wrong> {
    let url = url.trim();
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    // The text is not told: there may be a password in it.
    let uri: Uri = with_scheme.parse().map_err(|_| Wrong::NoAddress("the address of the proxy is none"))?;
    let told = || without_password(&uri);
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") if cfg!(feature = "tls") => true,
        Some("https") => {
            let what = format!("the proxy {} needs the feature `tls` of gosched-http", told());
            return Err(Wrong::Unusable(what));
        }
        _ => return Err(Wrong::Unusable(format!("the proxy {} is not one of http", told()))),
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or(Wrong::NoAddress("the address of the proxy has no host"))?;
    Ok(Endpoint {
        secure,
        host: host.to_ascii_lowercase().into(),
        port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        auth: credentials(&uri).map(Into::into),
    })
}

/// What an address says of who asks, as the value of a header.
pub(super) fn credentials(uri: &Uri) -> Option<String> {
    let (userinfo, _) = uri.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Some(basic(&decode(user), &decode(password)))
}

/// What is asked for without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    /// An address, and how many of its bits count.
    Range(IpAddr, u32),
    Ip(IpAddr, Option<u16>),
    /// Hosts whose names end with this, which begins with a dot.
    Domain {
        suffix: String,
        /// The host with this name as well.
        itself: bool,
        port: Option<u16>,
    },
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((ip, bits)) = text.split_once('/')
            && let (Ok(ip), Ok(bits)) = (ip.parse::<IpAddr>(), bits.parse::<u32>())
            && bits <= if ip.is_ipv4() { 32 } else { 128 }
        {
            return Some(Self::Range(ip, bits));
        }
        // An IPv6 address has colons, too.
        if let Ok(ip) = bare(&text).parse::<IpAddr>() {
            return Some(Self::Ip(ip, None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (&*text, None),
        };
        if let Ok(ip) = bare(host).parse::<IpAddr>() {
            return Some(Self::Ip(ip, port));
        }
        let suffix = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match suffix.strip_prefix('.') {
            _ if suffix.is_empty() => None,
            Some(_) => Some(Self::Domain { suffix: suffix.to_owned(), itself: false, port }),
            None => Some(Self::Domain { suffix: format!(".{suffix}"), itself: true, port }),
        }
    }

    fn holds(&self, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
        let on_port = |of: &Option<u16>| of.is_none_or(|of| of == port);
        match self {
            Self::All => true,
            Self::Range(range, bits) => ip.is_some_and(|ip| in_range(ip, *range, *bits)),
            Self::Ip(of, ports) => {
                ip.is_some_and(|ip| ip.to_canonical() == of.to_canonical()) && on_port(ports)
            }
            Self::Domain { suffix, itself, port } => {
                let named = host.ends_with(&**suffix) || *itself && host == &suffix[1..];
                ip.is_none() && named && on_port(port)
            }
        }
    }
}

fn in_range(ip: IpAddr, range: IpAddr, bits: u32) -> bool {
    let differ = match (ip.to_canonical(), range) {
        (IpAddr::V4(ip), IpAddr::V4(range)) => (u32::from(ip) ^ u32::from(range)).leading_zeros(),
        (IpAddr::V6(ip), IpAddr::V6(range)) => (u128::from(ip) ^ u128::from(range)).leading_zeros(),
        _ => return false,
    };
    differ >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Proxy {
        Proxy::from_vars(|name| {
            vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// The proxy that is asked for `url`.
    fn asked(proxy: &Proxy, url: &str) -> String {
        let uri: Uri = url.parse().unwrap();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        match proxy.of(secure, uri.host().unwrap(), port) {
            Ok(Some(proxy)) => proxy.addr(),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_environment_is_read_as_go_reads_it() {
        let vars = [("HTTP_PROXY", "proxy"), ("https_proxy", "http://secure:81"), ("no_proxy", "no.com")];
        let both = from(&vars);
        assert_eq!(asked(&both, "http://example.com/"), "proxy:80");
        assert_eq!(asked(&both, "https://example.com/"), "secure:81");
        assert_eq!(asked(&both, "https://no.com/"), "none");
        for local in
            ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.3.4.5:9", "[::1]", "[::ffff:127.0.0.1]"]
        {
            assert_eq!(asked(&both, &format!("http://{local}/")), "none");
        }
        // The upper case first.
        let two = from(&[("http_proxy", "lower"), ("HTTP_PROXY", "upper")]);
        assert_eq!(asked(&two, "http://example.com/"), "upper:80");
        assert_eq!(asked(&two, "https://example.com/"), "none");
        // A client could have sent this one.
        let cgi = from(&[vars[0], vars[1], ("REQUEST_METHOD", "GET")]);
        assert_eq!(asked(&cgi, "http://example.com/"), "none");
        assert_eq!(asked(&cgi, "https://example.com/"), "secure:81");
        for wrong in ["", "http://", ":80", "a b"] {
            assert_eq!(asked(&from(&[("HTTP_PROXY", wrong)]), "http://example.com/"), "none", "{wrong}");
        }
        let socks = from(&[("HTTP_PROXY", "socks5://host"), ("NO_PROXY", "no.com")]);
        assert_eq!(asked(&socks, "http://example.com/"), "the proxy socks5://host/ is not one of http");
        assert_eq!(asked(&socks, "http://no.com/"), "none");
        assert_eq!(asked(&from(&[]), "http://example.com/"), "none");
    }

    /// The table of Go's `TestProxyFromEnvironment` and `TestUseProxy`.
    #[test]
    fn exceptions_are_what_they_are_in_go() {
        let all = "foo.com, .bar.com,*.baz.org, one.com:80, 192.0.2.7,192.0.2.8:81, 10.0.0.0/8, [2001:db8::7]:80,\
                   2001:db8:1::/48, ,:99,2001:db8::8";
        let proxy = Proxy::new("proxy").unwrap().except(all);
        for spared in [
            "foo.com",
            "FOO.com:81",
            "a.foo.com",
            "a.bar.com",
            "x.baz.org",
            "one.com",
            "a.one.com",
            "192.0.2.7:5",
            "192.0.2.8:81",
            "10.1.2.3:4",
            "[2001:db8::7]",
            "[2001:db8:1:2::3]:5",
            "[::ffff:192.0.2.7]",
            "[2001:db8::8]:7",
        ] {
            assert_eq!(asked(&proxy, &format!("http://{spared}/")), "none", "{spared}");
        }
        for not in [
            "example.com",
            "afoo.com",
            "foo.com.net",
            "bar.com",
            "baz.org",
            "one.com:81",
            "192.0.2.8",
            "11.0.0.1",
            "[2001:db8::7]:81",
            "[2001:db8:2::3]",
            "localhost",
            "127.0.0.1",
        ] {
            assert_eq!(asked(&proxy, &format!("http://{not}/")), "proxy:80", "{not}");
        }
        assert_eq!(asked(&Proxy::new("proxy").unwrap().except("*"), "http://example.com/"), "none");
    }

    #[test]
    fn a_proxy_is_told_who_asks_and_nobody_else_is() {
        let with_user = endpoint("http://Aladdin:open%20sesame@proxy:3128").unwrap();
        assert_eq!(with_user.auth.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(format!("{with_user:?}"), "http://proxy:3128");
        let error = Proxy::new("socks5://me:secret@proxy").unwrap_err().to_string();
        assert!(error.contains("socks5://me:***@proxy") && !error.contains("secret"), "{error}");
    }
}
