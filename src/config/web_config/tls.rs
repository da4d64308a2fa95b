//! `tls_server_config`: certificate, key, whose clients are let in, and what is negotiated.

use std::fmt;
use std::path::{Path, PathBuf};

use config::{Value, ValueKind};

use super::super::error::{either, quote};
use super::super::table::{Table, Verdict};
use super::super::values::{flag, text, word};
use super::yaml::secret_text;

/// The suites of rustls under the names of the format, which are those of Go. The last three are of TLS 1.3.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate of the server, and those up to its authority.
    pub certificate: Pem,
    /// The private key of the certificate.
    pub key: Pem,
    /// Whose certificate a client has to show.
    pub clients: Clients,
    /// The oldest version that is spoken.
    pub min_version: Version,
    /// The newest version that is spoken.
    pub max_version: Version,
    /// The suites by the names of Go; none: all. Those of TLS 1.3 are all on unless one of them is named.
    pub cipher_suites: Vec<&'static str>,
    /// Whether the order of the suites is the server's.
    pub prefer_server_cipher_suites: bool,
    /// The groups of the key exchange, in order; none: all.
    pub curve_preferences: Vec<Curve>,
}

/// Something in PEM.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// Here.
    Inline(String),
}

/// Whose certificate a client has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// None is asked for.
    Any,
    /// One of this authority.
    Verified {
        /// The certificates of the authorities.
        ca: Pem,
        /// Whether one that shows none is turned away.
        required: bool,
        /// One of these must be in the certificate as it is: a DNS name, address, e-mail or URI; none: any is good.
        allowed_sans: Vec<String>,
    },
}

/// A version of TLS that rustls has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// A group of the key exchange that rustls has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// X25519
    X25519,
    /// NIST P-256
    P256,
    /// NIST P-384
    P384,
}

/// What `client_auth_type` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    None,
    IfGiven,
    Required,
}

/// How TLS is spoken; none if no key is there. A relative path resolves against `folder`.
pub(super) fn read(mut table: Table<'_>, folder: &Path) -> Option<Tls> {
    let is_there = !table.is_empty();
    let certificate = pem(&mut table, "cert", "cert_file", folder);
    let key = pem(&mut table, "key", "key_file", folder);
    let clients = clients(&mut table, folder);
    let min_version = table.or("min_version", Version::Tls12, version);
    let max_version = table.or("max_version", Version::Tls13, version);
    if min_version > max_version {
        table.complain("min_version", "is above max_version; no version is left");
    }
    let cipher_suites = table.or("cipher_suites", Vec::new(), list(cipher_suite));
    let prefer_server_cipher_suites = table.or("prefer_server_cipher_suites", true, flag);
    let curve_preferences = table.or("curve_preferences", Vec::new(), list(curve));
    if is_there {
        require(&mut table, "cert", "cert_file", "the certificate");
        require(&mut table, "key", "key_file", "the private key");
    }
    table.close();
    Some(Tls {
        certificate: certificate?,
        key: key?,
        clients,
        min_version,
        max_version,
        cipher_suites,
        prefer_server_cipher_suites,
        curve_preferences,
    })
}

fn require(table: &mut Table<'_>, inline: &str, file: &str, what: &str) {
    if !table.has(inline) && !table.has(file) {
        table.complain(file, &format!("is missing; name a PEM file with {what}"));
    }
}

/// What is in PEM: under one key as text, or under another as the name of a file.
fn pem(table: &mut Table<'_>, inline: &'static str, file: &'static str, folder: &Path) -> Option<Pem> {
    let text = table.optional(inline, inline_pem).map(Pem::Inline);
    let path = table.optional(file, |value| Ok(Pem::File(folder.join(file_name(value)?))));
    if table.has(inline) && table.has(file) {
        table.complain(inline, &format!("stands beside {file}; leave one of them out"));
    }
    text.or(path)
}

fn inline_pem(value: &ValueKind) -> Verdict<String> {
    let text = secret_text(value).filter(|text| text.contains("-----BEGIN "));
    let message = "is not PEM text (it is not shown); write it as a block after |, or name a file instead";
    text.map(str::to_owned).ok_or_else(|| message.to_owned())
}

/// A name of a file. What looks like the content of one is not repeated, for it may be a key.
fn file_name(value: &ValueKind) -> Verdict<String> {
    let is_content = |text: &str| text.contains("-----") || text.contains('\n');
    if secret_text(value).is_some_and(is_content) {
        return Err("is text instead of the name of a file (it is not shown); name the file".to_owned());
    }
    text(value)
}

