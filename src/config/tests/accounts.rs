//! Accounts: of the file, and of the vendor's variables.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Account, TokenSource};
use super::{Given, file, with_account};

const SECRET: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

/// An account of the file: `name`, `base_url` and `token_file` are well unless `lines` set them.
fn account(lines: &str) -> Given {
    let mut text = "[[accounts]]\n".to_owned();
    for (key, line) in [
        ("name", "name = 'prod'"),
        ("base_url", "base_url = 'https://us-west-2.api.clumio.com'"),
        ("token_", "token_file = '/run/token'"),
    ] {
        if !lines.lines().any(|given| given.starts_with(key)) {
            text = format!("{text}{line}\n");
        }
    }
    file(&format!("{text}{lines}"))
}

#[track_caller]
fn assert_refused(rows: &[(&str, &str)]) {
    for (lines, expected) in rows {
        let problems = account(lines).problems();
        assert_eq!(problems, format!("clumio.toml: accounts.\"prod\".{expected}"), "{lines}");
        assert!(!problems.contains("secret") && !problems.contains("eyJ"), "{problems}");
    }
}

#[test]
fn an_account_takes_from_poll_what_it_does_not_set() {
    let given = file(
        "[poll]\ninterval = '2m'\npage_size = 200\nrequests_per_second = 9\n\
         [[accounts]]\nname = 'a'\nbase_url = 'https://x.example'\ntoken_file = '/t'\n\
         [[accounts]]\nname = 'b'\nbase_url = 'https://x.example'\ntoken_file = '/t'\n\
         interval = '10m'\npage_size = 7\nrequests_per_second = 0.5",
    );
    let accounts = given.settings().accounts;
    let paces: Vec<_> = accounts.iter().map(|a| (a.interval, a.page_size, a.requests_per_second)).collect();
    assert_eq!(paces, [(Duration::from_mins(2), 200, 9.0), (Duration::from_mins(10), 7, 0.5)]);
}

#[test]
fn an_account_has_its_own_bounds() {
    assert_refused(&[
        ("interval = 5", "interval: 5 has no unit; write \"5s\", \"5m\", \"5h\" or \"5d\""),
        ("page_size = 0", "page_size: 0 is out of range; write a whole number from 1 to 10000"),
        (
            "requests_per_second = 101",
            "requests_per_second: 101 is out of range; write a number from 0 to 100 (0: no limit)",
        ),
        ("allow_http = 'maybe'", "allow_http: \"maybe\" is neither yes nor no; write true or false"),
        ("base_ulr = 'x'", "base_ulr: no such key; did you mean base_url?"),
        ("window = '1d'", "window: no such key; did you mean poll.window?"),
    ]);
}

#[test]
fn an_address_that_would_leak_or_mislead_is_refused() {
    let example = "write it whole, such as https://us-west-2.api.clumio.com";
    let http = "plain http would show the token to the network; write https, or set allow_http = true";
    let login = "has a user or a password in it; take it out: the API knows its callers by token";
    let query = "has a query or a fragment; write it without what follows the ? or #";
    assert_refused(&[
        (
            "base_url = 'us-west-2.api.clumio.com'",
            &format!("base_url: not a URL (relative url without a base); {example}"),
        ),
        ("base_url = 'https://'", &format!("base_url: not a URL (empty host); {example}")),
        (
            "base_url = 'https://u:secret@ho st'",
            &format!("base_url: not a URL (invalid international domain name); {example}"),
        ),
        ("base_url = 'localhost:8080'", &format!("base_url: neither https nor http; {example}")),
        ("base_url = 'ftp://secret@x.example'", &format!("base_url: neither https nor http; {example}")),
        ("base_url = 'http://x.example'", &format!("base_url: {http}")),
        ("base_url = 'http://x.example'\nallow_http = false", &format!("base_url: {http}")),
        ("base_url = 'https://user:secret@x.example'", &format!("base_url: {login}")),
        ("base_url = 'https://:secret@x.example'", &format!("base_url: {login}")),
        ("base_url = 'https://secret@x.example'", &format!("base_url: {login}")),
        ("base_url = 'https://x.example?token=secret'", &format!("base_url: {query}")),
        ("base_url = 'https://x.example#secret'", &format!("base_url: {query}")),
        ("base_url = ''", "base_url: is empty; write a value, or leave the key out"),
    ]);
    let given = account("base_url = 'http://x.example/clumio'\nallow_http = true");
    assert_eq!(given.settings().accounts[0].base_url.as_str(), "http://x.example/clumio/");
}

