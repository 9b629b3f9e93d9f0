//! The client over TLS: by rustls, straight and through proxies, whom it trusts, and what it says of whom it does not.
//! Row H07 of the features.
#![allow(non_snake_case)]

mod common;

use common::{
    Raw, Served, URL, bounded, child, eventually, everywhere, ms, raw, read_all, read_head, serve, serve_with,
};
use gosched::context::background;
use gosched::debug::leak::Guard;
use gosched::go;
use gosched::net::TcpStream;
use gosched_http::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use gosched_http::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use gosched_http::{Client, ClientBuilder, Error, Proxy, Request, Response, Server};
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost`, also as text, and settings for a server that has it.
struct Certified {
    certificate: CertificateDer<'static>,
    pem: String,
    server: ServerConfig,
}

fn certified() -> Certified {
    // Each has a name of its own, as those of two authorities have.
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test {}", LAST.fetch_add(1, Ordering::Relaxed));
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let certificate = CertificateDer::from(made.der().to_vec());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    Certified { certificate, pem: made.pem(), server }
}

/// Settings of a client that trusts these and nobody else.
fn trusting(trusted: &[&Certified]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for one in trusted {
        roots.add(one.certificate.clone()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A server that has this certificate.
fn serve_secured(config: ServerConfig) -> Served {
    serve_with(Server::builder().tls(config), |mut request: Request| {
        assert!(request.connection().unwrap().is_secure());
        let text = request.body_mut().text(1 << 20).unwrap();
        format!(
            "{} {} {} on {}",
            request.method(),
            request.uri(),
            text.len(),
            request.peer_addr().unwrap().port()
        )
    })
}

/// The same with a certificate of its own, and a client's settings that trust it.
fn secured() -> (Served, ClientBuilder) {
    let certified = certified();
    let builder = Client::builder().tls_config(trusting(&[&certified]));
    (serve_secured(certified.server), builder)
}

fn url(served: &Served, path: &str) -> String {
    format!("https://localhost:{}{path}", served.addr.port())
}

fn text(response: Result<Response, Error>) -> String {
    response.unwrap().body_mut().text(1 << 20).unwrap()
}

/// A connection is idle a moment after its last response was read.
fn close(client: &Client) {
    eventually("all are idle", || client.connections() == client.idle_connections());
    client.close_idle_connections();
}

#[test]
fn requests_are_answered_over_tls_on_one_connection() {
    everywhere(|| {
        let (served, builder) = secured();
        let guard = Guard::new();
        let client = builder.build();
        let first = text(client.get(&background(), &url(&served, "/")));
        let (_, port) = first.rsplit_once(' ').unwrap();
        for _ in 0..3 {
            let answer = text(client.get(&background(), &url(&served, "/a?b")));
            assert_eq!(answer, format!("GET /a?b 0 on {port}"));
            let answer = text(client.post(&background(), &url(&served, "/"), "x".repeat(300_000)));
            assert_eq!(answer, format!("POST / 300000 on {port}"));
        }
        close(&client);
        drop(guard);
        served.end();
    });
}

#[test]
fn who_is_not_trusted_is_named() {
    everywhere(|| {
        let (served, builder) = secured();
        let told = |client: &Client, url: &str| {
            let error = client.get(&background(), url).unwrap_err();
            assert!(error.is_connect() && !error.is_timeout(), "{error}");
            error.to_string()
        };
        let stranger = Client::builder().tls_config(trusting(&[&certified()])).build();
        let asked = url(&served, "/x");
        let host = format!("localhost:{}", served.addr.port());
        assert_eq!(
            told(&stranger, &asked),
            format!(
                "GET {asked}: the certificate of {host} is not trusted: invalid peer certificate: UnknownIssuer"
            )
        );
        let client = builder.build();
        let error = told(&client, &format!("https://{}/", served.addr));
        let expected =
            format!("the certificate of {} is not trusted: invalid peer certificate: ", served.addr);
        assert!(error.contains(&expected) && error.contains("not valid for name"), "{error}");
        let plain = serve(|_: Request| "hello");
        let error = told(&client, &url(&plain, "/"));
        let host = format!("localhost:{}", plain.addr.port());
        let expected =
            format!("the TLS handshake with {host} has failed, which perhaps does not speak TLS: ");
        assert!(error.contains(&expected), "{error}");
        assert_eq!(client.connections(), 0);
        plain.end();
        served.end();
    });
}

#[test]
fn H07_a_handshake_takes_no_longer_than_it_may() {
    everywhere(|| {
        let silent = raw(|mut stream| drop(read_all(&mut stream)));
        let client = Client::builder().tls_handshake_timeout(ms(50)).tls_config(trusting(&[])).build();
        let error = client.get(&background(), &format!("https://{}/", silent.addr)).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let expected = format!(": timed out in the TLS handshake with {}", silent.addr);
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(client.connections(), 0);
    });
}

#[test]
fn redirects_lead_from_one_to_the_other_and_tell_no_secrets() {
    everywhere(|| {
        let told = |request: &Request| request.header("authorization").unwrap_or("nobody").to_owned();
        let plain = serve(move |request: Request| told(&request));
        let certified = certified();
        let client = Client::builder().tls_config(trusting(&[&certified])).build();
        let to = format!("http://localhost:{}/", plain.addr.port());
        let served = serve_with(Server::builder().tls(certified.server), move |_: Request| {
            Response::builder().status(302).header("location", &to).body(().into()).unwrap()
        });
        let request = client.request(gosched_http::Method::GET, &url(&served, "/")).bearer_auth("secret");
        assert_eq!(text(request.send(&background())), "nobody");
        plain.end();
        served.end();
    });
}

/// A proxy that opens tunnels, if it is told who asks.
fn tunnels(auth: &'static str) -> Raw {
    raw(move |mut stream| {
        let head = read_head(&mut stream);
        if !head.contains(&format!("proxy-authorization: {auth}\r\n")) {
            let refused = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno";
            return stream.write_all(refused.as_bytes()).unwrap();
        }
        let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(' ')).unwrap().0;
        let far = TcpStream::connect(to).unwrap();
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let back = go({
            let (mut near, mut far) = (stream.clone(), far.clone());
            move || {
                let _ = std::io::copy(&mut far, &mut near);
                let _ = near.shutdown(Shutdown::Write);
            }
        });
        let _ = std::io::copy(&mut stream, &mut &far);
        let _ = far.shutdown(Shutdown::Write);
        let _ = back.join();
    })
}

const ME: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

#[test]
fn a_proxy_opens_a_tunnel() {
    everywhere(|| {
        let (served, builder) = secured();
        let proxy = tunnels(ME);
        let guard = Guard::new();
        let client = builder
            .proxy(Proxy::new(&format!("http://Aladdin:open%20sesame@{}", proxy.addr)).unwrap())
            .build();
        let first = text(client.get(&background(), &url(&served, "/")));
        assert!(first.starts_with("GET / 0 on "), "{first}");
        for _ in 0..3 {
            // On the same connection.
            assert_eq!(text(client.get(&background(), &url(&served, "/"))), first);
        }
        close(&client);
        drop(guard);
        served.end();
    });
}

#[test]
fn a_proxy_that_opens_no_tunnel_says_why() {
    everywhere(|| {
        let (_served, builder) = secured();
        let proxy = tunnels(ME);
        let client = builder.proxy(Proxy::new(&proxy.addr.to_string()).unwrap()).build();
        let error = client.get(&background(), "https://example.com/").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "GET https://example.com/: the proxy {} gives no tunnel to example.com:443: \
                 it answers 407 Proxy Authentication Required",
                proxy.addr
            )
        );
        let (_served, builder) = secured();
        let deaf = raw(|mut stream| drop(read_all(&mut stream)));
        let client = builder.proxy(Proxy::new(&deaf.addr.to_string()).unwrap()).build();
        let error = client.get(&background().with_timeout(ms(50)), "https://example.com/").unwrap_err();
        assert!(error.is_timeout(), "{error}");
        // It says what nobody can have asked for yet.
        let eager = raw(|mut stream| {
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nmore").unwrap();
            read_all(&mut stream);
        });
        let (_served, builder) = secured();
        let client = builder.proxy(Proxy::new(&eager.addr.to_string()).unwrap()).build();
        let error = client.get(&background(), "https://example.com/").unwrap_err();
        assert!(error.to_string().ends_with("it sends what nobody has asked for"), "{error}");
    });
}

/// TLS to the proxy, and TLS within that to the host.
#[test]
fn a_proxy_may_speak_tls_itself() {
    everywhere(|| {
        let (host, proxy) = (certified(), certified());
        let config = trusting(&[&host, &proxy]);
        let served = serve_secured(host.server);
        let acceptor = TlsAcceptor::from(Arc::new(proxy.server));
        let proxy = raw(move |stream| {
            let _ = gosched::wait(relay(acceptor.clone(), stream));
        });
        let guard = Guard::new();
        let url_of_proxy = format!("https://localhost:{}", proxy.addr.port());
        let client = Client::builder().tls_config(config).proxy(Proxy::new(&url_of_proxy).unwrap()).build();
        let first = text(client.get(&background(), &url(&served, "/")));
        assert!(first.starts_with("GET / 0 on "), "{first}");
        let answer = text(client.post(&background(), &url(&served, "/"), "x".repeat(300_000)));
        assert!(answer.starts_with("POST / 300000 on "), "{answer}");
        close(&client);
        drop(guard);
        served.end();
    });
}

/// Opens a tunnel for whoever comes over TLS.
async fn relay(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    let mut near = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(' ')).unwrap().0;
    let mut far = TcpStream::connect_async(to).await?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    near.flush().await?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}

/// What the test below has a process of its own do: ask, with the system's trust alone.
#[test]
fn ask() {
    common::ask();
}

#[test]
fn by_default_those_are_trusted_whom_the_system_trusts() {
    bounded(|| {
        gosched::run(|| {
            let certified = certified();
            let served = serve_with(Server::builder().tls(certified.server), |_: Request| "hello");
            let file = std::env::temp_dir().join(format!("gosched-http-{}.pem", std::process::id()));
            let asked = |pem: &str| {
                std::fs::write(&file, pem).unwrap();
                child("ask", &[(URL, &url(&served, "/")), ("SSL_CERT_FILE", file.to_str().unwrap())])
            };
            let text = asked(&certified.pem);
            assert!(text.contains("[hello]"), "{text}");
            let text = asked(&self::certified().pem);
            assert!(text.contains("is not trusted: invalid peer certificate: UnknownIssuer]"), "{text}");
            let text = asked("");
            assert!(text.contains(": this system has no certificates of whom to trust"), "{text}");
            std::fs::remove_file(&file).unwrap();
            served.end();
        });
    });
}
