//! TLS by rustls over our streams, in straight-line code: a library that is generic over `Read` and `Write` works as it
//! is. Row I01 of the features.
#![allow(non_snake_case)]

mod common;

use common::{everywhere, ms};
use gosched::net::{TcpListener, TcpStream};
use gosched::{go, scope, time};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A server's and a client's side, with a certificate made for them.
fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
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
    (Arc::new(server), Arc::new(client))
}

fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

#[test]
fn I01_rustls_echoes_over_our_streams() {
    everywhere(|| {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        go({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    let connection = ServerConnection::new(server.clone()).unwrap();
                    go(move || {
                        let mut tls = StreamOwned::new(connection, stream);
                        let mut buf = [0; 1024];
                        while let Ok(n @ 1..) = tls.read(&mut buf) {
                            tls.write_all(&buf[..n]).unwrap();
                        }
                    });
                }
            }
        });
        scope(|s| {
            for i in 0..10_u8 {
                let client = client.clone();
                s.go(move || {
                    let stream = TcpStream::connect(addr).unwrap();
                    let mut tls = StreamOwned::new(ClientConnection::new(client, name()).unwrap(), stream);
                    for length in [1, 100, 1024] {
                        let message = vec![i; length];
                        tls.write_all(&message).unwrap();
                        let mut answer = vec![0; length];
                        tls.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, message);
                    }
                    tls.conn.send_close_notify();
                    tls.flush().unwrap();
                });
            }
        });
        listener.close().unwrap();
    });
}

#[test]
fn a_handshake_that_gets_no_answer_times_out() {
    everywhere(|| {
        let (_, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_deadline(Some(time::now() + ms(20))).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(client, name()).unwrap(), stream);
        let error = tls.write_all(b"hello").and_then(|()| tls.read(&mut [0])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    });
}