#[test]
fn a_token_has_one_place() {
    let not_a_name = "not the name of an environment variable (not shown: it may be a token); \
                      write the name alone, letters, digits and _";
    assert_refused(&[
        (
            "token_file = '/t'\ntoken_env = 'CLUMIO'",
            "token_file: token_env is set too; keep one of them\n\
          clumio.toml: accounts.\"prod\".token_env: the environment variable CLUMIO is not set or empty; \
          put the token into it",
        ),
        (
            "token_env = 'CLUMIO'",
            "token_env: the environment variable CLUMIO is not set or empty; put the token into it",
        ),
        ("token_env = ''", "token_env: is empty; write a value, or leave the key out"),
        (&format!("token_env = '{SECRET}'"), &format!("token_env: {not_a_name}")),
        ("token_env = 'eyJsecret'", &format!("token_env: {not_a_name}")),
        (&format!("token_env = '{}'", "0".repeat(65)), &format!("token_env: {not_a_name}")),
        (
            "token_env = 'abcDEF0123456789'",
            "token_env: names an environment variable that is not set or empty (not shown: it may be a token); \
             put the token into a variable, and write its name here",
        ),
        ("token_env = 12345", "token_env: 12345 is not text; put it in quotes"),
        (
            &format!("token_file = '{SECRET}'"),
            "token_file: looks like a token (not shown); write the path of a file that holds it",
        ),
        (
            &format!("token_file = 'Bearer {SECRET}'"),
            "token_file: looks like a token (not shown); write the path of a file that holds it",
        ),
        (
            &format!("token_file = './{SECRET}'"),
            "token_file: looks like a token (not shown); write the path of a file that holds it",
        ),
        ("token_file = ''", "token_file: is empty; write a value, or leave the key out"),
    ]);
    let text = "[[accounts]]\nname = 'prod'\nbase_url = 'https://x.example'";
    assert_eq!(
        file(text).problems(),
        "clumio.toml: accounts.\"prod\".token_file: missing, and token_env too; \
         write one of them, to say where the token is"
    );
}

#[test]
fn the_name_of_a_variable_stays_text() {
    let given = account("token_env = '0012345'").variable("0012345", "secret");
    assert_eq!(given.settings().accounts[0].token, TokenSource::Env("0012345".to_owned()));
    let empty = account("token_env = 'CLUMIO'").variable("CLUMIO", "");
    assert_eq!(
        empty.problems(),
        "clumio.toml: accounts.\"prod\".token_env: the environment variable CLUMIO is not set or empty; \
         put the token into it"
    );
}

