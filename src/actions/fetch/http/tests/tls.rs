//! Calls under TLS, with a certificate that no authority signed.

use super::*;
use crate::model::FailureClass;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::path::PathBuf;

/// What makes a server one under TLS, and the PEM text of its certificate.
pub(super) fn acceptor(names: &[&str]) -> (TlsAcceptor, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

/// A server under TLS, and the PEM text of its certificate.
pub(super) async fn site(names: &[&str]) -> (Site, String) {
    let (acceptor, pem) = acceptor(names);
    let site = Site::https(acceptor, |seen| match seen.path.as_str() {
        "/down" => reply(302, &[("location", "http://127.0.0.1:9/")], ""),
        _ => reply(200, &[], "secure"),
    });
    (site.await, pem)
}

fn url(site: &Site, path: &str) -> String {
    site.url(path).replace("http://", "https://")
}

fn trusting(pem: &str, dir: &tempfile::TempDir) -> Connection {
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    Connection { ca_file: Some(path), ..Connection::default() }
}

#[tokio::test]
async fn a_certificate_is_trusted_only_where_the_configuration_says_so() {
    let ((site, pem), dir, gate) = (site(&["127.0.0.1"]).await, tempfile::tempdir().unwrap(), Gate::default());
    let failure = call(&client(), &gate, &post(&url(&site, "/?canary"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_tls", FailureClass::Permanent), "{failure}");
    assert!(
        !failure.message.contains("may have been received") && !format!("{failure:?}").contains("canary"),
        "{failure}"
    );
    assert_eq!(gate.ending(), Ending::Bad);
    assert!(site.seen().is_empty());

    let trusting = trusting(&pem, &dir);
    let client = client_with(&trusting, &Deadlines::default());
    let answer = call(&client, &Gate::default(), &get(&url(&site, "/"))).await.unwrap();
    assert_eq!(answer.version, "HTTP/2", "agreed upon in the greeting");
    assert_eq!(read(answer).await.unwrap(), b"secure");

    let old = client_with(&Connection { http1: true, ..trusting }, &Deadlines::default());
    assert_eq!(call(&old, &Gate::default(), &get(&url(&site, "/"))).await.unwrap().version, "HTTP/1.1");

    let careless = client_with(&Connection { insecure: true, ..Connection::default() }, &Deadlines::default());
    assert_eq!(fetch(&careless, &Gate::default(), &get(&url(&site, "/"))).await.unwrap(), b"secure");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let ((site, pem), dir) = (site(&["other.example"]).await, tempfile::tempdir().unwrap());
    let client = client_with(&trusting(&pem, &dir), &Deadlines::default());
    let failure = call(&client, &Gate::default(), &get(&url(&site, "/"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_tls", FailureClass::Permanent), "{failure}");
}

#[tokio::test]
async fn a_redirect_never_leaves_the_encryption() {
    let ((site, pem), dir) = (site(&["127.0.0.1"]).await, tempfile::tempdir().unwrap());
    let client = client_with(&trusting(&pem, &dir), &Deadlines::default());
    let failure = call(&client, &Gate::default(), &get(&url(&site, "/down"))).await.unwrap_err();
    assert_eq!(failure.code, "http_redirect");
    assert!(failure.message.starts_with("a redirect from https to http is not followed"), "{failure}");
}

#[test]
fn a_file_without_certificates_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let connection = |path: PathBuf| Connection { ca_file: Some(path), ..Connection::default() };
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let connection = trusting(text, &dir);
        let failure = Client::new(&connection, &Deadlines::default(), 1, Trust::Written).unwrap_err();
        assert!(failure.message.contains("ca.pem"), "{failure}");
    }
    let failure =
        Client::new(&connection(dir.path().join("missing.pem")), &Deadlines::default(), 1, Trust::Written).unwrap_err();
    assert!(failure.message.contains("missing.pem"), "{failure}");
    assert!(Client::new(&connection(dir.path().into()), &Deadlines::default(), 1, Trust::Written).is_err());
}
