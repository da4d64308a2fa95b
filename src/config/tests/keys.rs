//! Keys that nobody knows, in the file and in the environment.

use super::{assert_refused, file, with_account};

#[test]
fn an_unknown_key_is_told_what_may_have_been_meant() {
    assert_refused(
        "poll",
        &[
            ("intervall = '60s'", "intervall: no such key; did you mean interval?"),
            ("Interval = '60s'", "Interval: no such key; did you mean interval?"),
            ("page-size = 5", "page-size: no such key; did you mean page_size?"),
            ("level = 'info'", "level: no such key; did you mean log.level?"),
            ("name = 'prod'", "name: no such key; did you mean accounts.name or assets.objectives.name?"),
            (
                "frobnicate = 1",
                "frobnicate: no such key; poll has audit_interval, counter_hold, id_batch_size, interval, lookback, overlap, \
                 page_size, request_timeout, requests_per_second, window",
            ),
        ],
    );
    // Keys of later releases: accepting one and ignoring it would be a lie.
    assert_refused(
        "web",
        &[
            (
                "rate_limit = 5",
                "rate_limit: no such key; web has config_file, enable_lifecycle, external_url, listen_address, \
                 max_requests, telemetry_path",
            ),
            ("interval = '60s'", "interval: no such key; did you mean accounts.interval or poll.interval?"),
        ],
    );
}

#[test]
fn an_unknown_table_is_told_once() {
    for (text, expected) in [
        ("[pol]\ninterval = '60s'\nwindow = '1d'", "pol: no such key; did you mean poll?"),
        ("[pol]", "pol: no such key; did you mean poll?"),
        ("[stat]\ndirectory = '/x'", "stat: no such key; did you mean state?"),
        (
            "[frobnicate]\ndirectory = '/x'",
            "frobnicate: no such key; there are accounts, assets, limits, log, poll, state, web",
        ),
        (
            "[poll.more]\nx = 1",
            "poll.more: no such key; poll has audit_interval, counter_hold, id_batch_size, interval, lookback, \
          overlap, page_size, request_timeout, requests_per_second, window",
        ),
        (
            "[poll.more]",
            "poll.more: no such key; poll has audit_interval, counter_hold, id_batch_size, interval, lookback, \
          overlap, page_size, request_timeout, requests_per_second, window",
        ),
    ] {
        assert_eq!(with_account(text).problems(), format!("clumio.toml: {expected}"), "{text}");
    }
}

#[test]
fn a_key_outside_its_table_is_refused() {
    for (text, expected) in [
        ("window = '1d'", "window: no such key; did you mean poll.window?"),
        ("'poll.window' = '1d'", "poll.window: no such key; did you mean poll.window?"),
        ("'accounts[0]' = 'x'", "accounts[0]: no such key; did you mean accounts?"),
        ("poll = 5", "poll: a table, not a value; write its keys below [poll]"),
        ("poll = []", "poll: a table, not a value; write its keys below [poll]"),
    ] {
        let given = with_account(text).variable("CLUMIO_EXPORTER__POLL__WINDOW", "1h");
        assert_eq!(given.problems(), format!("clumio.toml: {expected}"), "{text}");
    }
}

#[test]
fn an_unknown_variable_is_told_by_its_name() {
    for (name, expected) in [
        (
            "CLUMIO_EXPORTER__POLL__INTERVALL",
            "poll.intervall: no such key; did you mean CLUMIO_EXPORTER__POLL__INTERVAL?",
        ),
        (
            "CLUMIO_EXPORTER__Poll__Interval",
            "poll.interval: no such key; did you mean CLUMIO_EXPORTER__POLL__INTERVAL?",
        ),
        ("CLUMIO_EXPORTER__WINDOW", "window: no such key; did you mean CLUMIO_EXPORTER__POLL__WINDOW?"),
        (
            "CLUMIO_EXPORTER__POL__WINDOW",
            "pol.window: no such key; did you mean CLUMIO_EXPORTER__POLL__WINDOW?",
        ),
        ("CLUMIO_EXPORTER__POL__X", "pol.x: no such key; there is no such table either"),
        (
            "CLUMIO_EXPORTER__POLL",
            "poll: no such key; a variable names a table and a key, such as CLUMIO_EXPORTER__POLL__INTERVAL",
        ),
        (
            "CLUMIO_EXPORTER__",
            ": no such key; a variable names a table and a key, such as CLUMIO_EXPORTER__POLL__INTERVAL",
        ),
        (
            "CLUMIO_EXPORTER__LOG__LEVEL__X",
            "log.level__x: no such key; did you mean CLUMIO_EXPORTER__LOG__LEVEL?",
        ),
        (
            "CLUMIO_EXPORTER__ACCOUNTS__0__NAME",
            "accounts: accounts cannot be set by variables of this prefix; write them in the file that \
             --config.file names, or set CLUMIO_API_TOKEN and CLUMIO_API_BASE_URL for a single one",
        ),
    ] {
        let given = with_account("").variable(name, "eyJsecret");
        assert_eq!(given.problems(), format!("{name}: {expected}"), "{name}");
    }
}

