//! TLS, client certificates, login and headers, as the web config says.

use std::fs;
use std::process::Command;

use clumio_exporter::simulator::Options;
use futures::future::join_all;
use reqwest::Client;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certificates::{Authority, Issued};
use crate::harness::{Api, Config, DEADLINE, Exporter, FAST, connect_from, eventually, http};
use crate::page::Page;
use crate::process::{Process, binary};

pub const TLS: &str = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
pub const CLIENTS: &str = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";

/// A server with an authority, whose web config the test wrote.
pub struct Server {
    pub authority: Authority,
    pub own: Issued,
    pub exporter: Exporter,
}

/// Handshakes that failed for this reason.
fn failures(page: &Page, reason: &str) -> Option<f64> {
    page.get(&format!("clumio_exporter_tls_handshake_failures_total{{reason=\"{reason}\"}}"))
}

/// The text of a web config in which these users log in; the cost is the least, for tests are many.
pub fn users(users: &[(&str, &str)]) -> String {
    let line = |(name, password): &(&str, &str)| {
        let hash = bcrypt::hash(password, 4).expect("the password must be hashed");
        format!("  {name}: {hash}\n")
    };
    format!("basic_auth_users:\n{}", users.iter().map(line).collect::<String>())
}

/// A folder with this web config and a certificate of an authority, which also is the one of the clients.
pub fn config(api: &Api, web: &str) -> (Config, Authority, Issued) {
    let config = Config::following(api, &format!("{FAST}web.config_file = \"web.yml\"\n"));
    let authority = Authority::new();
    let own = authority.issue(&["localhost", "127.0.0.1"]);
    own.write(config.path());
    fs::write(config.path().join("ca.pem"), &authority.pem).expect("the authority must be written");
    fs::write(config.path().join("web.yml"), web).expect("the web config must be written");
    (config, authority, own)
}

impl Server {
    pub async fn start(api: &Api, web: &str) -> Self {
        let (config, authority, own) = config(api, web);
        Self { authority, own, exporter: Exporter::start(config).await }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.exporter.address)
    }

    pub fn client(&self) -> Client {
        self.authority.client(&[&TLS13, &TLS12], None)
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.exporter.config.path().join(file), text).expect("the file must be written");
    }

    /// The status of an answer, if there is one.
    /// The exposition, as this client reads it.
    pub async fn page(&self, client: &Client) -> Page {
        let answer = client.get(self.url("/metrics")).send().await.expect("it must be answered");
        Page::read(answer.text().await.expect("the exposition must be complete"))
    }

    pub async fn status(&self, client: &Client, path: &str) -> Option<u16> {
        Some(client.get(self.url(path)).send().await.ok()?.status().as_u16())
    }
}

