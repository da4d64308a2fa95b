//! `[[accounts]]`: which organisations are polled, each with its address and the place of its token.
//!
//! A token itself is never configuration, only where it is: a file is read again when it changes, and a dump of
//! the settings shows nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Value, ValueKind};
use url::Url;

use super::base_url;
use super::environment::Environment;
use super::error::{Problems, TOKEN, quote};
use super::poll::{Pace, Poll};
use super::table::{Table, Verdict};
use super::values::{flag, text};

/// The variables of the vendor's Terraform provider, which users have set already.
const API_TOKEN: &str = "CLUMIO_API_TOKEN";
const API_BASE_URL: &str = "CLUMIO_API_BASE_URL";
const API_ORGANIZATIONAL_UNIT: &str = "CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT";

/// The longest name of an account, in characters; it is the value of a label on every series.
const NAME_LENGTH: usize = 64;

/// The longest name of a variable with a token. A longer one is more likely the token.
const VARIABLE_LENGTH: usize = 64;

/// The longest name of a variable that messages show.
const SHOWN_VARIABLE_LENGTH: usize = 24;

/// The longest organisational unit, in bytes. A UUID has 36.
const UNIT_LENGTH: usize = 256;

/// One account, with what it takes from `[poll]` already put in.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The value of the label `account`; unique whatever the case.
    pub name: String,
    /// Where the API is: https, or http that the rules allow; ends with a slash, so that [`Url::join`] keeps a
    /// path prefix.
    pub base_url: Url,
    /// Where the token is.
    pub token: TokenSource,
    /// The organisational unit whose tasks, and those below it, are read; none: the token's own. Visible ASCII.
    pub organizational_unit: Option<String>,
    /// Certificates to trust besides the usual ones, in PEM.
    pub ca_file: Option<PathBuf>,
    /// From the start of one poll to the start of the next.
    pub interval: Duration,
    /// How many tasks are asked for at once.
    pub page_size: u32,
    /// How many requests a second are sent; 0: no limit.
    pub requests_per_second: f64,
}

/// Where the token of an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// In this file; it need not be there yet.
    File(PathBuf),
    /// In this environment variable, which was set when the configuration was read.
    Env(String),
    /// This one, which is no secret: that of a simulated API.
    Given(&'static str),
}

/// What the reading of an account needs besides its table.
pub(super) struct Context<'a> {
    pub(super) environment: &'a Environment,
    pub(super) poll: &'a Poll,
    /// The config file, against whose folder relative paths resolve.
    pub(super) file: &'a Path,
}

/// The accounts of the file. Wrong ones are left out.
pub(super) fn read_all(list: Value, context: &Context<'_>, problems: &mut Problems) -> Vec<Account> {
    let file = context.file.display().to_string();
    let ValueKind::Array(list) = list.kind else {
        problems.at(&file, "accounts", "not a list of tables; write [[accounts]], in double brackets");
        return Vec::new();
    };
    let mut names = BTreeMap::new();
    let mut accounts = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let shown = format!("accounts[{index}]");
        let ValueKind::Table(entries) = value.kind else {
            problems.at(&file, &shown, "not a table; write [[accounts]], and its keys below");
            continue;
        };
        let mut table = Table::new(shown, "accounts", file.clone(), entries.into_iter().collect(), problems);
        let name = table.required("name", "missing; name the account, for its metrics", name);
        if let Some(name) = &name {
            match names.insert(name.to_ascii_lowercase(), name.clone()) {
                Some(other) => table.complain("name", &taken(name, &other)),
                None => table.rename(format!("accounts.{name:?}")),
            }
        }
        accounts.extend(Account::read(table, name, context));
    }
    accounts
}

/// The one account that the vendor's own variables make.
pub(super) fn from_environment(context: &Context<'_>, problems: &mut Problems) -> Option<Account> {
    let token = context.environment.get(API_TOKEN);
    let address = context.environment.get(API_BASE_URL);
    let (None, None) = (token, address) else {
        let token = require(API_TOKEN, API_BASE_URL, token, "an API token", problems);
        let address = require(API_BASE_URL, API_TOKEN, address, "the API's address", problems);
        return default_account(token.and(address)?, context, problems);
    };
    let or = format!(
        "or set {API_TOKEN} and {API_BASE_URL}; to look around without an account, run `clumio-exporter demo`"
    );
    if context.file.as_os_str().is_empty() {
        let remedy = "write [[accounts]] into a file and name it with --config.file";
        problems.general(format!("no account is configured; {remedy}, {or}"));
    } else {
        let file = context.file.display().to_string();
        problems.at(
            &file,
            "accounts",
            &format!("there is none; write [[accounts]] with a name, a base_url and a token_file, {or}"),
        );
    }
    None
}

fn require<'a>(
    name: &str,
    other: &str,
    value: Option<&'a str>,
    what: &str,
    problems: &mut Problems,
) -> Option<&'a str> {
    if value.is_none() {
        problems.general(format!(
            "{name}: not set, while {other} is; set it to {what}, or configure [[accounts]]"
        ));
    }
    value
}

