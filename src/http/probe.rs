//! Asks a daemon that runs on this machine how it is, over its own web config.
//!
//! Its certificate is not for loopback, so no name is verified: it must be the very certificate that the web config
//! names, and that is also what is shown where the daemon asks clients for one. No password is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, Error};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::access::read_config;
use super::access::signatures::signatures_by_rustls;
use super::access::tls::Identity;
use super::{Gate, Problems};
use crate::config::Web;

/// How long a probe takes at most; a kubelet gives it as long as its `timeoutSeconds`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How soon it is asked again: a new certificate may not yet be in use.
const AGAIN: Duration = Duration::from_millis(500);

/// Takes one certificate and no other.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Asks the daemon that serves `web` for `path`; gives what it says.
///
/// # Errors
/// If it does not answer, or not well.
pub async fn probe(web: &Web, path: &str) -> Result<String, String> {
    let address = address(&web.listen_address)?;
    let tls = match tls(web.config_file.as_deref()) {
        Ok(tls) => tls,
        Err(problems) => return connect(address, &problems.join("; ")).await,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let builder = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
    let builder = match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder.tls_certs_only([]),
    };
    let client = builder.timeout(ANSWER_TIMEOUT).build().map_err(|error| error.to_string())?;
    let url = format!("{scheme}://{address}{path}");
    let end = Instant::now() + TIMEOUT - ANSWER_TIMEOUT;
    loop {
        match ask(&client, &url).await {
            Err(_) if Instant::now() + AGAIN < end => sleep(AGAIN).await,
            answer => return answer,
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", causes(&error));
    let answer = client.get(url).send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    let text = text.trim();
    if status.is_success() { Ok(format!("{url}: {text}")) } else { Err(format!("{url}: {status}: {text}")) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A daemon keeps what it has when its web config goes wrong, and a restart would end it: so then it is well if it
/// takes connections.
async fn connect(address: SocketAddr, problems: &str) -> Result<String, String> {
    match timeout(ANSWER_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(format!(
            "{problems}; so its health cannot be asked, but something takes connections at {address}, and a restart \
             would fail"
        )),
        Ok(Err(error)) => Err(format!("{problems}; and nothing takes connections at {address}: {error}")),
        Err(_) => Err(format!("{problems}; and nothing takes connections at {address}")),
    }
}

/// How the daemon is spoken to; none: plainly. The web config must be right as a whole, as at a start.
fn tls(config_file: Option<&Path>) -> Result<Option<ClientConfig>, Problems> {
    let Some(file) = config_file else { return Ok(None) };
    Gate::new().read(Some(file))?;
    let Some(tls) = read_config(file)?.tls else { return Ok(None) };
    let problem = |why: String| vec![format!("{}: tls_server_config.{why}", file.display())];
    let Identity { certificates, key } = Identity::read(&tls).map_err(problem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate =
        certificates.first().cloned().ok_or_else(|| problem("cert_file: is empty".to_owned()))?;
    let pinned = Pinned { certificate, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_client_auth_cert(certificates, key)
        .map_err(|error| problem(format!("key: {error}")))?;
    Ok(Some(config))
}

/// Where a daemon that listens at `address` is reached from this machine.
fn address(address: &str) -> Result<SocketAddr, String> {
    let whole = if address.starts_with(':') { format!("127.0.0.1{address}") } else { address.to_owned() };
    let found = whole.to_socket_addrs().ok().and_then(|mut all| all.next());
    let mut found = found.ok_or_else(|| format!("{address}: the host has no address"))?;
    if found.port() == 0 {
        return Err(
            "web.listen_address has port 0, which is another one at each start; choose one".to_owned()
        );
    }
    if found.ip().is_unspecified() {
        found.set_ip(match found.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(found)
}

// === impl Pinned ===

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    signatures_by_rustls!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_this_machine() {
        for (listens, asked) in [
            (":10317", "127.0.0.1:10317"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
        ] {
            assert_eq!(address(listens).map(|it| it.to_string()), Ok(asked.to_owned()), "{listens}");
        }
        assert!(address(":0").is_err_and(|message| message.contains("port 0")));
    }
}
