//! The web config and its files are read again when they change; a wrong one changes nothing.

use std::fs;
use std::os::unix::fs::symlink;

use clumio_exporter::simulator::Options;
use reqwest::Client;
use rustls::version::TLS13;

use crate::certificates::Authority;
use crate::harness::{Api, Config, DEADLINE, Exporter, FAST, eventually, http};
use crate::web_config::{Server, TLS, config, users};

const SUCCESSFUL: &str = "clumio_exporter_config_last_reload_successful";
const REFUSED: &str = "the web config has changed and was refused; the one before stays in use";

/// Whether the page that the client scrapes says that what was read last is in use.
async fn says_in_use(server: &Server, client: &Client) -> Option<bool> {
    let page = client.get(server.url("/metrics")).send().await.ok()?.text().await.ok()?;
    page.lines().find_map(|line| line.strip_prefix(SUCCESSFUL)).map(|value| value == " 1")
}

async fn status(client: &Client, exporter: &Exporter, login: (&str, &str)) -> u16 {
    let request = client.get(format!("http://{}/metrics", exporter.address));
    let answer = request.basic_auth(login.0, Some(login.1)).send().await;
    answer.expect("it must be answered").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_wrong_one_is_not() {
    let api = Api::start(Options::scripted()).await;
    let server = Server::start(&api, TLS).await;
    let (old, new) = (server.client(), Authority::new());
    assert_eq!(server.status(&old, "/metrics").await, Some(200));

    server.write("tls.crt", "no certificate");
    let refused = |log: &str| log.contains(REFUSED).then_some(());
    server.exporter.process.says("it is refused", refused).await;
    let is_told = async || says_in_use(&server, &old).await.filter(|is_in_use| !is_in_use);
    eventually("the page says that it is refused", DEADLINE, is_told).await;

    new.issue(&["127.0.0.1"]).write(server.exporter.config.path());
    let renewed = new.client(&[&TLS13], None);
    eventually("the new one is shown", DEADLINE, async || server.status(&renewed, "/metrics").await).await;
    assert_eq!(server.status(&old, "/metrics").await, None);
    let is_told = async || says_in_use(&server, &renewed).await.filter(|is_in_use| *is_in_use);
    eventually("the page says that it is in use", DEADLINE, is_told).await;

    // TLS can be left, too, by who asks for it.
    server.write("web.yml", "");
    let told = |log: &str| log.contains("turns off tls_server_config").then_some(());
    server.exporter.process.says("it takes a reload", told).await;
    assert_eq!(server.status(&renewed, "/metrics").await, Some(200));
    assert!(server.exporter.reload().await);
    assert_eq!(server.exporter.get("/metrics").await.status(), 200);
    server.exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_kubernetes_swaps_is_noticed() {
    let api = Api::start(Options::scripted()).await;
    let keys = format!("{FAST}web.config_file = \"mounted/web.yml\"\n");
    let config = Config::following(&api, &keys);
    let (first, second) = (Authority::new(), Authority::new());
    for (folder, authority) in [("..1", &first), ("..2", &second)] {
        let folder = config.path().join(folder);
        fs::create_dir(&folder).expect("the folder must be made");
        authority.issue(&["127.0.0.1"]).write(&folder);
        fs::write(folder.join("web.yml"), TLS).expect("the web config must be written");
    }
    // As a Secret is mounted: files link to a link, which is swapped as a whole.
    let mounted = config.path().join("mounted");
    fs::create_dir(&mounted).expect("the folder must be made");
    symlink("../..1", mounted.join("..data")).expect("the link must be made");
    for file in ["web.yml", "tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), mounted.join(file)).expect("the link must be made");
    }
    let exporter = Exporter::start(config).await;
    let url = format!("https://{}/metrics", exporter.address);
    let (old, new) = (first.client(&[&TLS13], None), second.client(&[&TLS13], None));
    assert!(old.get(&url).send().await.is_ok() && new.get(&url).send().await.is_err());
    symlink("../..2", mounted.join("..next")).expect("the link must be made");
    fs::rename(mounted.join("..next"), mounted.join("..data")).expect("the link must be swapped");
    eventually("the new one is shown", DEADLINE, async || new.get(&url).send().await.ok()).await;
    assert!(old.get(&url).send().await.is_err());
    assert!(!exporter.stop().await.stderr.contains(REFUSED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_comes_after_the_file_that_names_it_is_shown() {
    let api = Api::start(Options::scripted()).await;
    let server = Server::start(&api, TLS).await;
    let new = Authority::new();
    server.write("web.yml", &TLS.replace("tls.", "new/tls."));
    let refused = |log: &str| log.contains(REFUSED).then_some(());
    server.exporter.process.says("it is refused", refused).await;
    assert_eq!(server.status(&server.client(), "/metrics").await, Some(200));

    let folder = server.exporter.config.path().join("new");
    fs::create_dir(&folder).expect("the folder must be made");
    new.issue(&["127.0.0.1"]).write(&folder);
    let renewed = new.client(&[&TLS13], None);
    eventually("the new one is shown", DEADLINE, async || server.status(&renewed, "/metrics").await).await;
    server.exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_and_go_without_a_restart() {
    let api = Api::start(Options::scripted()).await;
    let (config, ..) = config(&api, &users(&[("ann", "right")]));
    let exporter = Exporter::start(config).await;
    let client = http();
    assert_eq!(status(&client, &exporter, ("ann", "right")).await, 200);
    let write = |text: &str| fs::write(exporter.config.path().join("web.yml"), text);
    write(&users(&[("ann", "other"), ("bob", "new")])).expect("the web config must be written");
    eventually("the new user is let in", DEADLINE, async || {
        Some(status(&client, &exporter, ("bob", "new")).await).filter(|it| *it == 200)
    })
    .await;
    assert_eq!(status(&client, &exporter, ("ann", "right")).await, 401, "what was verified is forgotten");
    assert_eq!(status(&client, &exporter, ("ann", "other")).await, 200);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_that_was_emptied_leaves_the_login_in_force_until_a_reload() {
    let api = Api::start(Options::scripted()).await;
    let (config, ..) = config(&api, &users(&[("ann", "right")]));
    let exporter = Exporter::start(config).await;
    let web = exporter.config.path().join("web.yml");
    fs::write(&web, "").expect("the web config must be emptied");
    let told = |log: &str| {
        let line = log.lines().find(|line| line.contains(REFUSED))?;
        Some(line.contains("turns off basic_auth_users, which takes a reload (SIGHUP or POST /-/reload)"))
    };
    assert!(exporter.process.says("it is refused", told).await);
    assert_eq!(exporter.get("/metrics").await.status(), 401);
    assert_eq!(status(&http(), &exporter, ("ann", "right")).await, 200);

    // What was being written is whole.
    fs::write(&web, users(&[("bob", "new")])).expect("the web config must be written");
    eventually("the new user is let in", DEADLINE, async || {
        Some(status(&http(), &exporter, ("bob", "new")).await).filter(|it| *it == 200)
    })
    .await;
    assert_eq!(status(&http(), &exporter, ("ann", "right")).await, 401);

    fs::write(&web, "").expect("the web config must be emptied");
    assert!(exporter.reload().await);
    assert_eq!(exporter.get("/metrics").await.status(), 200);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_a_wrong_web_config_is_refused_whole() {
    let api = Api::start(Options::scripted()).await;
    let mut exporter = Exporter::start(Config::following(&api, FAST)).await;
    let web = exporter.config.path().join("web.yml");
    fs::write(&web, "basic_auth_users:\n  ann: s3cr3t\n").expect("the web config must be written");
    let key = "poll.interval = \"1s\"";
    exporter.config.replace(key, &format!("{key}\nweb.config_file = \"web.yml\""));
    assert!(!exporter.reload().await);
    exporter.until("it is told", |page| page.get(SUCCESSFUL) == Some(0.0)).await;
    let log = exporter.process.stderr();
    assert!(log.contains("is not a bcrypt hash") && !log.contains("s3cr3t"), "{log}");

    fs::write(&web, users(&[("ann", "right")])).expect("the web config must be written");
    assert!(exporter.reload().await);
    assert_eq!(exporter.get("/metrics").await.status(), 401);
    assert_eq!(status(&http(), &exporter, ("ann", "right")).await, 200);
    exporter.stop().await;
}
