//! TLS by rustls: the handshake, and whom it trusts.

use super::error::Error;
use super::proxy::bare;
use super::stream::Stream;
use gosched::blocking_async;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

/// Shakes hands; `whom` is for errors.
pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    stream: Stream,
    host: &str,
    whom: &str,
) -> Result<Stream, Error> {
    let name = ServerName::try_from(bare(host).to_owned())
        .map_err(|_| Error::request(format!("{host} is no name that a certificate can have")))?;
    // What is offered is what we speak, whatever the settings say.
    let connector = TlsConnector::from(config);
    let connector = connector.with_alpn(vec![b"http/1.1".to_vec()]);
    let done = match stream {
        Stream::Plain(stream) => {
            connector.connect(name, stream).await.map(|stream| Stream::Tls(Box::new(stream)))
        }
        Stream::Tls(stream) => {
            connector.connect(name, stream).await.map(|stream| Stream::Tls(Box::new(stream)))
        }
    };
    done.map_err(|error| failed(error, whom))
}

fn failed(error: io::Error, whom: &str) -> Error {
    let what = match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => format!("the certificate of {whom} is not trusted"),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("the TLS handshake with {whom} has failed, which perhaps does not speak TLS")
        }
        _ => format!("the TLS handshake with {whom} has failed"),
    };
    Error::connect(what).because(error)
}

/// The settings of clients that have none of their own: they trust whom the system trusts.
pub(super) async fn default_config() -> Result<Arc<ClientConfig>, Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    // It reads files. If several do so at once, one of them will have been right.
    let config = blocking_async(load).await?;
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

fn load() -> Result<ClientConfig, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let none = Error::connect("this system has no certificates of whom to trust");
        return Err(match found.errors.into_iter().next() {
            Some(error) => none.because(error),
            None => none,
        });
    }
    let provider = Arc::new(crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::connect("TLS cannot be set up").because(error))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