fn default_account(address: &str, context: &Context<'_>, problems: &mut Problems) -> Option<Account> {
    let remedy = "write https, or configure the account in a file, with allow_http = true";
    let address = base_url::parse(address, false, remedy);
    let unit = context.environment.get(API_ORGANIZATIONAL_UNIT).map(header_text).transpose();
    if let Err(message) = &address {
        problems.general(format!("{API_BASE_URL}: {message}"));
    }
    if let Err(message) = &unit {
        problems.general(format!("{API_ORGANIZATIONAL_UNIT}: {message}"));
    }
    Some(Account {
        name: "default".to_owned(),
        base_url: address.ok()?,
        token: TokenSource::Env(API_TOKEN.to_owned()),
        organizational_unit: unit.ok()?,
        ca_file: None,
        interval: context.poll.interval,
        page_size: context.poll.page_size,
        requests_per_second: context.poll.requests_per_second,
    })
}

fn taken(name: &str, other: &str) -> String {
    let name = quote(name);
    if name == quote(other) {
        format!("{name} is the name of an account above; give each its own")
    } else {
        format!("{name} differs from {} above only in case; give each account its own name", quote(other))
    }
}

fn name(value: &ValueKind) -> Verdict<String> {
    let name = text(value)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = name.len() <= NAME_LENGTH
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(is_plain);
    let shown = quote(&name);
    if is_name {
        return Ok(name);
    }
    Err(format!(
        "{shown} is not a name; write a letter or a digit, then letters, digits and any of _ . - \
         ({NAME_LENGTH} characters at most)"
    ))
}

fn organizational_unit(value: &ValueKind) -> Verdict<String> {
    text(value).and_then(|unit| header_text(&unit))
}

/// Text that can be the value of a header.
fn header_text(text: &str) -> Verdict<String> {
    if text.len() <= UNIT_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not an organisational unit; write its UUID", quote(text)))
}

fn path(value: &ValueKind, context: &Context<'_>) -> Verdict<PathBuf> {
    let text = text(value)?;
    let mut words = text.split(|c: char| c == '/' || c.is_whitespace());
    if words.any(|word| word.starts_with(TOKEN)) {
        return Err("looks like a token (not shown); write the path of a file that holds it".to_owned());
    }
    Ok(context.file.parent().unwrap_or(Path::new("")).join(text))
}

fn token_variable(value: &ValueKind, environment: &Environment) -> Verdict<String> {
    let name = text(value)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || name.len() > VARIABLE_LENGTH || name.starts_with(TOKEN) {
        return Err("not the name of an environment variable (not shown: it may be a token); \
                    write the name alone, letters, digits and _"
            .to_owned());
    }
    if environment.get(&name).is_none() {
        // A token can be a name as well, but hardly a short one in capitals.
        if name.len() > SHOWN_VARIABLE_LENGTH || name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(
                "names an environment variable that is not set or empty (not shown: it may be a token); \
                        put the token into a variable, and write its name here"
                    .to_owned(),
            );
        }
        return Err(format!("the environment variable {name} is not set or empty; put the token into it"));
    }
    Ok(name)
}

// === impl Account ===

impl Account {
    fn read(mut table: Table<'_>, name: Option<String>, context: &Context<'_>) -> Option<Self> {
        let allow_http = table.or("allow_http", false, flag);
        let base_url =
            table.required("base_url", "missing; write the API's address of your region", |value| {
                base_url::parse(&text(value)?, allow_http, "write https, or set allow_http = true")
            });
        let token = TokenSource::read(&mut table, context);
        let organizational_unit = table.optional("organizational_unit", organizational_unit);
        let ca_file = table.optional("ca_file", |value| path(value, context));
        let pace = Pace::read(&mut table, Pace::from(context.poll));
        table.close();
        Some(Self {
            name: name?,
            base_url: base_url?,
            token: token?,
            organizational_unit,
            ca_file,
            interval: pace.interval,
            page_size: pace.page_size,
            requests_per_second: pace.requests_per_second,
        })
    }
}

// === impl TokenSource ===

impl TokenSource {
    fn read(table: &mut Table<'_>, context: &Context<'_>) -> Option<Self> {
        match (table.has("token_file"), table.has("token_env")) {
            (true, true) => table.complain("token_file", "token_env is set too; keep one of them"),
            (false, false) => {
                table.complain(
                    "token_file",
                    "missing, and token_env too; write one of them, to say where the token is",
                );
            }
            _ => {}
        }
        let file = table.optional("token_file", |value| path(value, context)).map(Self::File);
        let variable = table.optional("token_env", |value| token_variable(value, context.environment));
        file.or(variable.map(Self::Env))
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the token file {}", path.display()),
            Self::Env(name) => write!(f, "the token in the environment variable {name}"),
            Self::Given(_) => f.write_str("the token of the simulated API"),
        }
    }
}
