//! Authorities, certificates and clients for the tests of TLS and login.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use reqwest::Client;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate with its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

// === impl Authority ===

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("the parameters must be right");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key must be had");
        let pem = params.self_signed(&key).expect("it must be signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, of servers and clients.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names must be right");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key must be had");
        let certificate = params.signed_by(&key, &self.issuer).expect("it must be signed").pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A client that trusts this authority alone, speaks these versions of TLS, and shows this certificate.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], shows: Option<&Issued>) -> Client {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(20));
        let client = client.tls_backend_preconfigured(self.client_config(versions, shows));
        client.build().expect("the client must be built")
    }

    /// How such a client speaks TLS.
    pub fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shows: Option<&Issued>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(der(&self.pem)).expect("the authority must be right");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the versions must be right")
            .with_root_certificates(roots);
        match shows {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let key =
                    PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("the key must be right");
                let key = any_supported_type(&key).expect("the key must be right");
                // It is not looked at whether the two belong together: a test may claim a certificate.
                let certified = CertifiedKey::new(vec![der(&issued.certificate)], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        }
    }
}

// === impl Issued ===

impl Issued {
    /// Writes `tls.crt` and `tls.key`.
    pub fn write(&self, folder: &Path) {
        fs::write(folder.join("tls.key"), &self.key).expect("the key must be written");
        fs::write(folder.join("tls.crt"), &self.certificate).expect("the certificate must be written");
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("it must be a certificate")
}