#[test]
fn variables_that_kubernetes_sets_are_no_keys() {
    let given = with_account("")
        .variable("CLUMIO_EXPORTER_PORT", "tcp://10.0.0.1:10317")
        .variable("CLUMIO_EXPORTER_SERVICE_HOST", "10.0.0.1")
        .variable("CLUMIO_EXPORTER_PORT_10317_TCP_PROTO", "tcp")
        .variable("clumio_exporter__poll__interval", "5s");
    assert_eq!(given.settings(), with_account("").settings());
}

#[test]
fn a_token_in_the_file_is_refused_and_not_shown() {
    let remedy = "a token is never written here: name a file that holds it in token_file, \
                  or an environment variable in token_env";
    for (text, key) in [
        (format!("{}token = 'eyJhbGciOi.secret'", super::ACCOUNT), "accounts.\"prod\".token"),
        (format!("{}api_token = 12345", super::ACCOUNT), "accounts.\"prod\".api_token"),
        (format!("token = 'eyJhbGciOi.secret'{}", super::ACCOUNT), "token"),
        (format!("\"a\\ntoken\" = 1{}", super::ACCOUNT), "\"a\\ntoken\""),
    ] {
        assert_eq!(file(&text).problems(), format!("clumio.toml: {key}: no such key; {remedy}"));
    }
}

#[test]
fn a_key_that_may_be_a_token_is_not_shown() {
    let given = with_account("eyJhbGciOi = 'x'");
    assert_eq!(
        given.problems(),
        "clumio.toml: this value (not shown: it looks like a token): no such key; \
         there are accounts, assets, limits, log, poll, state, web"
    );
}

#[test]
fn a_name_that_happens_to_have_the_first_letters_of_a_token_is_shown() {
    let given = with_account("tmpeyJa1z = 'x'");
    assert!(given.problems().starts_with("clumio.toml: tmpeyJa1z: no such key; "));
}

#[test]
fn every_problem_is_told_at_once() {
    let given = file(
        "[poll]\ninterval = 60\nwindoww = '1d'\n[web]\nmax_requests = 0\n\
         [[accounts]]\nname = 'a'\nbase_url = 'http://clumio.example'\ntoken_file = 't'\nca_fil = 'x'\n\
         [[accounts]]\ntoken_env = 'UNSET'",
    )
    .variable("CLUMIO_EXPORTER__LOG__LEVEL", "loud");
    insta::assert_snapshot!(given.problems(), @r#"
    clumio.toml: web.max_requests: 0 is out of range; write a whole number from 1 to 10000
    CLUMIO_EXPORTER__LOG__LEVEL: log.level: "loud" is not known; write error, warn, info, debug or trace
    clumio.toml: poll.interval: 60 has no unit; write "60s", "60m", "60h" or "60d"
    clumio.toml: accounts."a".base_url: plain http would show the token to the network; write https, or set allow_http = true
    clumio.toml: accounts[1].name: missing; name the account, for its metrics
    clumio.toml: accounts[1].base_url: missing; write the API's address of your region
    clumio.toml: accounts[1].token_env: the environment variable UNSET is not set or empty; put the token into it
    clumio.toml: poll.windoww: no such key; did you mean window?
    clumio.toml: accounts."a".ca_fil: no such key; did you mean ca_file?
    "#);
}

#[test]
fn the_name_of_a_variable_garbles_no_line_and_shows_no_token() {
    let remedy = "no such key; a variable names a table and a key, such as CLUMIO_EXPORTER__POLL__INTERVAL";
    let hidden = "this value (not shown: it looks like a token)";
    for (name, expected) in [
        ("CLUMIO_EXPORTER__\n\u{1b}[2J", r#""CLUMIO_EXPORTER__\n\u{1b}[2J": "\n\u{1b}[2j""#),
        ("CLUMIO_EXPORTER__eyJhbGciOiJIUzI1NiJ9", &format!("{hidden}: {hidden}")),
    ] {
        let problems = with_account("").variable(name, "1").problems();
        assert_eq!(problems, format!("{expected}: {remedy}"));
    }
    let problems = with_account("").variable("CLUMIO_EXPORTER__ACCOUNTS__\n", "1").problems();
    assert!(problems.starts_with(r#""CLUMIO_EXPORTER__ACCOUNTS__\n": accounts: "#), "{problems}");
}
