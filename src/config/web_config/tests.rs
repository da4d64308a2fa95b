//! Web configs as users write them, and what they are told.

use std::path::Path;
use std::time::Duration;

use super::super::error::TOKEN;
use super::{Clients, Curve, Header, Pem, Version, WebConfig};

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
const FILES: &str = "tls_server_config:\n  cert_file: a.pem\n  key_file: /k/a.key\n";

fn parse(text: &str) -> Result<WebConfig, String> {
    WebConfig::parse(text, Path::new("/etc/web.yml")).map_err(|error| error.to_string())
}

#[track_caller]
fn config(text: &str) -> WebConfig {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong with it, without the name of the file.
#[track_caller]
fn problem(text: &str) -> String {
    let problem = parse(text).expect_err("it must be refused");
    problem.strip_prefix("/etc/web.yml").expect("the file must be named").to_owned()
}

#[test]
fn a_file_that_says_nothing_leaves_everything_open() {
    for text in [
        "",
        "# nothing\n",
        "tls_server_config:\n",
        "{}",
        "basic_auth_users:\nhttp_server_config: {headers: }",
    ] {
        let config = config(text);
        assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty(), "{text}");
        assert!(config.rate_limit.is_none(), "{text}");
    }
}

#[test]
fn http2_is_accepted_without_effect() {
    for value in ["true", "false"] {
        assert_eq!(config(&format!("http_server_config:\n  http2: {value}\n")), config(""));
    }
}

#[test]
fn a_comment_ends_with_its_line_whatever_ends_that() {
    for end in ["\n", "\r\n", "\r"] {
        let lines = ["# who may log in", "basic_auth_users:", &format!("  ann: {HASH}"), ""];
        assert!(config(&lines.join(end)).users.contains_key("ann"), "{end:?}");
    }
}

