//! Whose certificate a client may show: one of the authority, with an allowed name where names are listed.
//!
//! And the certificate of this server itself: `clumio-exporter probe` shows it, because a kubelet has none, and whoever
//! has its key is this server for all that a client can tell.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::signatures::signatures_by_rustls;

/// The verifier of rustls, with what the file says besides.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) by_authority: Arc<dyn ClientCertVerifier>,
    pub(super) own: CertificateDer<'static>,
    pub(super) allowed_sans: Vec<String>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

// === impl Verifier ===

impl Verifier {
    fn is_allowed(&self, certificate: &[u8]) -> bool {
        self.allowed_sans.is_empty() || names(certificate).iter().any(|name| self.allowed_sans.contains(name))
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.by_authority.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_authority.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.own {
            return Ok(ClientCertVerified::assertion());
        }
        let verified = self.by_authority.verify_client_cert(end_entity, intermediates, now)?;
        if self.is_allowed(end_entity) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    signatures_by_rustls!();
}

/// The alternative names of a certificate, as the format writes them.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}