async fn api() -> Api {
    Api::start(Options::scripted()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_in_the_versions_that_the_file_allows() {
    let api = api().await;
    let server = Server::start(&api, TLS).await;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let client = server.authority.client(versions, None);
        assert_eq!(server.status(&client, "/metrics").await, Some(200));
    }
    server.exporter.stop().await;

    let server = Server::start(&api, &format!("{TLS}  min_version: TLS13\n")).await;
    let old = server.authority.client(&[&TLS12], None);
    assert_eq!(server.status(&old, "/metrics").await, None);
    assert_eq!(server.status(&server.client(), "/metrics").await, Some(200));
    server.exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_told_to_use_tls_and_silent_clients_hold_up_nobody() {
    let api = api().await;
    let server = Server::start(&api, TLS).await;
    let answer = http().get(format!("http://{}/metrics", server.exporter.address)).send().await;
    let answer = answer.expect("it must be answered");
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text().await.expect("it must be whole"), "this port speaks TLS; use https\n");

    // They say nothing, or begin a handshake and go no further.
    let silent = join_all((0..250).map(async |n| {
        let mut stream = connect_from([127, 0, 0, 2], server.exporter.address).await;
        if n % 2 == 0 {
            stream.write_all(&[0x16, 3, 1]).await.expect("it must be taken");
        }
        stream
    }))
    .await;
    assert_eq!(server.status(&server.client(), "/metrics").await, Some(200));
    for mut stream in silent {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a silent connection must be closed");
    }
    // A page can be a second old.
    let are_counted = async || {
        let page = server.page(&server.client()).await;
        let counted = [failures(&page, "plain_http"), failures(&page, "timeout")];
        (counted == [Some(1.0), Some(250.0)]).then_some(())
    };
    eventually("failed handshakes are counted", DEADLINE, are_counted).await;
    let process = server.exporter.stop().await;
    assert_eq!(process.stderr.matches("a TLS handshake failed").count(), 2, "one line for each reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_authority_with_an_allowed_name_and_their_key_are_let_in() {
    let api = api().await;
    let web = format!("{TLS}{CLIENTS}  client_allowed_sans: [prometheus.example, 10.0.0.9]\n");
    let server = Server::start(&api, &web).await;
    let stranger = Authority::new().issue(&["prometheus.example"]);
    let allowed = server.authority.issue(&["other.example", "prometheus.example"]);
    let by_address = server.authority.issue(&["10.0.0.9"]);
    let other = server.authority.issue(&["other.example", "sub.prometheus.example"]);
    let without_key = |certificate: &Issued| Issued {
        certificate: certificate.certificate.clone(),
        key: stranger.key.clone(),
    };
    let (claims_allowed, claims_own) = (without_key(&allowed), without_key(&server.own));
    for versions in [&[&TLS12][..], &[&TLS13]] {
        for (shown, expected) in [
            (None, None),
            (Some(&stranger), None),
            (Some(&other), None),
            (Some(&allowed), Some(200)),
            (Some(&by_address), Some(200)),
            // Whoever has the key of the server may ask: that is the probe.
            (Some(&server.own), Some(200)),
            // A certificate is public: it is the key that counts.
            (Some(&claims_allowed), None),
            (Some(&claims_own), None),
        ] {
            let client = server.authority.client(versions, shown);
            assert_eq!(server.status(&client, "/metrics").await, expected);
        }
    }
    let client = server.authority.client(&[&TLS13], Some(&allowed));
    // In each version, one client has no certificate, and four have one that is refused. The exposition can be a second old.
    let are_counted = async || {
        let page = server.page(&client).await;
        let counted = ["no_certificate", "bad_certificate"].map(|reason| failures(&page, reason));
        (counted == [Some(2.0), Some(8.0)]).then_some(())
    };
    eventually("refused handshakes are counted", DEADLINE, are_counted).await;
    let process = server.exporter.stop().await;
    assert!(process.stderr.contains("tls=true"), "{}", process.stderr);
    assert!(process.stderr.contains("reason=no_certificate"), "{}", process.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_optional_is_verified_if_it_is_shown() {
    let api = api().await;
    let optional = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven");
    let server = Server::start(&api, &format!("{TLS}{optional}")).await;
    let (good, stranger) = (server.authority.issue(&["a"]), Authority::new().issue(&["a"]));
    for (shown, expected) in [(None, Some(200)), (Some(&good), Some(200)), (Some(&stranger), None)] {
        let client = server.authority.client(&[&TLS13], shown);
        assert_eq!(server.status(&client, "/metrics").await, expected);
    }
    server.exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_but_health_asks_for_a_login_and_every_answer_has_the_headers() {
    let api = api().await;
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    \
                   Content-Security-Policy: frame-ancestors 'none'\n";
    let beyond_72_bytes = "x".repeat(80);
    let web = format!("{headers}{}", users(&[("ann", "right"), ("bob", &beyond_72_bytes)]));
    let (config, ..) = config(&api, &web);
    let exporter = Exporter::start(config).await;
    let client = http();
    let ask = async |path: &str, login: Option<(&str, &str)>| {
        let request = client.get(format!("http://{}{path}", exporter.address));
        let request = match login {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        let answer = request.send().await.expect("it must be answered");
        assert_eq!(answer.headers()["x-frame-options"], "sameorigin", "{path}");
        let policies = answer.headers().get_all("content-security-policy");
        assert!(policies.iter().any(|policy| policy == "frame-ancestors 'none'"), "{path}");
        let challenged = answer.headers().get("www-authenticate").is_some_and(|value| value == "Basic");
        assert_eq!(challenged, answer.status() == 401, "{path}");
        answer.status().as_u16()
    };
    for path in ["/metrics", "/", "/-/reload", "/nowhere", "/-/healthy/", "/-/%68ealthy"] {
        assert_eq!(ask(path, None).await, 401, "{path}");
        assert_eq!(ask(path, Some(("ann", "wrong"))).await, 401, "{path}");
    }
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(ask(path, None).await, 200, "{path}");
        assert_eq!(ask(path, Some(("ann", "wrong"))).await, 200, "{path}");
    }
    for login in [("nobody", "right"), ("ann", ""), ("Ann", "right"), ("bob", "right")] {
        assert_eq!(ask("/metrics", Some(login)).await, 401, "{login:?}");
    }
    for login in [("ann", "right"), ("bob", beyond_72_bytes.as_str())] {
        assert_eq!(ask("/metrics", Some(login)).await, 200);
        assert_eq!(ask("/nowhere", Some(login)).await, 404);
    }
    let log = exporter.stop().await.stderr;
    assert!(!log.contains("right") && !log.contains("$2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_scrapes_of_who_is_logged_in_go_on_while_wrong_logins_hammer() {
    let api = api().await;
    let hash = bcrypt::hash("right", 12).expect("the password must be hashed");
    let (config, ..) = config(&api, &format!("basic_auth_users:\n  ann: {hash}\n"));
    let exporter = Exporter::start(config).await;
    let (client, url) = (http(), format!("http://{}/metrics", exporter.address));
    let scrape = async |name: &str, password: &str| {
        let request = client.get(&url);
        let answer = request.timeout(DEADLINE).basic_auth(name, Some(password)).send().await;
        answer.expect("it must be answered").status().as_u16()
    };
    assert_eq!(scrape("ann", "right").await, 200);
    // Each of these takes as long as a hash, one after another: not one is through before the scrapes are.
    let wrong = join_all((0..30).map(async |n| scrape(["ann", "bob"][n % 2], "wrong").await));
    let right = async {
        for _ in 0..100 {
            assert_eq!(scrape("ann", "right").await, 200);
        }
    };
    tokio::pin!(wrong, right);
    tokio::select! {
        biased;
        _ = &mut wrong => panic!("a scrape must not wait for wrong logins"),
        () = &mut right => {}
    }
    // One address has only so many logins waiting.
    let wrong = wrong.await;
    assert!(wrong.iter().all(|status| [401, 503].contains(status)), "{wrong:?}");
    assert!(wrong.iter().filter(|status| **status == 401).count() >= 16, "{wrong:?}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_rate_are_turned_away_but_for_health() {
    let api = api().await;
    let (config, ..) = config(&api, "rate_limit:\n  interval: 1h\n  burst: 3\n");
    let exporter = Exporter::start(config).await;
    for expected in [200, 200, 200, 429, 429] {
        assert_eq!(exporter.get("/metrics").await.status(), expected);
        assert_eq!(exporter.get("/-/healthy").await.status(), 200);
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_web_config_stops_the_start_and_check_before_a_request_is_sent() {
    let api = api().await;
    let other = Authority::new().issue(&["localhost"]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (web, key, told) in [
        ("tls_server: {}", None, "web.yml: tls_server: no such key"),
        ("basic_auth_users:\n  ann: s3cr3t", None, "basic_auth_users.\"ann\": is not a bcrypt hash"),
        (TLS, Some(other.key.as_str()), "the key must be that of the first certificate"),
        (TLS, Some(encrypted), "the key is encrypted; decrypt it by: openssl pkey"),
        (TLS, Some("s3cr3t"), "there is no private key in it"),
        ("tls_server_config:\n  cert_file: no.crt\n  key_file: tls.key", None, "no.crt: no such file"),
        (
            "tls_server_config:\n  cert_file: tls.key\n  key_file: tls.key",
            None,
            "there is no certificate in it",
        ),
    ] {
        let (config, ..) = config(&api, web);
        if let Some(key) = key {
            fs::write(config.path().join("tls.key"), key).expect("the key must be written");
        }
        let file = config.file();
        let file = file.to_str().expect("the path must be text");
        let ended = Process::start(binary(&["--config.file", file])).ended(DEADLINE).await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
        assert!(!ended.stderr.contains("s3cr3t"), "{ended:?}");
    }
    assert_eq!(api.simulator.requests().total, 0);
    let (config, ..) = config(&api, "tls_server: {}");
    let ended = config.run("check").await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stdout.contains("web.yml: tls_server: no such key"), "{ended:?}");
}

/// Runs the probe of the exporter's config, at the port where it listens.
async fn probe(exporter: &Exporter, more: &[&str]) -> (Option<i32>, String) {
    let file = exporter.config.file();
    let address = exporter.address.to_string();
    let args =
        ["probe", "--config.file", file.to_str().expect("it must be text"), "--web.listen-address", &address];
    let command: Command = binary(&[&args[..], more].concat());
    let ended = Process::start(command).ended(DEADLINE).await;
    (ended.status.code(), ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_through_tls_login_and_client_certificates() {
    let api = api().await;
    let all = format!("{TLS}{CLIENTS}  client_allowed_sans: [nobody]\n{}", users(&[("ann", "right")]));
    for web in ["", TLS, &all] {
        let server = Server::start(&api, web).await;
        let (code, told) = probe(&server.exporter, &[]).await;
        assert_eq!(code, Some(0), "{web}: {told}");
        assert!(told.contains("/-/healthy: healthy"), "{told}");
        let (code, told) = probe(&server.exporter, &["--ready"]).await;
        assert_eq!((code, told.contains("/-/ready: ready")), (Some(0), true), "{told}");

        // What is wrong elsewhere is none of its business, and what a restart would not mend does not end the daemon.
        server.write("web.yml", "wrong: 1");
        let (code, told) = probe(&server.exporter, &[]).await;
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("wrong: no such key") && told.contains("a restart would fail"), "{told}");
        server.exporter.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_fails_where_nobody_or_a_stranger_answers() {
    let api = api().await;
    let server = Server::start(&api, TLS).await;
    let (impostor, ..) = config(&api, TLS);
    let file = impostor.file();
    let address = server.exporter.address.to_string();
    let file = file.to_str().expect("it must be text");
    let args = ["probe", "--config.file", file, "--web.listen-address", &address];
    let ended = Process::start(binary(&args)).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "another certificate is on file: {ended:?}");
    server.exporter.stop().await;
    let ended = Process::start(binary(&args)).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&address), "{ended:?}");
}
