//! The file that `web.config_file` names: TLS, login and response headers, in the format of the Prometheus
//! exporter-toolkit.
//!
//! Keys are strict. What rustls cannot do is refused by its name instead of being done otherwise, and so is what the
//! format accepts and ignores. No message has a key, a password or its hash in it.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod http;
mod rate;
mod tls;
mod users;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use config::{Value, ValueKind};

pub use http::Header;
pub use rate::RateLimit;
pub use tls::{Clients, Curve, Pem, Tls, Version};
pub use users::PasswordHash;

use super::error::{Error, Problems};
use super::table::Table;

/// How clients reach the exporter, and which of them may.
#[derive(Debug, Clone, PartialEq)]
pub struct WebConfig {
    /// How TLS is spoken; none: plain HTTP.
    pub tls: Option<Tls>,
    /// What every answer has in its head.
    pub headers: Vec<Header>,
    /// Who may log in; nobody: no login is asked for.
    pub users: BTreeMap<String, PasswordHash>,
    /// How often requests may come; none: no limit.
    pub rate_limit: Option<RateLimit>,
}

// === impl WebConfig ===

impl WebConfig {
    /// Reads the text of `file`, against whose folder relative paths resolve. No file is read.
    ///
    /// # Errors
    /// When anything is wrong with it: all of it, not only the first.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let config = read(text, file, &mut problems);
        problems.into_error().map_or(Ok(config), Err)
    }
}

fn read(text: &str, file: &Path, problems: &mut Problems) -> WebConfig {
    let shown = file.display().to_string();
    let mut root = yaml::parse(text, &shown, problems);
    let mut section = |name: &'static str, problems: &mut Problems| {
        problems.know(name.to_owned());
        entries(name, root.remove(name), &shown, problems)
    };
    let tls = section("tls_server_config", problems);
    let http = section("http_server_config", problems);
    let users = section("basic_auth_users", problems);
    let rate_limit = section("rate_limit", problems);
    let folder = file.parent().unwrap_or(Path::new(""));
    let tls = tls::read(table("tls_server_config", tls, &shown, problems), folder);
    let headers = http::read(http, &shown, problems);
    let users = users::read(users, &shown, problems);
    let rate_limit = rate::read(table("rate_limit", rate_limit, &shown, problems));
    for (name, value) in root {
        problems.unknown_value(&shown, &name, &name, &value);
    }
    WebConfig { tls, headers, users, rate_limit }
}

/// A table whose name messages and the set of known keys share.
fn table<'a>(
    name: &'static str,
    entries: BTreeMap<String, Value>,
    file: &str,
    problems: &'a mut Problems,
) -> Table<'a> {
    Table::new(name.to_owned(), name, file.to_owned(), entries, problems)
}

/// The entries of a mapping. A key without a value is as good as none, there and in it.
fn entries(name: &str, value: Option<Value>, file: &str, problems: &mut Problems) -> BTreeMap<String, Value> {
    match value.map(|value| value.kind) {
        Some(ValueKind::Table(table)) => {
            table.into_iter().filter(|(_, value)| !matches!(value.kind, ValueKind::Nil)).collect()
        }
        None | Some(ValueKind::Nil) => BTreeMap::new(),
        Some(_) => {
            problems.at(
                file,
                name,
                "is not a mapping; write its keys below it, indented, with a space after each colon",
            );
            BTreeMap::new()
        }
    }
}
