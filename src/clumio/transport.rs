//! The connections below the client: TLS, proxies and timeouts, shared between accounts.
//!
//! Each set of trust roots costs memory, so accounts with equal needs get the same `reqwest::Client`, and with
//! it one pool of connections. Redirects are never followed, for the token would go along; and reqwest never
//! retries by itself, for every attempt takes a turn of the rate limit and is counted.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, redirect, retry};
use url::Url;

use super::fault::causes;
use crate::config::is_loopback;
use crate::files;

/// The largest `ca_file`, in bytes. The bundles of operating systems have a quarter of a megabyte.
pub const MAX_BUNDLE_BYTES: u64 = 4 << 20;

const USER_AGENT: &str = concat!("clumio-exporter/", env!("CARGO_PKG_VERSION"));

/// The longest time for a connection to be made; a request has to fit its answer into its timeout too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes and shares HTTP clients. A `ca_file` is read once: whoever reads the configuration again starts anew.
#[derive(Debug, Default)]
pub struct Transports {
    made: HashMap<Needs, reqwest::Client>,
}

/// What sets one HTTP client apart from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Needs {
    ca_file: Option<PathBuf>,
    /// Whether the API is on this machine. Then it is never reached through a proxy.
    loopback: bool,
    /// Whether it is reached over TLS.
    tls: bool,
    connect_timeout: Duration,
}

/// Why an account cannot be polled as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The file of additional trust roots is of no use.
    #[error("ca_file {}: {why}; name a readable file of PEM certificates, or leave the key out", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There are no trust roots, or TLS cannot be set up at all.
    #[error("cannot set up TLS: {0}; install the system's CA certificates, or set ca_file of the account")]
    Tls(String),
    /// The organizational unit cannot be sent.
    #[error("organizational_unit {0:?} cannot be sent in a header; use the unit's UUID")]
    OrganizationalUnit(String),
}

/// The cause of an error of reqwest's builder, whose own words are "builder error".
fn cause(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| error.to_string(), causes)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let bundle = files::read(path, MAX_BUNDLE_BYTES).map_err(|error| error.to_string())?;
    let certificates = Certificate::from_pem_bundle(&bundle).map_err(|e| cause(&e))?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(certificates)
}

// === impl Transports ===

impl Transports {
    /// None made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The client for an account with this `ca_file`, base URL and request timeout.
    ///
    /// # Errors
    /// If the file is unreadable, empty or damaged, or if there are no trust roots.
    ///
    /// # Panics
    /// If no provider of cryptography was installed in `rustls`.
    pub fn client(
        &mut self,
        ca_file: Option<&Path>,
        base_url: &Url,
        request_timeout: Duration,
    ) -> Result<reqwest::Client, SetupError> {
        let needs = Needs {
            ca_file: ca_file.map(Path::to_owned),
            loopback: is_loopback(base_url),
            tls: base_url.scheme() == "https",
            connect_timeout: CONNECT_TIMEOUT.min(request_timeout),
        };
        if let Some(client) = self.made.get(&needs) {
            return Ok(client.clone());
        }
        let client = needs.client()?;
        self.made.insert(needs, client.clone());
        Ok(client)
    }
}

// === impl Needs ===

impl Needs {
    fn client(&self) -> Result<reqwest::Client, SetupError> {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false);
        let builder = if self.loopback { builder.no_proxy() } else { builder };
        self.trusting(builder)?.build().map_err(|e| match &self.ca_file {
            Some(path) => SetupError::CaFile { path: path.clone(), why: cause(&e) },
            None => SetupError::Tls(cause(&e)),
        })
    }

    fn trusting(&self, builder: ClientBuilder) -> Result<ClientBuilder, SetupError> {
        match &self.ca_file {
            Some(path) => certificates(path)
                .map(|certificates| builder.tls_certs_merge(certificates))
                .map_err(|why| SetupError::CaFile { path: path.clone(), why }),
            // Nothing here speaks TLS, so that a machine without CA certificates can run the simulator.
            None if self.loopback && !self.tls => Ok(builder.tls_certs_only([])),
            None => Ok(builder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Self-signed by nobody, for nobody.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUPSo2HsWHnI/eS8Hj5v/gTu4z8qkwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMxNjM1NDBaGA8yMTI2MTAzMDE2MzU0
MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCGf
MFXvLTiBpzPR631RuxtLH/cE3AlfBQ9ufk8azRFrns/eUTDk2mKdbM7hBh2HMJUT
0k7W5FTaIWTwo82WDFCjUzBRMB0GA1UdDgQWBBTvfgGjKFfLwXYCUBu7rStgxpmp
fzAfBgNVHSMEGDAWgBTvfgGjKFfLwXYCUBu7rStgxpmpfzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIGsKoIjN6S1VXez4NMk5NKaA5rTdekvbNNeI
lrIdSn0aAiEAjofBkBfnyLvGOEBmFMAmvHAo2tTGI6NNtFezcBiM1Jo=
-----END CERTIFICATE-----
";
    const TIMEOUT: Duration = Duration::from_secs(30);

    fn url(text: &str) -> Url {
        text.parse().expect("the URL must be valid")
    }

    fn ca_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file must be had");
        std::fs::write(&file, text).expect("the file must be written");
        file
    }

    fn transports() -> Transports {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Transports::new()
    }

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for here in
            ["localhost", "api.localhost:1", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback(&url(&format!("http://{here}/x"))), "{here}");
        }
        for there in ["us-west-2.api.clumio.com", "10.0.0.1", "localhost.example.com", "[fe80::1]", "0.0.0.0"]
        {
            assert!(!is_loopback(&url(&format!("http://{there}/x"))), "{there}");
        }
    }

    #[test]
    fn equal_needs_share_a_client_and_others_do_not() {
        let file = ca_file(CERTIFICATE);
        let mut transports = transports();
        let mut made = |ca_file, base: &str, timeout: u64| {
            let made = transports.client(ca_file, &url(base), Duration::from_secs(timeout));
            made.expect("the client must be made");
            transports.made.len()
        };
        assert_eq!(made(None, "http://127.0.0.1:1", 30), 1);
        assert_eq!(made(None, "http://localhost:2/x", 10), 1);
        assert_eq!(made(None, "http://localhost:2/x", 9), 2);
        assert_eq!(made(Some(file.path()), "https://a.example", 30), 3);
        assert_eq!(made(Some(file.path()), "https://b.example", 30), 3);
        assert_eq!(made(Some(file.path()), "https://[::1]", 30), 4);
    }

    #[test]
    fn a_ca_file_that_is_of_no_use_is_named_with_the_remedy() {
        let missing = PathBuf::from("/nowhere/ca.pem");
        let no_pem = ca_file("hello");
        let bad_base64 = ca_file("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        let no_certificate = ca_file("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n");
        for (path, why) in [
            (missing.as_path(), "no such file"),
            (no_pem.path(), "there is no certificate in it"),
            (bad_base64.path(), "invalid certificate encoding"),
            (no_certificate.path(), "invalid peer certificate: BadEncoding"),
        ] {
            let error = transports().client(Some(path), &url("https://a.example"), TIMEOUT);
            let error = error.expect_err("it must be refused").to_string();
            assert!(error.starts_with(&format!("ca_file {}: {why}", path.display())), "{error}");
            assert!(
                error.ends_with("; name a readable file of PEM certificates, or leave the key out"),
                "{error}"
            );
        }
    }
}
