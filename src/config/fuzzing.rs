//! What holds of every configuration, whatever its text: for the fuzzer (`tests/fuzz`), whose corpus is tried with
//! the other tests as well.
//!
//! It is built for fuzzing and for tests alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use super::web_config::fuzzing::read as read_web_config;

use super::error::Problems;
use super::values::{days, mebibytes, minutes, seconds};
use super::{
    Account, Environment, Error, Flags, Limits, Poll, Settings, TokenSource, Web, file, is_loopback, settle,
};

/// What messages call the config file.
const FILE: &str = "/etc/clumio.toml";

/// What stands for a token in the input: only whole tokens get into it, so that a part of one in a message has leaked.
const PLACEHOLDER: &str = "TOKEN";

const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QiLCJuYW1lIjoibmV2ZXIgc2hvd24ifQ.c2VjcmV0IHNpZ25hdHVyZQ";

/// As much of the token as no message may have.
const PART: usize = 12;

/// Reads a config file and, each after a zero byte, variables (`NAME=value`): no panic, and either problems that can
/// be shown or settings within their bounds.
///
/// # Panics
/// If any of it does not hold.
pub fn load(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    if has_part(&input) {
        return;
    }
    let input = input.replace(PLACEHOLDER, TOKEN);
    let mut parts = input.split('\0');
    let text = parts.next().unwrap_or_default();
    let environment = parts.filter_map(|part| part.split_once('=')).collect();
    match settings(text, &environment) {
        Ok(settings) => {
            check_settings(&settings, &environment);
            let may_allow_http = text.contains("true") || text.contains('\\');
            settings.accounts.iter().for_each(|account| check_scheme(account, may_allow_http));
        }
        Err(error) => check_error(&error),
    }
}

/// Whether the text has a part of the token, in whatever case: names of variables are told in lower case.
fn has_part(text: &str) -> bool {
    text.to_lowercase().contains(&TOKEN[..PART].to_lowercase())
}

fn settings(text: &str, environment: &Environment) -> Result<Settings, Error> {
    let flags = Flags { config_file: Some(PathBuf::from(FILE)), ..Flags::default() };
    let mut problems = Problems::default();
    let document = file::parse(text, FILE, &mut problems);
    let settings = settle(document, &flags, environment, &mut problems);
    problems.into_error().map_or(Ok(settings), Err)
}

fn check_error(error: &Error) {
    assert!(!error.problems().is_empty(), "an error must have a problem");
    for problem in error.problems() {
        let named = [FILE, "CLUMIO_", "\"CLUMIO_", "this value"].iter().any(|name| problem.starts_with(name));
        assert!(named && problem.contains(": "), "the problem names nothing: {problem:?}");
        assert!(!problem.chars().any(char::is_control), "the problem has control characters: {problem:?}");
        assert!(!has_part(problem), "the problem has the token: {problem}");
    }
}

fn check_settings(settings: &Settings, environment: &Environment) {
    check_web(&settings.web);
    check_poll(&settings.poll);
    let retention = settings.state.retention;
    assert!((settings.poll.lookback..=days(180)).contains(&retention), "the retention is {retention:?}");
    check_limits(settings.limits);
    assert!(!settings.accounts.is_empty(), "there must be an account");
    let mut names = BTreeSet::new();
    for account in &settings.accounts {
        assert!(names.insert(account.name.to_lowercase()), "the name {} comes twice", account.name);
        check_account(account, environment);
    }
}

fn check_web(web: &Web) {
    let port = web.listen_address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    assert!(port.is_some(), "the address {:?} has no port", web.listen_address);
    let path = &web.telemetry_path;
    assert!(path.starts_with('/') && path != "/" && path.is_ascii(), "the path is {path:?}");
    assert!(
        path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%{}:*".contains(&byte)),
        "it is {path:?}"
    );
    assert!((1..=10_000).contains(&web.max_requests), "{} requests", web.max_requests);
}

fn check_poll(poll: &Poll) {
    let Poll { window, lookback, overlap, .. } = *poll;
    assert!(lookback >= window && lookback >= overlap, "{lookback:?} is less than {window:?} or {overlap:?}");
    for (duration, least, most) in [
        (poll.window, minutes(1), days(180)),
        (poll.lookback, minutes(1), days(180)),
        (poll.overlap, minutes(1), days(1)),
        (poll.counter_hold, Duration::ZERO, days(1)),
        (poll.request_timeout, seconds(1), minutes(10)),
    ] {
        assert!((least..=most).contains(&duration), "{duration:?} is not in {least:?} to {most:?}");
    }
    assert!((1..=1_000).contains(&poll.id_batch_size), "{} ids", poll.id_batch_size);
    check_pace(poll.interval, poll.page_size, poll.requests_per_second);
}

fn check_pace(interval: Duration, page_size: u32, requests_per_second: f64) {
    assert!((seconds(1)..=days(1)).contains(&interval), "the interval is {interval:?}");
    assert!((1..=10_000).contains(&page_size), "the page has {page_size} rows");
    assert!((0.0..=100.0).contains(&requests_per_second), "{requests_per_second} requests a second");
}

fn check_limits(limits: Limits) {
    assert!((1..=1_000).contains(&limits.max_categories), "{limits:?}");
    assert!((1..=10_000).contains(&limits.max_kinds), "{limits:?}");
    assert!((1..=1_000).contains(&limits.max_asset_types), "{limits:?}");
    assert!((64 << 10..=mebibytes(1_024)).contains(&limits.max_response_bytes), "{limits:?}");
}

fn check_account(account: &Account, environment: &Environment) {
    let name = &account.name;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    assert!(name.bytes().all(is_plain) && (1..=64).contains(&name.len()), "the name is {name:?}");
    assert!(name.as_bytes()[0].is_ascii_alphanumeric(), "the name is {name:?}");
    let url = &account.base_url;
    assert!(url.has_host() && url.path().ends_with('/'), "the address is {url}");
    let is_bare = url.username().is_empty() && url.password().is_none();
    assert!(is_bare && url.query().is_none() && url.fragment().is_none(), "the address is {url}");
    if let Some(unit) = &account.organizational_unit {
        assert!(!unit.is_empty() && unit.bytes().all(|byte| byte.is_ascii_graphic()), "the unit is {unit:?}");
    }
    match &account.token {
        TokenSource::File(path) => assert!(path.is_absolute(), "the path is {}", path.display()),
        TokenSource::Env(variable) => {
            assert!(environment.get(variable).is_some(), "{variable} must be set");
        }
        TokenSource::Given(_) => panic!("nobody can configure the token of the simulated API"),
    }
    check_pace(account.interval, account.page_size, account.requests_per_second);
}

/// Plain http is for loopback, or for who writes `true` somewhere, be it in escapes.
fn check_scheme(account: &Account, may_allow_http: bool) {
    let url = &account.base_url;
    let is_http = url.scheme() == "http" && (may_allow_http || is_loopback(url));
    assert!(url.scheme() == "https" || is_http, "the token would go to {url}");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_configuration_of_the_corpus_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/settings");
        let mut count = 0;
        for entry in fs::read_dir(folder).expect("the corpus must be readable") {
            let path = entry.expect("the entry must be readable").path();
            load(&fs::read(path).expect("the configuration must be readable"));
            count += 1;
        }
        assert!(count > 10, "the corpus must be found");
    }

    #[test]
    #[should_panic(expected = "the problem has the token")]
    fn a_token_in_a_problem_is_found() {
        let mut problems = Problems::default();
        problems.at(FILE, "poll.interval", &TOKEN[..PART]);
        check_error(&problems.into_error().expect("there must be a problem"));
    }
}