fn clients(table: &mut Table<'_>, folder: &Path) -> Clients {
    let ca = pem(table, "client_ca", "client_ca_file", folder);
    let auth = table.or("client_auth_type", ClientAuth::None, client_auth);
    let allowed_sans = table.or("client_allowed_sans", Vec::new(), list(text));
    if table.has("client_allowed_sans") && auth != ClientAuth::Required {
        let message = "has no effect on clients without a certificate; \
                       write client_auth_type: RequireAndVerifyClientCert";
        table.complain("client_allowed_sans", message);
    }
    let has_ca = table.has("client_ca") || table.has("client_ca_file");
    match (auth, ca) {
        (ClientAuth::None, _) => {
            // Whatever is wrong with the type itself has been told.
            if has_ca && !table.has("client_auth_type") {
                let message =
                    "is missing, so no certificate would be asked for; write RequireAndVerifyClientCert";
                table.complain("client_auth_type", message);
            } else if has_ca && table.is("client_auth_type", "NoClientCert") {
                let message = "lets in everybody, whatever the authority; write RequireAndVerifyClientCert, \
                               or leave the authority out";
                table.complain("client_auth_type", message);
            }
            Clients::Any
        }
        (auth, Some(ca)) => Clients::Verified { ca, required: auth == ClientAuth::Required, allowed_sans },
        (_, None) => {
            if !has_ca {
                let message = "is missing; name a PEM file with the authorities whose clients are let in";
                table.complain("client_ca_file", message);
            }
            Clients::Any
        }
    }
}

fn client_auth(value: &ValueKind) -> Verdict<ClientAuth> {
    const VERIFIED: [&str; 2] = ["RequireAndVerifyClientCert", "VerifyClientCertIfGiven"];
    match value {
        ValueKind::String(text) => match text.as_str() {
            "" | "NoClientCert" => Ok(ClientAuth::None),
            "VerifyClientCertIfGiven" => Ok(ClientAuth::IfGiven),
            "RequireAndVerifyClientCert" => Ok(ClientAuth::Required),
            "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => Err(format!(
                "{text} takes certificates of anybody, which rustls does not; write {}",
                either(&VERIFIED)
            )),
            other => Err(format!("{} is not known; write NoClientCert, {}", quote(other), either(&VERIFIED))),
        },
        _ => Err(format!("is not text; write NoClientCert, {}", either(&VERIFIED))),
    }
}

fn version(value: &ValueKind) -> Verdict<Version> {
    if let Some(old @ ("TLS10" | "TLS11")) = secret_text(value) {
        return Err(format!("{old} is too old for rustls; write TLS12 or TLS13"));
    }
    word(&[Version::Tls12, Version::Tls13], |version| match version {
        Version::Tls12 => "TLS12",
        Version::Tls13 => "TLS13",
    })(value)
}

fn cipher_suite(value: &ValueKind) -> Verdict<&'static str> {
    let name = text(value)?;
    CIPHER_SUITES.iter().copied().find(|suite| *suite == name).ok_or_else(|| {
        let remedy = either(&CIPHER_SUITES);
        format!("{} is not a cipher suite that rustls has; write any of {remedy}", quote(&name))
    })
}

fn curve(value: &ValueKind) -> Verdict<Curve> {
    let name = text(value)?;
    match name.as_str() {
        "X25519" => Ok(Curve::X25519),
        "CurveP256" => Ok(Curve::P256),
        "CurveP384" => Ok(Curve::P384),
        _ => Err(format!(
            "{} is not a curve that rustls has here; write any of X25519, CurveP256 or CurveP384",
            quote(&name)
        )),
    }
}

/// A list, each of whose values is under `rule`.
fn list<T>(rule: impl Fn(&ValueKind) -> Verdict<T>) -> impl FnOnce(&ValueKind) -> Verdict<Vec<T>> {
    move |value| match value {
        ValueKind::Array(values) => values.iter().map(|Value { kind, .. }| rule(kind)).collect(),
        _ => Err("is not a list; write each value in a line of its own after a dash".to_owned()),
    }
}

// === impl Pem ===

/// It may be a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Inline(_) => f.write_str("Inline(not shown)"),
        }
    }
}
