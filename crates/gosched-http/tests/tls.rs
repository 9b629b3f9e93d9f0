//! TLS: HTTP/1 by rustls in straight-line code, both versions by curl, and clients that do not shake hands.

mod common;

use common::{Served, eventually, everywhere, get, get_last, have_curl, ms, serve_with};
use gosched::chan;
use gosched_http::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use gosched_http::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, crypto,
};
use gosched_http::{ClientGone, Request, Server, Version};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;

fn configs() -> (ServerConfig, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

type Tls = StreamOwned<ClientConnection, gosched::net::TcpStream>;

fn connect(served: &Served, client: &Arc<ClientConfig>) -> Tls {
    let connection = ClientConnection::new(client.clone(), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, served.connect())
}

#[test]
fn a_request_is_answered_over_tls() {
    everywhere(|| {
        let (server, client) = configs();
        let served = serve_with(Server::builder().tls(server), |mut request: Request| {
            assert!(request.connection().unwrap().is_secure());
            let text = request.body_mut().text(1 << 20).unwrap();
            format!("{} {}", request.path(), text.len())
        });
        let mut stream = connect(&served, &client);
        let body = "x".repeat(100_000);
        write!(stream, "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{body}").unwrap();
        stream.write_all(get_last("/second").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("/first 100000HTTP/1.1 200 OK") && answer.ends_with("/second 0"), "{answer}");
        served.end();
    });
}

#[test]
fn the_context_ends_when_a_client_over_tls_goes_away() {
    everywhere(|| {
        let (server, client) = configs();
        let (tx, rx) = chan::unbounded();
        let served = serve_with(Server::builder().tls(server), move |request: Request| {
            let ctx = request.context();
            tx.send(false).unwrap();
            let _ = ctx.done().recv();
            tx.send(ctx.cause().is_some_and(|cause| cause.is::<ClientGone>())).unwrap();
        });
        let mut stream = connect(&served, &client);
        stream.write_all(get("/").as_bytes()).unwrap();
        stream.flush().unwrap();
        assert!(!rx.recv().unwrap());
        drop(stream);
        assert!(rx.recv().unwrap());
        served.end();
    });
}

#[test]
fn handshakes_that_do_not_come_or_are_none_are_given_up() {
    everywhere(|| {
        let (server, client) = configs();
        let limits = Server::builder().tls(server).read_header_timeout(ms(300));
        let served = serve_with(limits, |_: Request| "hello");
        let mut silent = served.connect();
        let mut half = served.connect();
        half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
        let mut plain = served.connect();
        plain.write_all(get("/").as_bytes()).unwrap();
        for stream in [&mut silent, &mut half, &mut plain] {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
        }
        eventually("all are gone", || served.server.connections() == 0);
        let mut stream = connect(&served, &client);
        stream.write_all(get_last("/").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        served.end();
    });
}

fn curl(served: &Served, args: &[&str], paths: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--ipv4", "--max-time", "60"]).args(args);
    command.args(paths.iter().map(|path| format!("https://localhost:{}{path}", served.addr.port())));
    let output = gosched::blocking(|| command.output()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_chooses_http2_and_is_given_what_it_chooses() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let (server, _) = configs();
        let served =
            serve_with(Server::builder().tls(server), |request: Request| format!("{:?}", request.version()));
        assert_eq!(curl(&served, &[], &["/"]), "HTTP/2.0");
        assert_eq!(curl(&served, &["--http1.1"], &["/"]), "HTTP/1.1");
        // A connection is kept.
        for version in ["--http1.1", "--http2"] {
            let connects = [version, "--output", "/dev/null", "--write-out", "%{num_connects} "];
            let twice = [&connects[..], &["--output", "/dev/null"]].concat();
            assert_eq!(curl(&served, &twice, &["/", "/"]), "1 0 ");
        }
        served.end();
    });
}

#[test]
fn streams_of_one_connection_do_not_wait_for_each_other() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let (server, _) = configs();
        // Each answer waits for the other request.
        let (tx, rx) = chan::bounded::<()>(0);
        let served = serve_with(Server::builder().tls(server), move |request: Request| {
            assert_eq!(request.version(), Version::HTTP_2);
            if request.path() == "/last" { tx.send(()).is_ok() } else { rx.recv().is_ok() }.to_string()
        });
        assert_eq!(curl(&served, &["--parallel"], &["/first", "/last"]), "truetrue");
        served.end();
    });
}
