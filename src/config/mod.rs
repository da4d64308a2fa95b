//! What the user configured: defaults, then the file, then the environment, then flags, checked as a whole.
//!
//! A key exists in one place, the line that reads it: its name, its default and its bounds stand there, a name
//! that no line read is an unknown key, and so nothing can be accepted and then ignored. Every problem is
//! reported at once, because a start that fails five times for five typing errors wastes an evening.

mod account;
mod assets;
mod base_url;
mod environment;
mod error;
mod external_url;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod layers;
mod limits;
mod log;
mod poll;
mod state;
mod table;
mod values;
mod web;
mod web_config;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use account::{Account, TokenSource};
pub use assets::{AUTO_COVERS, Assets, MaxAge, Objective, Within};
pub use base_url::is_loopback;
pub use environment::Environment;
pub use error::Error;
pub use external_url::ExternalUrl;
pub use limits::Limits;
pub use log::{Log, LogFormat, LogLevel};
pub use poll::Poll;
pub use state::State;
pub use web::Web;
pub use web_config::{Clients, Curve, Header, PasswordHash, Pem, RateLimit, Tls, Version, WebConfig};

use account::Context;
use config::{Map, Value, ValueKind};
use error::Problems;
use table::Table;

/// Everything that the user can configure, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is served, and where.
    pub web: Web,
    /// What is logged, and how.
    pub log: Log,
    /// How the API is polled.
    pub poll: Poll,
    /// Where the numbers are kept over restarts.
    pub state: State,
    /// Which tasks protect assets, and how old their last backup may be.
    pub assets: Assets,
    /// What keeps one account from using up memory, or Prometheus.
    pub limits: Limits,
    /// What is polled: at least one account, in the order of the file.
    pub accounts: Vec<Account>,
}

/// What the command line says. A flag that was not given is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config.file`
    pub config_file: Option<PathBuf>,
    /// `--web.listen-address`
    pub listen_address: Option<String>,
    /// `--web.external-url`
    pub external_url: Option<String>,
    /// `--web.config.file`
    pub web_config_file: Option<PathBuf>,
    /// `--log.level`
    pub log_level: Option<String>,
    /// `--log.format`
    pub log_format: Option<String>,
}

/// Reads the configuration and checks it. Of the file system only the config file itself is read: a token or a
/// certificate may arrive after the start.
///
/// # Errors
/// When anything is wrong with the file, the environment or the flags: all of it, not only the first.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Settings, Error> {
    let mut problems = Problems::default();
    let settings = read(flags, environment, &mut problems);
    match problems.into_error() {
        Some(error) => Err(error),
        None => Ok(settings),
    }
}

/// `[web]` alone, for whoever asks a daemon that runs: what is wrong elsewhere is none of its business.
///
/// # Errors
/// When anything is wrong with that table, or the file is not TOML.
pub fn load_web(flags: &Flags, environment: &Environment) -> Result<Web, Error> {
    let mut problems = Problems::default();
    let document = match &flags.config_file {
        Some(path) => file::read(path, &mut problems).unwrap_or_default(),
        None => Map::new(),
    };
    let file = flags.config_file.as_deref().unwrap_or(Path::new(""));
    let elsewhere = &mut Problems::default();
    let mut root = layers::merge([document, environment.layer(elsewhere), flags.layer()]);
    let table = Table::top("web", root.remove("web"), &file.display().to_string(), &mut problems);
    let web = Web::read(table, file);
    problems.into_error().map_or(Ok(web), Err)
}

/// Reads every key; where one is wrong, `problems` has it and its default stands in.
fn read(flags: &Flags, environment: &Environment, problems: &mut Problems) -> Settings {
    let document = match &flags.config_file {
        Some(path) => file::read(path, problems),
        None => Some(Map::new()),
    };
    settle(document, flags, environment, problems)
}

/// The same, of the document in the config file; none if it could not be read.
fn settle(
    document: Option<Map<String, Value>>,
    flags: &Flags,
    environment: &Environment,
    problems: &mut Problems,
) -> Settings {
    let file_is_whole = document.is_some();
    let file = flags.config_file.as_deref().unwrap_or(Path::new(""));
    let shown = file.display().to_string();
    let layers = [document.unwrap_or_default(), environment.layer(problems), flags.layer()];
    let mut root = layers::merge(layers);
    // Which of the two is to blame if they contradict each other: the defaults do not.
    let blamed = [("state", "retention"), ("poll", "lookback")]
        .into_iter()
        .find_map(|(table, key)| Some((format!("{table}.{key}"), origin(&root, table, key)?)));
    problems.know("accounts".to_owned());

    let web = Web::read(Table::top("web", root.remove("web"), &shown, problems), file);
    let log = Log::read(Table::top("log", root.remove("log"), &shown, problems));
    let before = problems.count();
    let poll = Poll::read(Table::top("poll", root.remove("poll"), &shown, problems));
    let state = Table::top("state", root.remove("state"), &shown, problems);
    let state = State::read(state, file, poll.lookback);
    // A default that stands in for a wrong value must not be blamed.
    if let (Some((key, origin)), true) = (blamed, problems.count() == before)
        && let Some(message) = state.contradicts(poll.lookback)
    {
        problems.at(&origin, &key, &message);
    }
    let assets = Assets::read(root.remove("assets"), &shown, problems);
    let limits = Limits::read(Table::top("limits", root.remove("limits"), &shown, problems));
    let context = Context { environment, poll: &poll, file };
    let before = problems.count();
    let accounts = match root.remove("accounts") {
        Some(list) if !is_empty_list(&list) => account::read_all(list, &context, problems),
        _ if file_is_whole => account::from_environment(&context, problems).into_iter().collect(),
        _ => Vec::new(),
    };
    // An account that is wrong itself may be missing here.
    if problems.count() == before && !accounts.is_empty() {
        assets.check_accounts(&accounts, &shown, problems);
    }
    for (name, value) in root {
        problems.unknown_value(&shown, &name, &name, &value);
    }
    Settings { web, log, poll, state, assets, limits, accounts }
}

/// The file, variable or flag that a key was read from; none if it is not set.
fn origin(root: &BTreeMap<String, Value>, table: &str, key: &str) -> Option<String> {
    let ValueKind::Table(table) = &root.get(table)?.kind else { return None };
    table.get(key)?.origin().map(str::to_owned)
}

fn is_empty_list(value: &Value) -> bool {
    matches!(&value.kind, ValueKind::Array(list) if list.is_empty())
}

// === impl Settings ===

impl Settings {
    /// Settings that are valid but do not do what a user expects of them; for the log and for `check`.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.assets.warning(self.state.retention).into_iter().collect()
    }
}

// === impl Flags ===

impl Flags {
    fn layer(&self) -> Map<String, Value> {
        // It was named from where the user stands, and paths in the file resolve against its folder.
        let web_config_file = self.web_config_file.as_ref().map(|path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            path.to_string_lossy().into_owned()
        });
        let flags = [
            ("web", "config_file", "--web.config.file", &web_config_file),
            ("web", "external_url", "--web.external-url", &self.external_url),
            ("web", "listen_address", "--web.listen-address", &self.listen_address),
            ("log", "level", "--log.level", &self.log_level),
            ("log", "format", "--log.format", &self.log_format),
        ];
        let given = flags.into_iter().filter_map(|(table, key, flag, value)| {
            let value = Value::new(Some(&flag.to_owned()), ValueKind::String(value.clone()?));
            Some((table.to_owned(), key.to_owned(), value))
        });
        layers::layer(given)
    }
}