#[test]
fn every_key_is_read() {
    let config = config(&format!(
        "{FILES}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [a, b]\n  \
         min_version: TLS12\n  max_version: TLS13\n  prefer_server_cipher_suites: false\n  \
         cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n  curve_preferences: [CurveP384, X25519]\n\
         http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 0\n    \
         Strict-Transport-Security: ''\n\
         basic_auth_users:\n  ann: {HASH}\nrate_limit:\n  interval: 100ms\n  burst: 7\n"
    ));
    let tls = config.tls.expect("TLS must be read");
    assert_eq!(tls.certificate, Pem::File("/etc/a.pem".into()));
    assert_eq!(tls.key, Pem::File("/k/a.key".into()));
    let (ca, allowed_sans) = (Pem::File("/etc/ca.pem".into()), vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(tls.clients, Clients::Verified { ca, required: true, allowed_sans });
    assert_eq!((tls.min_version, tls.max_version), (Version::Tls12, Version::Tls13));
    assert_eq!(tls.cipher_suites, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    assert!(!tls.prefer_server_cipher_suites);
    assert_eq!(tls.curve_preferences, [Curve::P384, Curve::X25519]);
    let header = |name, value: &str| Header { name, value: value.to_owned() };
    assert_eq!(config.headers, [header("X-Frame-Options", "deny"), header("X-XSS-Protection", "0")]);
    assert_eq!(config.users["ann"].cost(), 10);
    let limit = config.rate_limit.expect("the limit must be read");
    assert_eq!((limit.interval, limit.burst), (Duration::from_millis(100), 7));
}

#[test]
fn what_is_wrong_is_named_with_the_remedy() {
    let tls = |line: &str| format!("{FILES}  {line}\n");
    for (text, expected) in [
        (
            tls("min_version: TLS10"),
            ": tls_server_config.min_version: TLS10 is too old for rustls; write TLS12 or TLS13",
        ),
        (
            tls("max_version: TLS14"),
            ": tls_server_config.max_version: \"TLS14\" is not known; write TLS12 or TLS13",
        ),
        (
            tls("min_version: TLS13\n  max_version: TLS12"),
            ": tls_server_config.min_version: is above max_version; no version is left",
        ),
        (
            tls("client_auth_type: RequireAnyClientCert"),
            ": tls_server_config.client_auth_type: RequireAnyClientCert takes certificates of anybody, which rustls does \
             not; write RequireAndVerifyClientCert or VerifyClientCertIfGiven",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            ": tls_server_config.client_ca_file: is missing; name a PEM file with the authorities whose clients are let in",
        ),
        (
            tls("client_ca_file: ca.pem"),
            ": tls_server_config.client_auth_type: is missing, so no certificate would be asked for; write \
             RequireAndVerifyClientCert",
        ),
        (
            tls("curve_preferences: [CurveP521]"),
            ": tls_server_config.curve_preferences: \"CurveP521\" is not a curve that rustls has here; write any of \
             X25519, CurveP256 or CurveP384",
        ),
        (tls("cert_fil: x"), ": tls_server_config.cert_fil: no such key; did you mean cert_file?"),
        (
            "tls_server_config:\n  cert_file: x\n".to_owned(),
            ": tls_server_config.key_file: is missing; name a PEM file with the private key",
        ),
        (
            "tls_server_config: 5\n".to_owned(),
            ": tls_server_config: is not a mapping; write its keys below it, indented, with a space after each colon",
        ),
        // As htpasswd prints it.
        (
            format!("basic_auth_users:\n  ann:{HASH}\n"),
            ": basic_auth_users: is not a mapping; write its keys below it, indented, with a space after each colon",
        ),
        (
            "tls_server: {}\n".to_owned(),
            ": tls_server: no such key; there are basic_auth_users, http_server_config, \
             rate_limit, tls_server_config",
        ),
        (
            "http_server_config:\n  http2: maybe\n".to_owned(),
            ": http_server_config.http2: \"maybe\" is neither yes nor no; write true or false",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: all\n".to_owned(),
            ": http_server_config.headers.X-Frame-Options: \"all\" is not known; write deny or sameorigin",
        ),
        (
            "rate_limit:\n  interval: 1s\n".to_owned(),
            ": rate_limit.burst: nobody would be let in; write how many requests may come at once, 1 or more",
        ),
        ("a: 1\na: 2\n".to_owned(), ":2:1: a key comes twice; leave one of them out"),
        ("a: [1\n".to_owned(), ":1:4: not YAML that can be read; mind indentation, colons and quotes"),
        (
            format!("basic_auth_users:\n  a:b: {HASH}\n"),
            ": basic_auth_users.\"a:b\": cannot log in; write a name without colons and control characters",
        ),
        (
            format!("basic_auth_users:\n  ann: {}\n", HASH.replace("$10$", "$18$")),
            ": basic_auth_users.\"ann\": its cost of 18 is not from 4 to 16; hash the password anew with a cost of 10",
        ),
    ] {
        assert_eq!(problem(&text), expected, "{text}");
    }
    assert!(problem(&tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]")).contains(
        "\"TLS_RSA_WITH_AES_128_CBC_SHA\" is not a cipher suite that rustls has; write any of TLS_ECDHE_ECDSA"
    ));
    assert!(
        problem("http_server_config:\n  headers:\n    Server: x\n").contains("headers.Server: no such key")
    );
    assert!(
        problem(&tls("cert: -----BEGIN x")).contains("cert: stands beside cert_file; leave one of them out")
    );
    assert!(problem(&format!(
        "{FILES}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: a\n  client_allowed_sans: [a]\n"
    ))
    .contains("client_allowed_sans: has no effect on clients without a certificate"));
}

#[test]
fn no_message_has_a_secret() {
    let secret = "s3cr3t";
    for text in [
        "basic_auth_users:\n  ann: s3cr3t\n".to_owned(),
        "basic_auth_users:\n  ann: [s3cr3t]\n".to_owned(),
        "basic_auth_users: s3cr3t\n".to_owned(),
        "tls_server_config:\n  key: s3cr3t\n".to_owned(),
        "tls_server_config:\n  key_file: |\n    -----BEGIN PRIVATE KEY-----\n    s3cr3t\n".to_owned(),
        "tls_server_config:\n  key: |\n  s3cr3t\n".to_owned(),
        "tls_server_config:\n  key: \"s3cr3t\n".to_owned(),
        "tls_server_config:\n  key: *s3cr3t\n".to_owned(),
        // A hash or a key that stands where something else belongs, or is the name instead of the value.
        "http_server_config:\n  http2: $2y$10$s3cr3t\n".to_owned(),
        "basic_auth_users:\n  $2y$10$s3cr3t: ann\n".to_owned(),
        "tls_server_config:\n  min_version: -----BEGIN PRIVATE KEY----- s3cr3t\n".to_owned(),
        format!("tls_server_config:\n  min_version: {TOKEN}s3cr3t\n"),
    ] {
        assert!(!problem(&text).contains(secret), "{text}: {}", problem(&text));
    }
    let shown = config(&format!(
        "tls_server_config:\n  cert: -----BEGIN s3cr3t\n  key: -----BEGIN s3cr3t\nbasic_auth_users:\n  ann: {HASH}\n"
    ));
    let shown = format!("{shown:?}");
    assert!(!shown.contains(secret) && !shown.contains(HASH), "{shown}");
}

/// A comment without the sign is a key where it is one, and else stays a comment.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let Some((indent, rest)) = line.split_once("# ").filter(|(indent, _)| indent.trim().is_empty())
        else {
            return line.to_owned();
        };
        let word = rest.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default();
        let is_key = rest.contains(':') && !word.contains(' ') && !rest.trim_end().ends_with('.');
        let is_item = rest.trim_start().starts_with("- ") || rest.trim_start().starts_with("-----BEGIN");
        if is_key || is_item { format!("{indent}{rest}") } else { String::new() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_is_right_and_shows_every_key_and_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/web.yml");
    let text = std::fs::read_to_string(&file).expect("the sample must be readable");
    assert_eq!(config(&text), config(""));
    let mut problems = super::Problems::default();
    let text = uncommented(&text);
    super::read(&text, &file, &mut problems);
    for key in problems.known() {
        let leaf = key.rsplit('.').next().unwrap_or_default();
        let is_shown = text.lines().any(|line| line.trim_start().starts_with(&format!("{leaf}:")));
        assert!(is_shown || leaf == "client_ca", "{key} is not in:\n{text}");
    }
}
