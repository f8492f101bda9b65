//! TLS as one task wants it: whose certificates are trusted, and which versions of HTTP are offered.

use crate::actions::fetch::spec::Connection;
use crate::model::{Failure, text};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Largest file with certificates; a larger one is refused.
const CA_MAX: u64 = 4 * 1024 * 1024;

/// TLS for the connections of a task, and whether there are certificates of authorities at all. Blocks: it reads the
/// certificates of the system and of `ca_file`.
pub(super) fn config(connection: &Connection) -> Result<(ClientConfig, bool), Failure> {
    let extra = connection.ca_file.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
    let (mut config, has_roots) = trusting(connection.insecure, &extra).map_err(|e| unusable(connection, &e))?;
    config.alpn_protocols =
        if connection.http1 { vec![b"http/1.1".to_vec()] } else { vec![b"h2".to_vec(), b"http/1.1".to_vec()] };
    Ok((config, has_roots))
}

fn trusting(insecure: bool, extra: &[CertificateDer<'static>]) -> Result<(ClientConfig, bool), rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    if insecure {
        let verifier = Arc::new(AnyCertificate(provider));
        return Ok((builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(), true));
    }
    // Without any, what is not encrypted works all the same.
    let mut roots = crate::trust::authorities();
    for certificate in extra {
        roots.add(certificate.clone())?;
    }
    let has_roots = !roots.is_empty();
    Ok((builder.with_root_certificates(roots).with_no_client_auth(), has_roots))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let io = |e: std::io::Error| Failure::io("http_tls", "read the certificates in", path, &e);
    let refuse = |why: &str| Failure::permanent("http_tls", format!("{why}: {}", text::path(path)));
    let mut pem = Vec::new();
    File::open(path).map_err(io)?.take(CA_MAX + 1).read_to_end(&mut pem).map_err(io)?;
    if pem.len() as u64 > CA_MAX {
        return Err(refuse("a file with certificates has at most 4 MiB"));
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| refuse("the file is no PEM file with certificates"))?;
    if found.is_empty() {
        return Err(refuse("the file holds no certificate"));
    }
    Ok(found)
}

fn unusable(connection: &Connection, error: &rustls::Error) -> Failure {
    let why = text::escape(&error.to_string()).into_owned();
    match &connection.ca_file {
        Some(path) => {
            Failure::permanent("http_tls", format!("the certificates cannot be used, {why}: {}", text::path(path)))
        }
        None => Failure::permanent("http_tls", format!("no client can be made, {why}")),
    }
}

/// DANGER: takes any certificate, which proves nothing about the other side. Only for `insecure`, where the configuration
/// asks for it; every attempt of such a task says so in the log.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// All that are known, and those of old devices, whose certificates are why somebody is careless.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        let old = [SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy];
        let rare = [SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::ED448];
        schemes.extend(old.into_iter().chain(rare));
        schemes
    }
}
