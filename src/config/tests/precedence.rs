//! Defaults, then the file, then the environment, then flags.

use std::time::Duration;

use super::super::{Flags, Limits, Log, LogFormat, LogLevel, Poll, State, Web};
use super::with_account;

#[test]
fn the_defaults_are_those_that_the_product_promises() {
    let settings = with_account("").settings();
    let seconds = Duration::from_secs;
    assert_eq!(
        settings.web,
        Web {
            listen_address: ":10317".to_owned(),
            external_url: None,
            telemetry_path: "/metrics".to_owned(),
            config_file: None,
            max_requests: 40,
            enable_lifecycle: false,
        }
    );
    assert_eq!(settings.log, Log { level: LogLevel::Info, format: LogFormat::Logfmt });
    assert_eq!(
        settings.poll,
        Poll {
            interval: seconds(60),
            window: seconds(24 * 3600),
            lookback: seconds(7 * 24 * 3600),
            overlap: seconds(600),
            counter_hold: seconds(120),
            audit_interval: seconds(900),
            page_size: 100,
            id_batch_size: 50,
            requests_per_second: 5.0,
            request_timeout: seconds(30),
        }
    );
    assert_eq!(settings.state, State { directory: None, retention: seconds(7 * 24 * 3600) });
    assert_eq!(
        settings.limits,
        Limits {
            max_categories: 20,
            max_kinds: 200,
            max_asset_types: 50,
            max_response_bytes: 4 * 1024 * 1024
        }
    );
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let file = "[web]\nlisten_address = ':1'\nmax_requests = 1\n[log]\nlevel = 'warn'\nformat = 'json'";
    let flags = Flags { listen_address: Some(":3".to_owned()), ..Flags::default() };
    let given = with_account(file)
        .variable("CLUMIO_EXPORTER__WEB__LISTEN_ADDRESS", ":2")
        .variable("CLUMIO_EXPORTER__LOG__LEVEL", "debug")
        .flags(flags);
    let settings = given.settings();
    assert_eq!(settings.web.listen_address, ":3");
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.web.max_requests, 1);
    assert_eq!(settings.web.telemetry_path, "/metrics");
}

#[test]
fn a_wrong_value_is_blamed_on_the_layer_it_came_from() {
    let flags = Flags {
        log_level: Some("loud".to_owned()),
        log_format: Some("xml".to_owned()),
        listen_address: Some(String::new()),
        ..Flags::default()
    };
    let given = with_account("[log]\nlevel = 'warn'")
        .variable("CLUMIO_EXPORTER__POLL__INTERVAL", "60")
        .variable("CLUMIO_EXPORTER__POLL__WINDOW", "10d")
        .flags(flags);
    insta::assert_snapshot!(given.problems(), @r#"
    --web.listen-address: web.listen_address: is empty; write a value, or leave the key out
    --log.level: log.level: "loud" is not known; write error, warn, info, debug or trace
    --log.format: log.format: "xml" is not known; write logfmt or json
    CLUMIO_EXPORTER__POLL__INTERVAL: poll.interval: "60" has no unit; write "60s", "60m", "60h" or "60d"
    "#);
    let window = with_account("").variable("CLUMIO_EXPORTER__POLL__WINDOW", "10d");
    assert_eq!(
        window.problems(),
        "CLUMIO_EXPORTER__POLL__WINDOW: poll.window: the lookback (7d) is shorter than the window (10d); \
         set poll.lookback to 10d or more"
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let settings = with_account("[poll]\ninterval = '30s'")
        .variable("CLUMIO_EXPORTER__POLL__INTERVAL", "")
        .variable("CLUMIO_EXPORTER__WEB__LISTEN_ADDRESS", "")
        .settings();
    assert_eq!(settings.poll.interval, Duration::from_secs(30));
    assert_eq!(settings.web.listen_address, ":10317");
}

#[test]
fn variables_are_text_that_each_key_reads_in_its_own_way() {
    let given = with_account("")
        .variable("CLUMIO_EXPORTER__POLL__INTERVAL", "30s")
        .variable("CLUMIO_EXPORTER__POLL__PAGE_SIZE", "5")
        .variable("CLUMIO_EXPORTER__POLL__REQUESTS_PER_SECOND", "0.5")
        .variable("CLUMIO_EXPORTER__LIMITS__MAX_RESPONSE_BYTES", "1MiB")
        .variable("CLUMIO_EXPORTER__LIMITS__MAX_KINDS", "7")
        .variable("CLUMIO_EXPORTER__LOG__FORMAT", "json");
    let settings = given.settings();
    assert_eq!(settings.accounts[0].interval, Duration::from_secs(30));
    assert_eq!(settings.accounts[0].page_size, 5);
    assert_eq!(settings.accounts[0].requests_per_second.to_bits(), 0.5_f64.to_bits());
    assert_eq!(
        settings.limits,
        Limits { max_categories: 20, max_kinds: 7, max_asset_types: 50, max_response_bytes: 1 << 20 }
    );
    assert_eq!(settings.log.format, LogFormat::Json);
}