#[test]
fn a_unit_can_be_sent_in_a_header() {
    let form = "is not an organisational unit; write its UUID";
    assert_refused(&[
        ("organizational_unit = ''", "organizational_unit: is empty; write a value, or leave the key out"),
        ("organizational_unit = 'a b'", &format!("organizational_unit: \"a b\" {form}")),
        ("organizational_unit = 'é'", &format!("organizational_unit: \"é\" {form}")),
        (r#"organizational_unit = "a\r\nb""#, &format!("organizational_unit: \"a\\r\\nb\" {form}")),
    ]);
    let given = account("organizational_unit = 'unit-7'");
    assert_eq!(given.settings().accounts[0].organizational_unit.as_deref(), Some("unit-7"));
}

#[test]
fn a_unit_that_may_be_a_token_is_not_shown() {
    let given = account(&format!("organizational_unit = 'Bearer {SECRET}'"));
    assert_eq!(
        given.problems(),
        "clumio.toml: accounts.\"prod\".organizational_unit: this value (not shown: it looks like a token) \
         is not an organisational unit; write its UUID"
    );
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let account =
        account("token_file = 'secrets/token'\nca_file = '../ca.pem'").settings().accounts.remove(0);
    assert_eq!(account.token, TokenSource::File(PathBuf::from("/etc/secrets/token")));
    assert_eq!(account.ca_file, Some(PathBuf::from("/etc/../ca.pem")));
    let absolute = with_account("").settings().accounts.remove(0);
    assert_eq!(absolute.token, TokenSource::File(PathBuf::from("/run/token")));
}

#[test]
fn names_are_plain() {
    let form = "is not a name; write a letter or a digit, then letters, digits and any of _ . - \
                (64 characters at most)";
    for name in ["-a", "_a", "a b", "a/b", "ä", &"a".repeat(65)] {
        let shown = super::super::error::quote(name);
        let expected = format!("clumio.toml: accounts[0].name: {shown} {form}");
        assert_eq!(account(&format!("name = '{name}'")).problems(), expected);
    }
    for name in ["a", "0", "Prod_eu.1-x", &"a".repeat(64)] {
        assert_eq!(account(&format!("name = '{name}'")).settings().accounts[0].name, name);
    }
    let nameless = file("[[accounts]]\nbase_url = 'https://x.example'\ntoken_file = '/t'");
    assert_eq!(
        nameless.problems(),
        "clumio.toml: accounts[0].name: missing; name the account, for its metrics"
    );
    let homeless = file("[[accounts]]\nname = 'prod'\ntoken_file = '/t'");
    assert_eq!(
        homeless.problems(),
        "clumio.toml: accounts.\"prod\".base_url: missing; write the API's address of your region"
    );
}

#[test]
fn names_are_unique_whatever_the_case() {
    for (name, expected) in [
        ("prod", "\"prod\" is the name of an account above; give each its own"),
        ("PROD", "\"PROD\" differs from \"prod\" above only in case; give each account its own name"),
    ] {
        let text = super::ACCOUNT.replace("prod", name);
        let problems = with_account("").file.unwrap_or_default() + &text;
        assert_eq!(file(&problems).problems(), format!("clumio.toml: accounts[1].name: {expected}"));
    }
}

#[test]
fn accounts_are_a_list_of_tables() {
    for text in ["[accounts]\nname = 'prod'", "[accounts.prod]", "accounts = 'prod'"] {
        assert_eq!(
            file(text).problems(),
            "clumio.toml: accounts: not a list of tables; write [[accounts]], in double brackets"
        );
    }
    assert_eq!(
        file("accounts = ['prod']").problems(),
        "clumio.toml: accounts[0]: not a table; write [[accounts]], and its keys below"
    );
}

#[test]
fn without_accounts_the_vendors_variables_make_one() {
    for given in [Given::default(), file("accounts = []"), file("")] {
        let given = given
            .variable("CLUMIO_API_TOKEN", SECRET)
            .variable("CLUMIO_API_BASE_URL", "https://us-west-2.api.clumio.com/")
            .variable("CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT", "")
            .variable("CLUMIO_EXPORTER__POLL__INTERVAL", "5m");
        let settings = given.settings();
        assert!(!format!("{settings:?}").contains(SECRET));
        assert_eq!(
            settings.accounts,
            [Account {
                name: "default".to_owned(),
                base_url: "https://us-west-2.api.clumio.com/".parse().expect("the URL must be valid"),
                token: TokenSource::Env("CLUMIO_API_TOKEN".to_owned()),
                organizational_unit: None,
                ca_file: None,
                interval: Duration::from_mins(5),
                page_size: 100,
                requests_per_second: 5.0,
            }]
        );
    }
}

#[test]
fn with_accounts_the_vendors_variables_are_not_read() {
    let given = with_account("").variable("CLUMIO_API_BASE_URL", "nonsense");
    assert_eq!(given.settings(), with_account("").settings());
}

#[test]
fn the_vendors_variables_are_checked_too() {
    let both = |address: &str, unit: &str| {
        Given::default()
            .variable("CLUMIO_API_TOKEN", SECRET)
            .variable("CLUMIO_API_BASE_URL", address)
            .variable("CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT", unit)
            .problems()
    };
    assert_eq!(
        both("http://x.example", "a b"),
        "CLUMIO_API_BASE_URL: plain http would show the token to the network; write https, or configure the \
         account in a file, with allow_http = true\n\
         CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT: \"a b\" is not an organisational unit; write its UUID"
    );
    let token = Given::default().variable("CLUMIO_API_TOKEN", SECRET).variable("CLUMIO_API_BASE_URL", "");
    assert_eq!(
        token.problems(),
        "CLUMIO_API_BASE_URL: not set, while CLUMIO_API_TOKEN is; set it to the API's address, \
         or configure [[accounts]]"
    );
    let address = Given::default().variable("CLUMIO_API_BASE_URL", "https://x.example");
    assert_eq!(
        address.problems(),
        "CLUMIO_API_TOKEN: not set, while CLUMIO_API_BASE_URL is; set it to an API token, \
         or configure [[accounts]]"
    );
}

#[test]
fn without_any_account_both_ways_are_told() {
    assert_eq!(
        Given::default().problems(),
        "no account is configured; write [[accounts]] into a file and name it with --config.file, or set \
         CLUMIO_API_TOKEN and CLUMIO_API_BASE_URL; to look around without an account, \
         run `clumio-exporter demo`"
    );
}
