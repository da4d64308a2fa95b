//! What holds of every web config, whatever its text: for the fuzzer (`tests/fuzz`), whose corpus is tried with the other
//! tests as well.
//!
//! It is built for fuzzing and for tests alone.

use std::path::Path;

use super::super::error::Error;
use super::super::values::minutes;
use super::http::HEADERS;
use super::{Clients, Header, PasswordHash, Pem, RateLimit, Tls, WebConfig};

/// What messages call the file.
const FILE: &str = "/etc/web.yml";

/// What stands for a secret in the input, and the secret: only whole ones get into it, so that a part of one in a
/// message has leaked.
const SECRETS: [(&str, &str); 3] = [
    ("HASH", HASH),
    ("TOKEN", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QiLCJuYW1lIjoibmV2ZXIgc2hvd24ifQ.c2VjcmV0"),
    ("PEM", "-----BEGIN PRIVATE KEY----- bm90IGEga2V5LCBidXQgbmV2ZXIgc2hvd24= -----END PRIVATE KEY-----"),
];

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// As much of the middle of a secret as no message may have: how a secret begins tells nothing.
const PART: usize = 16;

/// A user, and a key that nobody knows, as they can be written below any file.
const USER: &str =
    "\nbasic_auth_users:\n  zoe: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n";
const STRANGE: &str = "\nstrange: 1\n";

/// Reads a web config: no panic, and either problems that can be shown or a config that is what the text says.
///
/// # Panics
/// If any of it does not hold.
pub fn read(input: &[u8]) {
    let mut text = String::from_utf8_lossy(input).into_owned();
    // The name of a tag or an anchor would take the first word of a key, by which it is known as one.
    let splits = |word: &str| word.contains("PEM") && word.contains(['!', '&', '*']);
    if has_secret(&text) || text.split_whitespace().any(splits) {
        return;
    }
    for (placeholder, secret) in SECRETS {
        text = text.replace(placeholder, secret);
    }
    match parse(&text) {
        Ok(config) => {
            check_config(&config, &text);
            check_additions(&config, &text);
        }
        Err(error) => check_error(&error),
    }
}

fn parse(text: &str) -> Result<WebConfig, Error> {
    WebConfig::parse(text, Path::new(FILE))
}

/// Whether the text has a part of a secret.
fn has_secret(text: &str) -> bool {
    SECRETS.iter().any(|(_, secret)| {
        let middle = secret.len() / 2;
        text.contains(&secret[middle..middle + PART])
    })
}

fn check_error(error: &Error) {
    assert!(!error.problems().is_empty(), "an error must have a problem");
    for problem in error.problems() {
        let rest = problem.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':'));
        let rest = rest.unwrap_or_else(|| panic!("the problem does not name the file: {problem:?}"));
        // The key, or the line and the column.
        assert!(rest.contains(": "), "the problem names nothing: {problem:?}");
        assert!(!problem.chars().any(char::is_control), "the problem has control characters: {problem:?}");
        assert!(!has_secret(problem), "the problem has a secret: {problem}");
    }
}

fn check_config(config: &WebConfig, text: &str) {
    config.headers.iter().for_each(check_header);
    for (name, hash) in &config.users {
        assert!(!name.is_empty() && !name.contains(':'), "nobody can log in as {name:?}");
        assert!(!name.chars().any(char::is_control), "nobody can log in as {name:?}");
        check_hash(hash, text);
    }
    if let Some(RateLimit { interval, burst }) = config.rate_limit {
        assert!(!interval.is_zero() && interval <= minutes(60), "the interval is {interval:?}");
        assert!((1..=1_000_000).contains(&burst), "the burst is {burst}");
    }
    config.tls.iter().for_each(check_tls);
    // Escapes can write any key; else nothing is there whose section is not.
    let says = |section: &str| text.contains(section) || text.contains('\\');
    assert!(config.tls.is_none() || says("tls_server_config"), "nobody asked for TLS");
    assert!(config.users.is_empty() || says("basic_auth_users"), "nobody asked for a login");
    assert!(config.rate_limit.is_none() || says("rate_limit"), "nobody asked for a limit");
    assert!(config.headers.is_empty() || says("http_server_config"), "nobody asked for headers");
}

