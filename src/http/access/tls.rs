//! TLS as rustls speaks it, with the certificates and keys that the web config names.

use std::sync::Arc;

use rustls::crypto::ring::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::clients::Verifier;
use super::read_text;
use crate::config::{Clients, Curve, Pem, Tls, Version};

/// The certificate of the server with its key.
pub(in crate::http) struct Identity {
    pub(in crate::http) certificates: Vec<CertificateDer<'static>>,
    pub(in crate::http) key: PrivateKeyDer<'static>,
}

/// What the server speaks; else the key of the table and what is wrong.
pub(super) fn server(tls: &Tls) -> Result<ServerConfig, String> {
    let Identity { certificates, key } = Identity::read(tls)?;
    let own = certificates.first().cloned().ok_or("cert_file: has no certificate")?;
    let provider = Arc::new(provider(tls));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls))
        .map_err(|error| format!("cipher_suites: {error}; name others, or leave the key out"))?;
    let builder = match &tls.clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Verified { ca, required, allowed_sans } => {
            let authorities = Arc::new(authorities(ca)?);
            let algorithms = provider.signature_verification_algorithms;
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider);
            let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
            let by_authority = verifier.build().map_err(|error| format!("client_ca_file: {error}"))?;
            let allowed_sans = allowed_sans.clone();
            builder.with_client_cert_verifier(Arc::new(Verifier {
                by_authority,
                own,
                allowed_sans,
                algorithms,
            }))
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| {
        format!("{}: {error}; the key must be that of the first certificate", shown(&tls.key, "key"))
    })?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The provider of the whole process, with what the web config leaves on.
fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = default_provider();
    if !tls.cipher_suites.is_empty() {
        provider.cipher_suites = cipher_suites(&tls.cipher_suites, &provider.cipher_suites);
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = tls.curve_preferences.iter().map(|curve| group(*curve)).collect();
    }
    provider
}

/// The suites of these names, in their order. As with Go, those of TLS 1.3 stay on where none of them is named.
fn cipher_suites(names: &[&str], all: &[SupportedCipherSuite]) -> Vec<SupportedCipherSuite> {
    let by_name = |name: &&str| all.iter().copied().find(|suite| go_name(suite.suite()) == *name);
    let mut suites: Vec<_> = names.iter().filter_map(by_name).collect();
    if !suites.iter().any(|suite| suite.tls13().is_some()) {
        suites.extend(all.iter().filter(|suite| suite.tls13().is_some()));
    }
    suites
}

/// Go has no version in the names.
fn go_name(suite: CipherSuite) -> String {
    suite.as_str().unwrap_or_default().replace("TLS13_", "TLS_")
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => kx_group::X25519,
        Curve::P256 => kx_group::SECP256R1,
        Curve::P384 => kx_group::SECP384R1,
    }
}

fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::Tls13, &TLS13), (Version::Tls12, &TLS12)];
    let spoken = all.into_iter().filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version));
    spoken.map(|(_, version)| version).collect()
}

fn authorities(ca: &Pem) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "client_ca")? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", shown(ca, "client_ca")))?;
    }
    Ok(roots)
}

fn certificates(pem: &Pem, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = pem_text(pem, key)?;
    let shown = shown(pem, key);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{shown}: there is no certificate in it; write certificates in PEM")),
        Err(error) => Err(format!("{shown}: not PEM: {error}; write certificates in PEM")),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    let text = pem_text(pem, "key")?;
    let shown = shown(pem, "key");
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!("{shown}: the key is encrypted; decrypt it by: openssl pkey"));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        format!("{shown}: there is no private key in it; write one in PEM (PKCS #8, PKCS #1 or SEC1)")
    })
}

fn pem_text(pem: &Pem, key: &str) -> Result<String, String> {
    match pem {
        Pem::File(path) => read_text(path).map_err(|why| format!("{}: {why}", shown(pem, key))),
        Pem::Inline(text) => Ok(text.clone()),
    }
}

/// How messages name it: the key, and the file if it is in one.
fn shown(pem: &Pem, key: &str) -> String {
    match pem {
        Pem::File(path) => format!("{key}_file: {}", path.display()),
        Pem::Inline(_) => key.to_owned(),
    }
}

// === impl Identity ===

impl Identity {
    /// Reads both.
    pub(in crate::http) fn read(tls: &Tls) -> Result<Self, String> {
        Ok(Self { certificates: certificates(&tls.certificate, "cert")?, key: private_key(&tls.key)? })
    }
}
