//! The web config against the tools of others: promtool knows the format, and Prometheus scrapes.

use std::fs;
use std::path::Path;
use std::process::Command;

use clumio_exporter::config::WebConfig;
use clumio_exporter::simulator::Options;

use crate::certificates::Authority;
use crate::harness::{Api, DEADLINE, eventually, http, unreachable};
use crate::process::Process;
use crate::web_config::{CLIENTS, Server, TLS, users};

/// Whether promtool takes the file; else what it says.
fn promtool(file: &Path) -> Result<(), String> {
    let output = Command::new("promtool").args(["check", "web-config"]).arg(file).output();
    let output = output.expect("promtool must be installed");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(told) }
}

#[test]
fn promtool_takes_the_sample_and_what_is_taken_here_and_refuses_what_the_format_refuses() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/web.yml");
    assert_eq!(promtool(&sample), Ok(()));
    let folder = tempfile::tempdir().expect("a folder must be had");
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(folder.path());
    fs::write(folder.path().join("ca.pem"), &authority.pem).expect("the authority must be written");
    let file = folder.path().join("web.yml");
    let users = users(&[("ann", "right"), ("bob", "other")]);
    let tls = |line: &str| format!("{TLS}  {line}\n");
    for (text, is_taken) in [
        (String::new(), true),
        (users.clone(), true),
        (format!("{TLS}{CLIENTS}{users}"), true),
        (tls("min_version: TLS13"), true),
        (tls("cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]"), true),
        (
            tls(
                "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  prefer_server_cipher_suites: false",
            ),
            true,
        ),
        (tls("curve_preferences: [X25519, CurveP256, CurveP384]"), true),
        ("http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n".to_owned(), true),
        ("http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=1\n".to_owned(), true),
        ("http_server_config:\n  headers:\n    Server: x\n".to_owned(), false),
        ("http_server_config:\n  headers:\n    X-Frame-Options: all\n".to_owned(), false),
        ("http_server_config:\n  http3: true\n".to_owned(), false),
        ("tls_server: {}\n".to_owned(), false),
        (tls("min_version: TLS14"), false),
        (tls("curve_preferences: [Curve25519]"), false),
        (tls("cipher_suites: [NONE]"), false),
        (tls("client_ca_file: ca.pem"), false),
        (tls("client_auth_type: Sometimes"), false),
        (tls("cert_file: again.crt"), false),
        ("tls_server_config:\n  cert_file: tls.crt\n".to_owned(), false),
        ("basic_auth_users:\n  ann: right\n".to_owned(), false),
        ("basic_auth_users: [ann]\n".to_owned(), false),
    ] {
        fs::write(&file, &text).expect("the web config must be written");
        assert_eq!(promtool(&file).is_ok(), is_taken, "promtool: {text}{:?}", promtool(&file));
        assert_eq!(WebConfig::parse(&text, &file).is_ok(), is_taken, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_over_tls_with_login_and_client_certificate() {
    let api = Api::start(Options::scripted()).await;
    let web = format!("{TLS}{CLIENTS}{}", users(&[("prometheus", "right")]));
    let server = Server::start(&api, &web).await;
    let folder = tempfile::tempdir().expect("a folder must be had");
    server.authority.issue(&["prometheus"]).write(folder.path());
    fs::write(folder.path().join("ca.pem"), &server.authority.pem).expect("it must be written");
    let target = server.exporter.address;
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: clumio\n  scheme: https\n  \
         basic_auth: {{username: prometheus, password: right}}\n  \
         tls_config: {{ca_file: ca.pem, cert_file: tls.crt, key_file: tls.key}}\n  \
         static_configs: [{{targets: ['{target}']}}]\n"
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, text).expect("the config must be written");
    let address = unreachable().await;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    let prometheus = Process::start(command);
    let client = http();
    let query = async |query: &str| {
        let answer = client.get(format!("http://{address}/api/v1/query")).query(&[("query", query)]).send();
        answer.await.ok()?.text().await.ok()
    };
    eventually("the exporter is up", DEADLINE, async || {
        query("up == 1").await?.contains(",\"1\"]").then_some(())
    })
    .await;
    let up = query("clumio_exporter_build_info").await.expect("it must answer");
    assert!(up.contains("\"job\":\"clumio\""), "{up}");
    prometheus.signal("TERM");
    prometheus.ended(DEADLINE).await;
    server.exporter.stop().await;
}
