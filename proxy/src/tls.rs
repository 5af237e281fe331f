//! TLS on both sides: certificates chosen by server name in front, verified endpoints behind. The
//! only module that names rustls.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{CertificatePair, ClientTls, Place, ServerTls};

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Of either side, once the handshake is done.
pub type Stream = tokio_rustls::TlsStream<TcpStream>;
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// A certificate, key or root that cannot be used, and where the configuration names it.
#[derive(Debug)]
pub struct Problem {
    pub place: Place,
    pub message: String,
}

/// Terminates TLS. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    handshake_timeout: Duration,
}

impl Acceptor {
    pub fn new(config: &ServerTls) -> Result<Self, Problem> {
        let certificates = config.certificates.iter().map(certificate).collect::<Result<Vec<_>, _>>()?;
        let place = config.certificates.first().map(|pair| pair.place).unwrap_or_default();
        let problem = |error: rustls::Error| Problem { place, message: error.to_string() };
        let mut tls = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(problem)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificates { keys: certificates, found: DashMap::new() }));
        tls.ticketer = aws_lc_rs::Ticketer::new().map_err(problem)?;
        tls.alpn_protocols = if config.http2 { vec![H2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
        Ok(Self { tls: TlsAcceptor::from(Arc::new(tls)), handshake_timeout: config.handshake_timeout })
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<ServerStream> {
        match tokio::time::timeout(self.handshake_timeout, self.tls.accept(stream)).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long")),
        }
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Whether the handshake chose HTTP/2.
pub fn speaks_http2(stream: &ServerStream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

/// The server name that the client asked for, lower case.
pub fn server_name(stream: &ServerStream) -> Option<Arc<str>> {
    stream.get_ref().1.server_name().map(|name| name.to_ascii_lowercase().into())
}

/// Speaks TLS to endpoints.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    /// Offers HTTP/1.1 only.
    http1: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// `http2` and `http1`: what to offer by ALPN.
    pub fn new(config: &ClientTls, http1: bool, http2: bool, place: Place) -> Result<Self, Problem> {
        let problem = |message: String| Problem { place, message };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| problem(error.to_string()))?;
        let mut tls = if config.verify {
            builder.with_root_certificates(roots(&config.roots).map_err(problem)?).with_no_client_auth()
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth()
        };
        let offers = [(http2, H2), (http1, HTTP1)];
        tls.alpn_protocols = offers.iter().filter(|(offer, _)| *offer).map(|(_, name)| name.to_vec()).collect();
        let server_name = config.server_name.as_ref().map(|name| ServerName::try_from(name.clone()));
        let server_name = server_name.transpose().map_err(|error| problem(error.to_string()))?;
        let mut http1 = tls.clone();
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), http1: TlsConnector::from(Arc::new(http1)), server_name })
    }

    /// `host` is the host part of the endpoint's name.
    pub async fn connect(&self, host: &str, stream: TcpStream, http1_only: bool) -> io::Result<ClientStream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let tls = if http1_only { &self.http1 } else { &self.tls };
        tls.connect(name, stream).await
    }
}

/// Whether the endpoint chose HTTP/2.
pub fn endpoint_speaks_http2(stream: &ClientStream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificate(pair: &CertificatePair) -> Result<Arc<CertifiedKey>, Problem> {
    let problem = |path: &std::path::Path, message: String| Problem {
        place: pair.place,
        message: format!("{}: {message}", path.display()),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pair.chain)
        .collect::<Result<_, _>>()
        .map_err(|error| problem(&pair.chain_path, format!("not a PEM certificate: {error}")))?;
    if chain.is_empty() {
        return Err(problem(&pair.chain_path, "there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .map_err(|error| problem(&pair.key_path, format!("not a PEM private key: {error}")))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| problem(&pair.key_path, error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|error| problem(&pair.key_path, format!("does not belong to the certificate: {error}")))?;
    Ok(Arc::new(certified))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    if pem.is_empty() {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for root in CertificateDer::pem_slice_iter(pem) {
            let root = root.map_err(|error| format!("ca: not a PEM certificate: {error}"))?;
            store.add(root).map_err(|error| format!("ca: {error}"))?;
        }
    }
    if store.is_empty() { Err("ca: there is no usable root certificate".into()) } else { Ok(store) }
}

/// The first certificate that is good for the server name; the first of all when none is, or when
/// the client names no server. Handshakes of all workers ask here.
#[derive(Debug)]
struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
    /// What was found before, so that many certificates are not parsed for each handshake.
    found: DashMap<Box<str>, usize>,
}

impl Certificates {
    /// A wildcard certificate is good for any number of names, and clients choose them.
    const MOST_FOUND: usize = 10_000;

    fn position(&self, name: &str) -> Option<usize> {
        if let Some(known) = self.found.get(name) {
            return Some(*known);
        }
        let server = ServerName::try_from(name.to_owned()).ok()?;
        let position = self.keys.iter().position(|key| is_good_for(key, &server))?;
        if self.found.len() < Self::MOST_FOUND {
            self.found.insert(name.into(), position);
        }
        Some(position)
    }
}

fn is_good_for(key: &CertifiedKey, server: &ServerName<'_>) -> bool {
    let leaf = key.end_entity_cert().ok().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    leaf.is_some_and(|leaf| verify_server_name(&leaf, server).is_ok())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = || self.position(hello.server_name()?);
        let position = if self.keys.len() > 1 { named().unwrap_or(0) } else { 0 };
        self.keys.get(position).cloned()
    }
}

/// For `verify = false`: the operator said that any certificate will do.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
