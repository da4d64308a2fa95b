//! Who may ask, and how: what the web config says, ready for use. It is made whole or not at all, and then swapped.

mod clients;
mod gate;
mod login;
mod login_queue;
mod rate;
pub(super) mod signatures;
pub(super) mod tls;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::http::header::{CONTENT_SECURITY_POLICY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;

pub use gate::{Gate, Opened};

use login::{Login, Refusal};
use rate::Bucket;

use crate::config::{Clients, Header, WebConfig};
use crate::files;

/// The paths that everybody may ask for, however many others ask: a kubelet cannot log in, and restarts what does not
/// answer.
pub(super) const OPEN_PATHS: [&str; 2] = ["/-/healthy", "/-/ready"];

/// The longest web config or PEM file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Everything that is wrong, a line each.
pub type Problems = Vec<String>;

/// What the web config says, ready for use.
#[derive(Debug, Default)]
pub(super) struct Access {
    tls: Option<Arc<ServerConfig>>,
    headers: HeaderMap,
    login: Option<Arc<Login>>,
    bucket: Option<Arc<Bucket>>,
    guards: Vec<&'static str>,
}

/// The web config in `file`, checked.
pub(super) fn read_config(file: &Path) -> Result<WebConfig, Problems> {
    let text = read_text(file)
        .map_err(|why| vec![format!("{}: {why}; web.config_file must name a YAML file", file.display())])?;
    WebConfig::parse(&text, file).map_err(|error| error.problems().to_vec())
}

/// The text of a file; else what is wrong with it.
fn read_text(path: &Path) -> Result<String, String> {
    files::read_text(path, MOST_BYTES).map_err(|error| error.to_string())
}

// === impl Access ===

impl Access {
    /// What `config` says, which was read from `file`. Logins and requests that `before` has seen still count if what
    /// is said of them is the same.
    fn new(config: &WebConfig, file: &Path, before: &Self) -> Result<Self, Problems> {
        let tls = match &config.tls {
            Some(tls) => {
                let made = tls::server(tls);
                let told = made.map_err(|why| vec![format!("{}: tls_server_config.{why}", file.display())]);
                Some(Arc::new(told?))
            }
            None => None,
        };
        let login = (!config.users.is_empty()).then(|| match &before.login {
            Some(login) if login.is_for(&config.users) => Arc::clone(login),
            Some(login) => Arc::new(login.with_users(config.users.clone())),
            None => Arc::new(Login::new(config.users.clone())),
        });
        let bucket = config.rate_limit.map(|limit| match &before.bucket {
            Some(bucket) if bucket.is_for(limit) => Arc::clone(bucket),
            _ => Arc::new(Bucket::new(limit)),
        });
        Ok(Self { tls, headers: headers(&config.headers), login, bucket, guards: guards(config) })
    }

    /// The same, unless it turns off what keeps others out in `before`.
    fn keeps_out_as(self, before: &Self, file: &str) -> Result<Self, Problems> {
        let off: Vec<_> = before.guards.iter().copied().filter(|key| !self.guards.contains(key)).collect();
        if off.is_empty() {
            return Ok(self);
        }
        let off = off.join(" and ");
        let remedy = "which takes a reload (SIGHUP or POST /-/reload) or a restart";
        Err(vec![format!("{file}: turns off {off}, {remedy}")])
    }

    /// How TLS is spoken; none: plain HTTP.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Lets a request for `path` in, or says why not.
    pub(super) async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        source: IpAddr,
    ) -> Result<(), Response> {
        if OPEN_PATHS.contains(&path) {
            return Ok(());
        }
        if self.bucket.as_ref().is_some_and(|bucket| !bucket.take()) {
            let message = "too many requests (rate_limit of the web config)\n";
            return Err((StatusCode::TOO_MANY_REQUESTS, message).into_response());
        }
        let Some(login) = &self.login else { return Ok(()) };
        login.admit(headers, source).await.map_err(|refusal| match refusal {
            Refusal::Denied => {
                let challenge = [(WWW_AUTHENTICATE, "Basic")];
                (StatusCode::UNAUTHORIZED, challenge, "log in\n").into_response()
            }
            Refusal::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many logins at once; try again\n").into_response()
            }
        })
    }

    /// Puts the headers of the web config into an answer, in place of the page's own; but a policy for content only
    /// adds to that of the page, so that it never allows more.
    pub(super) fn decorate(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.headers {
            if name == CONTENT_SECURITY_POLICY {
                answer.append(name, value.clone());
            } else {
                answer.insert(name, value.clone());
            }
        }
    }
}

/// The keys of `config` that keep others out.
fn guards(config: &WebConfig) -> Vec<&'static str> {
    let (required, named) = match config.tls.as_ref().map(|tls| &tls.clients) {
        Some(Clients::Verified { required, allowed_sans, .. }) => (*required, !allowed_sans.is_empty()),
        Some(Clients::Any) | None => (false, false),
    };
    let keys = [
        ("tls_server_config", config.tls.is_some()),
        ("client_auth_type", required),
        ("client_allowed_sans", named),
        ("basic_auth_users", !config.users.is_empty()),
    ];
    keys.into_iter().filter(|(_, keeps_out)| *keeps_out).map(|(key, _)| key).collect()
}

fn headers(headers: &[Header]) -> HeaderMap {
    let header = |Header { name, value }: &Header| {
        let name: HeaderName = name.parse().expect("the names of the format must be names of headers");
        let value = HeaderValue::from_str(value).expect("the settings must have checked the value");
        (name, value)
    };
    headers.iter().map(header).collect()
}
