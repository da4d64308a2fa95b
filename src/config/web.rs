//! `[web]`: what is served, and where.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use config::ValueKind;

use super::error::quote;
use super::external_url::ExternalUrl;
use super::table::{Table, Verdict};
use super::values::{flag, text, whole};

/// What is served, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Where to listen: `host:port`, `[v6]:port`, or `:port` for every address of both IPv4 and IPv6.
    pub listen_address: String,
    /// The URL under which people reach the exporter; none: alerts have no links. Its path is a prefix of all paths,
    /// which are also served without it.
    pub external_url: Option<ExternalUrl>,
    /// The path of the exposition: begins with `/`, and is none of the other served paths.
    pub telemetry_path: String,
    /// The file with TLS, login and headers; none: plain HTTP for everybody.
    pub config_file: Option<PathBuf>,
    /// How many scrapes are served at once; more get 503.
    pub max_requests: usize,
    /// Whether `POST /-/reload` reads the configuration again.
    pub enable_lifecycle: bool,
}

// === impl Web ===

impl Web {
    /// Reads the table of the config file `file`, against whose folder a relative path resolves.
    pub(super) fn read(mut table: Table<'_>, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let web = Self {
            listen_address: table.or("listen_address", ":10317".to_owned(), listen_address),
            external_url: table.optional("external_url", |value| ExternalUrl::parse(&text(value)?)),
            telemetry_path: table.or("telemetry_path", "/metrics".to_owned(), telemetry_path),
            config_file: table.optional("config_file", |value| Ok(folder.join(text(value)?))),
            max_requests: table.or("max_requests", 40, whole(1..=10_000)),
            enable_lifecycle: table.or("enable_lifecycle", false, flag),
        };
        table.close();
        web
    }
}

fn listen_address(value: &ValueKind) -> Verdict<String> {
    let address = text(value)?;
    let is_valid = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && is_digits(port) && port.parse::<u16>().is_ok());
    if is_valid {
        return Ok(address);
    }
    let shown = quote(&address);
    Err(format!("{shown} is not an address; write host:port, [v6]:port, or :port for every address"))
}

fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let is_numeric = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_name && (!is_numeric || host.parse::<Ipv4Addr>().is_ok())
}

/// `u16::from_str` also takes a plus sign.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn telemetry_path(value: &ValueKind) -> Verdict<String> {
    let path = text(value)?;
    let shown = quote(&path);
    if path == "/" {
        return Err("\"/\" is the status page; write another path, such as \"/metrics\"".to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(format!(
            "{shown} is not a path; write a / and then letters, digits and any of / . _ ~ -"
        ));
    }
    // Clients take such segments out of a URL before they send it.
    if path[1..].split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(format!("{shown} has an empty segment, . or ..; write a path such as \"/metrics\""));
    }
    if ["/assets", "/asset", "/tasks"].contains(&path.as_str()) {
        return Err(format!("{shown} is the path of a page; write another one, such as \"/metrics\""));
    }
    if matches!(path[1..].split('/').next(), Some("-" | "api")) {
        return Err(format!("{shown} is taken: /-/ and /api/ are served already; write another path"));
    }
    Ok(path)
}
