//! The certificates of authorities that the system trusts, for everything that speaks TLS.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The authorities that the system trusts; a bare container has none. Blocks: it reads files. What cannot be read or
/// understood among them is left out, as everywhere.
#[must_use]
pub fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates());
    roots
}

fn certificates() -> Vec<CertificateDer<'static>> {
    // A system has them twice: all in one file, which it keeps complete, and each in a file of its own. Those are hundreds,
    // and three quarters of the time.
    if cfg!(target_os = "linux") && !openssl_probe::has_ssl_cert_env_vars() {
        let file = openssl_probe::probe().cert_file;
        let found = rustls_native_certs::load_certs_from_paths(file.as_deref(), None).certs;
        if !found.is_empty() {
            return found;
        }
    }
    rustls_native_certs::load_native_certs().certs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_with_authorities_is_not_taken_for_a_bare_one() {
        let mut every = RootCertStore::empty();
        every.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        assert_eq!(authorities().is_empty(), every.is_empty());
    }
}
