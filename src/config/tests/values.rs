//! Values out of type, form or bounds.

use std::time::Duration;

use super::super::{Assets, Flags, LogFormat, MaxAge};
use super::{assert_refused, with_account};

#[test]
fn a_listen_address_is_a_host_and_a_port() {
    let form = "write host:port, [v6]:port, or :port for every address";
    assert_refused(
        "web",
        &[
            (r#"listen_address = "10317""#, &format!("listen_address: \"10317\" is not an address; {form}")),
            (
                r#"listen_address = ":99999""#,
                &format!("listen_address: \":99999\" is not an address; {form}"),
            ),
            (r#"listen_address = ":+80""#, &format!("listen_address: \":+80\" is not an address; {form}")),
            (
                r#"listen_address = "::1:80""#,
                &format!("listen_address: \"::1:80\" is not an address; {form}"),
            ),
            (
                r#"listen_address = "[::g]:80""#,
                &format!("listen_address: \"[::g]:80\" is not an address; {form}"),
            ),
            (
                r#"listen_address = "1.2.3:80""#,
                &format!("listen_address: \"1.2.3:80\" is not an address; {form}"),
            ),
            (
                r#"listen_address = "http://x:80""#,
                &format!("listen_address: \"http://x:80\" is not an address; {form}"),
            ),
            (r#"listen_address = """#, "listen_address: is empty; write a value, or leave the key out"),
            ("listen_address = 10317", "listen_address: 10317 is not text; put it in quotes"),
        ],
    );
    for address in [":10317", "0.0.0.0:9000", "[::]:10317", "localhost:0", "exporter.example:80"] {
        let given = with_account(&format!("web.listen_address = {address:?}"));
        assert_eq!(given.settings().web.listen_address, address);
    }
}

#[test]
fn a_telemetry_path_is_plain_and_free() {
    let form = "write a / and then letters, digits and any of / . _ ~ -";
    let dots = "has an empty segment, . or ..; write a path such as \"/metrics\"";
    let taken = "is taken: /-/ and /api/ are served already; write another path";
    assert_refused(
        "web",
        &[
            (
                r#"telemetry_path = "/""#,
                "telemetry_path: \"/\" is the status page; write another path, such as \"/metrics\"",
            ),
            (r#"telemetry_path = "metrics""#, &format!("telemetry_path: \"metrics\" is not a path; {form}")),
            (r#"telemetry_path = "/{x}""#, &format!("telemetry_path: \"/{{x}}\" is not a path; {form}")),
            (r#"telemetry_path = "/*a""#, &format!("telemetry_path: \"/*a\" is not a path; {form}")),
            (r#"telemetry_path = "/a?b""#, &format!("telemetry_path: \"/a?b\" is not a path; {form}")),
            (r#"telemetry_path = "/a#b""#, &format!("telemetry_path: \"/a#b\" is not a path; {form}")),
            (r#"telemetry_path = "/a b""#, &format!("telemetry_path: \"/a b\" is not a path; {form}")),
            (r#"telemetry_path = "/a/""#, &format!("telemetry_path: \"/a/\" {dots}")),
            (r#"telemetry_path = "/../a""#, &format!("telemetry_path: \"/../a\" {dots}")),
            (r#"telemetry_path = "/-/ready""#, &format!("telemetry_path: \"/-/ready\" {taken}")),
            (r#"telemetry_path = "/-/healthy""#, &format!("telemetry_path: \"/-/healthy\" {taken}")),
            (r#"telemetry_path = "/api/v1/status""#, &format!("telemetry_path: \"/api/v1/status\" {taken}")),
        ],
    );
    assert_eq!(with_account("web.telemetry_path = '/a/b'").settings().web.telemetry_path, "/a/b");
}

#[test]
fn an_external_url_is_absolute_and_has_only_a_path() {
    let example = "\"https://monitoring.example.com/clumio\"";
    let absolute = format!("external_url: not an absolute http or https URL; write one, such as {example}");
    let published = "external_url: contains a user or a password; remove it: the URL is published";
    let tail = "external_url: has a query or a fragment; remove what follows the ? or #";
    let plain = "external_url: the path may only have letters, digits, . _ ~ - and single slashes";
    let taken =
        "external_url: the path begins with /-/ or /api/, which are served already; choose another path";
    assert_refused(
        "web",
        &[
            (
                r#"external_url = "/clumio""#,
                &format!(
                    "external_url: not a URL (relative url without a base); write an absolute one, such as {example}"
                ),
            ),
            (r#"external_url = "ftp://m.example.com""#, &absolute),
            (r#"external_url = "https:m.example.com""#, &absolute),
            (r#"external_url = "m.example.com:443""#, &absolute),
            (r#"external_url = "https://user@m.example.com""#, published),
            (r#"external_url = "https://:secret@m.example.com""#, published),
            (r#"external_url = "https://m.example.com?""#, tail),
            (r#"external_url = "https://m.example.com/#top""#, tail),
            (r#"external_url = "https://m.example.com/a b""#, plain),
            (r#"external_url = "https://m.example.com/a//b""#, plain),
            (r#"external_url = "https://m.example.com/{x}""#, plain),
            (r#"external_url = "https://m.example.com/-""#, taken),
            (r#"external_url = "https://m.example.com/api/clumio""#, taken),
            (r#"external_url = """#, "external_url: is empty; write a value, or leave the key out"),
            ("external_url = true", "external_url: true is not text; put it in quotes"),
        ],
    );
}

#[test]
fn an_external_url_comes_from_the_file_the_environment_or_a_flag() {
    let file = || with_account("web.external_url = 'https://m.example.com/file/'");
    let name = "CLUMIO_EXPORTER__WEB__EXTERNAL_URL";
    let flags = Flags { external_url: Some("https://m.example.com/flag".to_owned()), ..Flags::default() };
    for (given, path) in [
        (file(), "/file"),
        (file().variable(name, "https://m.example.com/variable"), "/variable"),
        (file().variable(name, "https://m.example.com/variable").flags(flags), "/flag"),
    ] {
        let url = given.settings().web.external_url.expect("the URL must be set");
        assert_eq!(url.as_str(), format!("https://m.example.com{path}"));
    }
}

#[test]
fn words_of_the_log_are_known() {
    assert_refused(
        "log",
        &[
            (
                r#"level = "verbose""#,
                "level: \"verbose\" is not known; write error, warn, info, debug or trace",
            ),
            (r#"level = "INFO""#, "level: \"INFO\" is not known; write error, warn, info, debug or trace"),
            (r#"format = "text""#, "format: \"text\" is not known; write logfmt or json"),
            ("format = true", "format: true is not text; put it in quotes"),
        ],
    );
    assert_eq!(with_account("log.format = 'json'").settings().log.format, LogFormat::Json);
}

#[test]
fn a_duration_has_units() {
    let form = "is not a duration; write numbers with units, such as \"90s\" or \"1h 30m\"";
    assert_refused(
        "poll",
        &[
            ("interval = 60", "interval: 60 has no unit; write \"60s\", \"60m\", \"60h\" or \"60d\""),
            (
                r#"interval = "60""#,
                "interval: \"60\" has no unit; write \"60s\", \"60m\", \"60h\" or \"60d\"",
            ),
            ("interval = 1.5", "interval: 1.5 has no unit; write \"1.5s\", \"1.5m\", \"1.5h\" or \"1.5d\""),
            ("counter_hold = 0", "counter_hold: 0 has no unit; write \"0s\", \"0m\", \"0h\" or \"0d\""),
            (r#"interval = "soon""#, &format!("interval: \"soon\" {form}")),
            (r#"interval = "5 parsecs""#, &format!("interval: \"5 parsecs\" {form}")),
            (r#"interval = "-5s""#, &format!("interval: \"-5s\" {form}")),
            (r#"interval = "99999999999999999999s""#, &format!("interval: \"99999999999999999999s\" {form}")),
            ("interval = -5", &format!("interval: -5 {form}")),
            ("interval = nan", &format!("interval: NaN {form}")),
            (r#"interval = """#, &format!("interval: \"\" {form}")),
            ("interval = true", &format!("interval: true {form}")),
            (r#"interval = ["60s"]"#, &format!("interval: a list {form}")),
            (r#"interval = { every = "60s" }"#, &format!("interval: a table {form}")),
        ],
    );
    let poll = with_account("poll.window = '1day 12h'\npoll.counter_hold = '0s'").settings().poll;
    assert_eq!((poll.window, poll.counter_hold), (Duration::from_hours(36), Duration::ZERO));
}

#[test]
fn durations_have_bounds() {
    assert_refused(
        "poll",
        &[
            (r#"interval = "999ms""#, "interval: \"999ms\" is out of range; write a duration from 1s to 1d"),
            (r#"interval = "25h""#, "interval: \"25h\" is out of range; write a duration from 1s to 1d"),
            (r#"window = "59s""#, "window: \"59s\" is out of range; write a duration from 1m to 180d"),
            (r#"window = "181d""#, "window: \"181d\" is out of range; write a duration from 1m to 180d"),
            (r#"lookback = "0s""#, "lookback: \"0s\" is out of range; write a duration from 1m to 180d"),
            (r#"lookback = "181d""#, "lookback: \"181d\" is out of range; write a duration from 1m to 180d"),
            (r#"overlap = "30s""#, "overlap: \"30s\" is out of range; write a duration from 1m to 1d"),
            (r#"overlap = "2d""#, "overlap: \"2d\" is out of range; write a duration from 1m to 1d"),
            (
                r#"counter_hold = "2d""#,
                "counter_hold: \"2d\" is out of range; write a duration from 0s to 1d",
            ),
            (
                r#"request_timeout = "1ms""#,
                "request_timeout: \"1ms\" is out of range; write a duration from 1s to 10m",
            ),
            (
                r#"request_timeout = "11m""#,
                "request_timeout: \"11m\" is out of range; write a duration from 1s to 10m",
            ),
        ],
    );
}

#[test]
fn the_lookback_covers_window_and_overlap() {
    assert_refused(
        "poll",
        &[
            (
                r#"lookback = "12h""#,
                "lookback: the lookback (12h) is shorter than the window (1d); set poll.lookback to 1d or more",
            ),
            (
                r#"window = "10d""#,
                "window: the lookback (7d) is shorter than the window (10d); set poll.lookback to 10d or more",
            ),
            (
                "lookback = '2m'\nwindow = '90s'",
                "lookback: the lookback (2m) is shorter than the overlap (10m); set poll.lookback to 10m or more",
            ),
            (
                "lookback = '?'\nwindow = '10d'",
                "lookback: \"?\" is not a duration; write numbers with units, such as \"90s\" or \"1h 30m\"",
            ),
        ],
    );
}

#[test]
fn the_retention_is_the_lookback_in_memory_and_35_days_in_a_directory() {
    let day = |days: u64| Duration::from_hours(24 * days);
    for (text, expected) in [
        ("", 7),
        ("poll.lookback = '20d'", 20),
        ("state.retention = '9d'", 9),
        ("state.directory = 'd'", 35),
        ("state.directory = 'd'\npoll.lookback = '35d'", 35),
        ("state.directory = 'd'\nstate.retention = '7d'", 7),
        ("state.retention = '180d'\npoll.lookback = '180d'\npoll.window = '180d'", 180),
    ] {
        assert_eq!(with_account(text).settings().state.retention, day(expected), "{text}");
    }
}

#[test]
fn the_retention_covers_the_lookback() {
    let remedy = "set state.retention to 7d or more";
    assert_refused(
        "state",
        &[
            (
                r#"retention = "6d""#,
                &format!("retention: the retention (6d) is shorter than the lookback (7d); {remedy}"),
            ),
            (r#"retention = "30s""#, "retention: \"30s\" is out of range; write a duration from 1m to 180d"),
            (
                r#"retention = "181d""#,
                "retention: \"181d\" is out of range; write a duration from 1m to 180d",
            ),
            ("retention = 35", "retention: 35 has no unit; write \"35s\", \"35m\", \"35h\" or \"35d\""),
        ],
    );
    let directory = with_account("state.directory = 'd'\npoll.lookback = '40d'");
    assert_eq!(
        directory.problems(),
        "clumio.toml: poll.lookback: the retention (35d) is shorter than the lookback (40d); \
         set state.retention to 40d or more"
    );
    let variable = with_account("").variable("CLUMIO_EXPORTER__STATE__RETENTION", "1d");
    assert_eq!(
        variable.problems(),
        format!(
            "CLUMIO_EXPORTER__STATE__RETENTION: state.retention: the retention (1d) is shorter than the \
             lookback (7d); {remedy}"
        )
    );
    let wrong_lookback = with_account("state.retention = '1d'\npoll.lookback = '?'");
    assert_eq!(wrong_lookback.problems().lines().count(), 1, "a default must not be blamed");
}

#[test]
fn numbers_have_bounds() {
    let page_size = "is out of range; write a whole number from 1 to 10000";
    let not_whole = "is not a whole number; write a whole number from 1 to 10000";
    let rate = "is out of range; write a number from 0 to 100 (0: no limit)";
    assert_refused(
        "poll",
        &[
            ("page_size = 0", &format!("page_size: 0 {page_size}")),
            ("page_size = 10001", &format!("page_size: 10001 {page_size}")),
            ("page_size = -1", &format!("page_size: -1 {page_size}")),
            ("page_size = 1.5", &format!("page_size: 1.5 {not_whole}")),
            ("page_size = 9223372036854775807", &format!("page_size: 9223372036854775807 {page_size}")),
            (r#"page_size = "many""#, &format!("page_size: \"many\" {not_whole}")),
            ("page_size = true", &format!("page_size: true {not_whole}")),
            (
                "id_batch_size = 1001",
                "id_batch_size: 1001 is out of range; write a whole number from 1 to 1000",
            ),
            ("requests_per_second = -0.1", &format!("requests_per_second: -0.1 {rate}")),
            ("requests_per_second = 100.5", &format!("requests_per_second: 100.5 {rate}")),
            ("requests_per_second = nan", &format!("requests_per_second: NaN {rate}")),
            ("requests_per_second = inf", &format!("requests_per_second: inf {rate}")),
            (
                r#"requests_per_second = "lots""#,
                "requests_per_second: \"lots\" is not a number; write a number from 0 to 100 (0: no limit)",
            ),
            (r#"requests_per_second = "NaN""#, &format!("requests_per_second: \"NaN\" {rate}")),
        ],
    );
    assert_refused(
        "web",
        &[("max_requests = 0", "max_requests: 0 is out of range; write a whole number from 1 to 10000")],
    );
    assert_refused(
        "limits",
        &[
            ("max_categories = 0", "max_categories: 0 is out of range; write a whole number from 1 to 1000"),
            ("max_kinds = 10001", "max_kinds: 10001 is out of range; write a whole number from 1 to 10000"),
        ],
    );
    let poll = with_account("poll.requests_per_second = 0\npoll.page_size = 10000").settings().poll;
    assert_eq!((poll.requests_per_second.to_bits(), poll.page_size), (0.0_f64.to_bits(), 10_000));
}

#[test]
fn an_age_is_a_duration_or_auto() {
    let or = ", \"auto\" for the usual interval, or \"0s\" to ignore the assets";
    let form = "is not a duration; write numbers with units, such as \"90s\" or \"1h 30m\"";
    assert_refused(
        "assets",
        &[
            (r#"max_age = "usual""#, &format!("max_age: \"usual\" {form}{or}")),
            (
                r#"max_age = "2y""#,
                &format!("max_age: \"2y\" is out of range; write a duration from 0s to 366d{or}"),
            ),
            (r#"within = ["24h", "1d"]"#, "within: \"24h\" and \"1d\" are the same; write each once"),
            ("within = 5", "within: 5 is not a list; write [\"...\", \"...\"]"),
            (
                "categories = []",
                "categories: is empty or has an empty entry; write one value or more, or leave the key out",
            ),
            ("max_named = 10001", "max_named: 10001 is out of range; write a whole number from 0 to 10000"),
            (
                "objectives = 5",
                "objectives: not a list of tables; write [[assets.objectives]] into the file, in double brackets",
            ),
            (
                "objectives = [{ name = 'a' }]",
                "objectives[0].max_age: missing; write how old the last completed task may be, such as \"8d\"",
            ),
            (
                "objectives = [{ nam = 'a', max_age = '1d' }]",
                "objectives[0].nam: no such key; did you mean name?",
            ),
        ],
    );
    let assets = with_account("assets.within = ['7d', '36h']\nassets.max_age = '0s'").settings().assets;
    let labels: Vec<_> = assets.within.iter().map(|within| within.label.as_str()).collect();
    assert_eq!((labels, assets.max_age), (vec!["36h", "7d"], MaxAge::Fixed(Duration::ZERO)));
}

#[test]
fn objectives_are_those_that_can_match_the_account() {
    let text = "[[assets.objectives]]\naccount = 'pro?'\nmax_age = 'auto'\n\
                [[assets.objectives]]\nname = 'x'\nmax_age = '8d'";
    let assets = with_account(text)
        .variable("CLUMIO_EXPORTER__ASSETS__CATEGORIES", "backup, snapshot")
        .settings()
        .assets;
    assert_eq!(assets.for_account("prod").objectives.len(), 2);
    assert_eq!(assets.for_account("production").objectives, assets.objectives[1..]);
    assert_eq!(assets.categories, Assets::default().categories);
}

#[test]
fn a_size_is_bytes_or_has_a_unit() {
    let form = "is not a size; write a whole number and a unit, such as \"4MiB\"";
    let bounds = "is out of range; write a size from 64KiB to 1GiB";
    assert_refused(
        "limits",
        &[
            (r#"max_response_bytes = "4 megs""#, &format!("max_response_bytes: \"4 megs\" {form}")),
            (r#"max_response_bytes = "4M""#, &format!("max_response_bytes: \"4M\" {form}")),
            (r#"max_response_bytes = "1.5MiB""#, &format!("max_response_bytes: \"1.5MiB\" {form}")),
            (r#"max_response_bytes = "MiB""#, &format!("max_response_bytes: \"MiB\" {form}")),
            (r#"max_response_bytes = """#, &format!("max_response_bytes: \"\" {form}")),
            (
                r#"max_response_bytes = "99999999999999GiB""#,
                &format!("max_response_bytes: \"99999999999999GiB\" {form}"),
            ),
            ("max_response_bytes = -1", &format!("max_response_bytes: -1 {form}")),
            ("max_response_bytes = 4.0", &format!("max_response_bytes: 4 {form}")),
            ("max_response_bytes = 65535", &format!("max_response_bytes: 65535 {bounds}")),
            (r#"max_response_bytes = "2GiB""#, &format!("max_response_bytes: \"2GiB\" {bounds}")),
        ],
    );
    for (size, bytes) in [
        ("'64KiB'", 65_536),
        ("'1MB'", 1_000_000),
        ("'1 GiB'", 1 << 30),
        ("'512kib'", 524_288),
        ("70000", 70_000),
    ] {
        let given = with_account(&format!("limits.max_response_bytes = {size}"));
        assert_eq!(given.settings().limits.max_response_bytes, bytes, "{size}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let level = "x".repeat(65);
    assert_refused(
        "log",
        &[(
            &format!("level = {level:?}"),
            &format!("level: \"{}\"... is not known; write error, warn, info, debug or trace", &level[..64]),
        )],
    );
}

#[test]
fn an_objective_of_an_account_that_does_not_exist_is_refused() {
    let load = |account: &str| {
        let text = format!("[[assets.objectives]]\naccount = '{account}'\nmax_age = '1d'");
        with_account(&text).load().map(drop)
    };
    assert_eq!(load("prod"), Ok(()));
    assert_eq!(load("p*"), Ok(()));
    let message = "assets.objectives[0].account: there is no account \"prdo\"; write prod";
    assert!(load("prdo").is_err_and(|error| error.contains(message)));
    let wrong = "[[assets.objectives]]\naccount = 'other'\nmax_age = '1d'\n[[accounts]]\nname = 'other'";
    let error = with_account(wrong).load().expect_err("the account has no base_url");
    assert!(!error.contains("there is no account"), "{error}");
}

#[test]
fn a_retention_that_is_too_short_for_auto_is_warned_of() {
    let warnings = |text: &str| with_account(text).settings().warnings();
    assert_eq!(
        warnings(""),
        [
            "assets.max_age: \"auto\" judges no asset, because it needs 15d of tasks and state.retention keeps 7d; set \
             state.retention to 15d or more, or max_age to a duration"
        ]
    );
    assert_eq!(warnings("[state]\nretention = '15d'"), [""; 0]);
    assert_eq!(warnings("[assets]\nmax_age = '26h'"), [""; 0]);
}
