//! `web.external_url`: the link of alerts, and the prefix of all paths, directly and behind a real nginx.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use reqwest::Url;
use tempfile::TempDir;

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually, http, unreachable};
use crate::process::Process;
use crate::web_config::users;

const EXTERNAL_URL: &str =
    "web.external_url = \"https://m.example.com/clumio/\"\nweb.enable_lifecycle = true\n";

/// Everything that is served to a GET.
const PATHS: [&str; 5] = ["/", "/metrics", "/api/v1/status", "/-/healthy", "/-/ready"];

/// A real nginx in a folder of its own.
struct Nginx {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

async fn status(exporter: &Exporter, path: &str) -> u16 {
    exporter.get(path).await.status().as_u16()
}

async fn web_info(exporter: &Exporter) -> Option<String> {
    let page = exporter.scrape().await;
    page.text.lines().find(|line| line.starts_with("clumio_exporter_web_info")).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_is_served_with_and_without_the_prefix() {
    let api = Api::resting().await;
    let mut exporter = Exporter::following(&api, &format!("{FAST}{EXTERNAL_URL}")).await;
    for path in PATHS {
        assert_eq!(status(&exporter, path).await, 200, "{path}");
        assert_eq!(status(&exporter, &format!("/clumio{path}")).await, 200, "/clumio{path}");
    }
    for path in ["/clumio/clumio/metrics", "/clumiometrics", "/clumio/nothing", "/other/metrics"] {
        assert_eq!(status(&exporter, path).await, 404, "{path}");
    }
    let redirect = exporter.get("/clumio?account=prod").await;
    assert_eq!(redirect.status(), 307);
    assert_eq!(redirect.headers()["location"], "clumio/?account=prod");

    exporter.config.replace("127.0.0.1:0", &exporter.address.to_string());
    let ended = exporter.config.run("probe").await;
    assert!(ended.status.success(), "{ended:?}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_prefix_and_the_link_at_once() {
    let api = Api::resting().await;
    let mut exporter = Exporter::following(&api, &format!("{FAST}{EXTERNAL_URL}")).await;
    let info = |url: &str| Some(format!("clumio_exporter_web_info{{external_url=\"{url}\"}} 1"));
    assert_eq!(web_info(&exporter).await, info("https://m.example.com/clumio"));
    exporter.config.replace("https://m.example.com/clumio/", "http://other.example.com:8080/backups");
    assert!(exporter.reload().await);
    let changed = || async {
        (web_info(&exporter).await == info("http://other.example.com:8080/backups")).then_some(())
    };
    eventually("the link changes", DEADLINE, async || changed().await).await;
    assert_eq!(status(&exporter, "/backups/metrics").await, 200);
    assert_eq!(status(&exporter, "/clumio/metrics").await, 404);
    exporter.config.replace("web.external_url = \"http://other.example.com:8080/backups\"\n", "");
    assert!(exporter.reload().await);
    eventually("the link is gone", DEADLINE, async || web_info(&exporter).await.is_none().then_some(()))
        .await;
    assert_eq!(status(&exporter, "/backups/metrics").await, 404);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_accepted_by_the_host_of_the_external_url() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, &format!("{FAST}{EXTERNAL_URL}")).await;
    for (headers, expected) in [
        (&[("host", "m.example.com")][..], 200),
        (&[("host", "m.example.com"), ("origin", "https://m.example.com")], 200),
        (&[("origin", "https://m.example.com"), ("referer", "https://m.example.com/clumio/")], 200),
        (&[("host", "exporter.example.com")], 403),
        (&[("host", "m.example.com"), ("origin", "https://evil.example.com")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
    ] {
        assert_eq!(exporter.post_reload(headers).await.0, expected, "{headers:?}");
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_required_behind_the_prefix_except_for_the_health_paths() {
    let api = Api::resting().await;
    let config = Config::following(&api, &format!("{FAST}{EXTERNAL_URL}web.config_file = \"web.yml\"\n"));
    let web = users(&[("ann", "right")]);
    fs::write(config.path().join("web.yml"), web).expect("the web config must be written");
    let exporter = Exporter::start(config).await;
    for prefix in ["", "/clumio"] {
        for path in PATHS {
            let expected = if path.starts_with("/-/") { 200 } else { 401 };
            assert_eq!(status(&exporter, &format!("{prefix}{path}")).await, expected, "{prefix}{path}");
        }
    }
    assert_eq!(status(&exporter, "/clumio").await, 401);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_behind_an_nginx_that_keeps_the_prefix() {
    check_behind_nginx("", "proxy_set_header Host $http_host;").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_behind_an_nginx_that_removes_the_prefix() {
    check_behind_nginx("/", "").await;
}

/// Follows every link from the status page, and reloads, through an nginx that passes requests on to this path.
async fn check_behind_nginx(path: &str, directives: &str) {
    let api = Api::resting().await;
    let address = unreachable().await;
    let external = format!("http://monitoring.example.com:{}", address.port());
    let keys = format!("{FAST}web.external_url = \"{external}/clumio\"\nweb.enable_lifecycle = true\n");
    let exporter = Exporter::following(&api, &keys).await;
    exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    let location = format!("proxy_pass http://{}{path}; {directives}", exporter.address);
    let mut nginx = Nginx::start(address, &location).await;

    let links = nginx.crawl("/clumio/").await;
    for served in PATHS {
        assert!(links.contains(&format!("/clumio{served}")), "{served} must be linked: {links:?}");
    }
    for (origin, expected) in [(external.as_str(), 200), ("http://evil.example.com", 403)] {
        assert_eq!(nginx.reload(&external, origin).await, expected, "{origin}");
    }
    assert!(nginx.process.is_running());
    exporter.stop().await;
}

// === impl Nginx ===

impl Nginx {
    /// Serves `/clumio/` by these directives, and nothing else.
    async fn start(address: SocketAddr, location: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder must be created");
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config(folder.path(), address, location)).expect("the config must be written");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).args(["-e", "stderr"]);
        let process = Process::start(command);
        let answers = async || http().get(format!("http://{address}/")).send().await.ok();
        eventually("nginx answers", DEADLINE, answers).await;
        Self { address, process, _folder: folder }
    }

    /// The paths of all pages that links lead to from this one, each of which must be there.
    async fn crawl(&self, path: &str) -> BTreeSet<String> {
        let start = Url::parse(&format!("http://{}{path}", self.address)).expect("the URL must be valid");
        let (mut seen, mut next) = (BTreeSet::from([start.clone()]), VecDeque::from([start]));
        while let Some(url) = next.pop_front() {
            let answer = http().get(url.clone()).send().await.expect("nginx must answer");
            assert_eq!(answer.status(), 200, "{url}");
            let is_page =
                answer.headers()["content-type"].to_str().is_ok_and(|it| it.starts_with("text/html"));
            let text = answer.text().await.expect("the answer must be complete");
            let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            for link in links.filter(|_| is_page).map(|link| link.replace("&#38;", "&").replace("&amp;", "&"))
            {
                let link = url.join(&link).expect("the link must be valid");
                if link.host() == url.host() && seen.insert(link.clone()) {
                    next.push_back(link);
                }
            }
        }
        seen.iter().map(|url| url.path().to_owned()).collect()
    }

    /// Requests a reload as a page of `origin` would, from the exporter's address `external`.
    async fn reload(&self, external: &str, origin: &str) -> u16 {
        let host = external.split("://").nth(1).expect("the URL must have a host");
        let request = http().post(format!("http://{}/clumio/-/reload", self.address));
        let answer = request.header("host", host).header("origin", origin).send().await;
        answer.expect("nginx must answer").status().as_u16()
    }
}

/// One process in the foreground, which writes only to its folder.
fn config(folder: &Path, address: SocketAddr, location: &str) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|module| format!("{module}_temp_path {folder}/{module};"))
        .join(" ");
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {temporary}\n\
         server {{ listen {address}; location /clumio/ {{ {location} }} }} }}\n"
    )
}