fn check_header(header: &Header) {
    let Header { name, value } = header;
    let known = HEADERS.iter().find(|(known, _)| known == name);
    let (_, values) = known.unwrap_or_else(|| panic!("{name} is not in the list"));
    assert!(values.is_empty() || values.contains(&value.as_str()), "{name} is {value:?}");
    let can_be_sent = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    assert!(value.bytes().all(can_be_sent), "{name} is {value:?}");
    assert!(!value.is_empty() && value.trim() == value, "{name} is {value:?}");
}

fn check_hash(hash: &PasswordHash, text: &str) {
    assert!((4..=16).contains(&hash.cost()), "the cost is {}", hash.cost());
    assert!(text.contains(hash.as_str()) || text.contains('\\'), "the hash is not the one of the text");
    assert!(!format!("{hash:?}").contains(hash.as_str()), "the hash is shown");
    // Whatever the password is: with an error nobody could log in. Others take too long to try.
    if hash.cost() == 4 {
        assert!(bcrypt::verify("", hash.as_str()).is_ok(), "nobody can log in with the hash");
    }
}

fn check_tls(tls: &Tls) {
    assert!(tls.min_version <= tls.max_version, "no version is left");
    check_pem(&tls.certificate);
    check_pem(&tls.key);
    if let Clients::Verified { ca, required, allowed_sans } = &tls.clients {
        check_pem(ca);
        assert!(allowed_sans.is_empty() || *required, "names have no effect on who shows none");
        assert!(allowed_sans.iter().all(|name| !name.is_empty()), "nobody has an empty name");
    }
}

fn check_pem(pem: &Pem) {
    match pem {
        Pem::File(path) => assert!(path.is_absolute(), "the path is {}", path.display()),
        Pem::Inline(text) => {
            assert!(text.contains("-----BEGIN "), "it is no PEM");
            assert!(!format!("{pem:?}").contains("BEGIN"), "what may be a key is shown");
        }
    }
}

/// What is written below a file is not lost: a user has to log in, and a key that nobody knows is told. Or it is no YAML
/// together, and that is told.
fn check_additions(config: &WebConfig, text: &str) {
    // A tag can say that all that stands below it is nothing.
    if text.contains("null") || text.contains('%') {
        return;
    }
    if let Ok(more) = parse(&format!("{text}{USER}")) {
        assert!(more.users.keys().eq(["zoe"]) && more.users["zoe"].as_str() == HASH, "{:?}", more.users);
        assert_eq!(WebConfig { users: config.users.clone(), ..more }, *config, "the rest has changed");
    }
    let error = parse(&format!("{text}{STRANGE}")).expect_err("a key that nobody knows must be told");
    check_error(&error);
    let names_it = |problem: &String| problem.starts_with("/etc/web.yml: strange: no such key; ");
    let has_place = |problem: &String| !problem[FILE.len()..].starts_with(": ");
    assert!(error.problems().iter().any(|problem| names_it(problem) || has_place(problem)), "{error}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::super::super::error::Problems;
    use super::*;

    #[test]
    fn every_web_config_of_the_corpus_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/web");
        let mut count = 0;
        for entry in fs::read_dir(folder).expect("the corpus must be readable") {
            let path = entry.expect("the entry must be readable").path();
            read(&fs::read(path).expect("the web config must be readable"));
            count += 1;
        }
        assert!(count > 10, "the corpus must be found");
    }

    #[test]
    fn a_file_made_to_be_slow_is_refused_in_a_bounded_time() {
        let deep = "[".repeat(1 << 16);
        let long = "a: &a [".to_owned() + &"x, ".repeat(1 << 14) + "]\n";
        let unknown = |n| format!("k{n}: 1\n");
        let many = (0..1 << 12).map(unknown).collect::<String>();
        let doubled = |n: usize| format!("k{n}: &k{n} [*k{}, *k{}]\n", n - 1, n - 1);
        let doubling = "k0: &k0 [x, x]\n".to_owned() + &(1..40).map(doubled).collect::<String>();
        let begin = Instant::now();
        for text in [deep, long, many, doubling] {
            assert!(parse(&text).is_err());
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "it took {:?}", begin.elapsed());
    }

    #[test]
    #[should_panic(expected = "the problem has a secret")]
    fn a_secret_in_a_problem_is_found() {
        let mut problems = Problems::default();
        problems.at(FILE, "basic_auth_users", &HASH[10..]);
        check_error(&problems.into_error().expect("there must be a problem"));
    }
}
