//! The life of the process: it ends well within two seconds of a signal, whatever it is doing, and a start that cannot
//! work fails with a message.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options};

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually, serving};
use crate::page::Page;
use crate::process::{BINARY, Process, TOKEN, binary, signal};

/// Two seconds are promised; the rest is for a machine that runs many tests at once.
const STOPS_WITHIN: Duration = Duration::from_secs(2 + 3);

/// An API whose answers take a while, so that an initial sync is long.
async fn slow() -> Api {
    let faults = Faults::none().with(Fault::Slow, 1.0);
    Api::start(Options { faults, slow_for: Duration::from_millis(500), ..Options::default() }).await
}

async fn in_initial_sync(exporter: &Exporter) {
    let progress = "clumio_exporter_initial_sync_progress_ratio";
    let is_under_way = |ratio: f64| ratio < 1.0;
    exporter
        .until("an initial sync is under way", |page| page.of(progress, ACCOUNT).is_some_and(is_under_way))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_in_the_middle_of_an_initial_sync() {
    let state = "state.directory = \"state\"";
    for (name, keys) in [("TERM", ""), ("INT", ""), ("TERM", state)] {
        let api = slow().await;
        let exporter = Exporter::following(&api, keys).await;
        in_initial_sync(&exporter).await;
        exporter.process.signal(name);
        let ended = exporter.process.ended(STOPS_WITHIN).await;
        assert_eq!(ended.status.code(), Some(0), "{name}, {keys:?}: {ended:?}");
        assert!(ended.stderr.contains("stopped"), "{name}, {keys:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_while_the_api_hangs_and_connections_are_open() {
    let api = Api::start(Options::scripted()).await;
    api.simulator.set_faults(Faults::none().with(Fault::Stall, 1.0));
    let exporter = Exporter::following(&api, "").await;
    exporter.scrape().await;
    let _idle = tokio::net::TcpStream::connect(exporter.address).await.expect("it must listen");
    exporter.process.signal("TERM");
    let ended = exporter.process.ended(STOPS_WITHIN).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// A process 1 has no default action for a signal: what it does not catch, it does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_as_process_1_too() {
    let api = slow().await;
    let config = Config::following(&api, "");
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--pid", "--fork", "--kill-child", BINARY, "--config.file"])
        .arg(config.file());
    let mut namespace = Process::start(command);
    let children = format!("/proc/{0}/task/{0}/children", namespace.id());
    let process = eventually("unshare starts it", DEADLINE, async || {
        assert!(namespace.is_running(), "unshare must be allowed: {}", namespace.stderr());
        fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()
    })
    .await;
    serving(&namespace).await;
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it must run");
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    assert_eq!(inner.split_whitespace().last(), Some("1"), "{status}");
    signal(process, "TERM");
    let ended = namespace.ended(STOPS_WITHIN).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_is_silent_does_not_hold_up_the_stop() {
    let config = Config::new(FAST).account("prod", "https://api.example.com", TOKEN);
    let resolver = config.path().join("resolv.conf");
    fs::write(&resolver, "nameserver 10.9.9.9\n").expect("the file must be written");
    let mut command = Command::new("unshare");
    // A network of its own, with a neighbour that never answers.
    let network = "ip link set lo up && ip link add silent type veth && ip addr add 10.9.9.1/24 dev silent && \
                   ip link set silent up && ip link set veth0 up && ip neighbour add 10.9.9.9 lladdr 02:00:00:00:00:09 dev silent && \
                   mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" --config.file \"$3\"";
    command.args(["--map-root-user", "--net", "--mount", "sh", "-c", network, "sh"]);
    command.args([resolver, BINARY.into(), config.file()]);
    let process = Process::start(command);
    let sockets = format!("/proc/{}/net/udp", process.id());
    eventually("it asks the name server", DEADLINE, async || {
        // The address is in hexadecimal, its bytes turned round; 0035 is port 53.
        fs::read_to_string(&sockets).ok()?.contains("0909090A:0035").then_some(())
    })
    .await;
    process.signal("TERM");
    let ended = process.ended(STOPS_WITHIN).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_fails_the_start_before_a_request_is_sent() {
    let api = Api::start(Options::scripted()).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port must be had");
    let address = taken.local_addr().expect("it must have an address").to_string();
    let file = Config::following(&api, FAST);
    let path = file.file();
    let path = path.to_str().expect("the path must be text");
    let process = Process::start(binary(&["--config.file", path, "--web.listen-address", &address]));
    let ended = process.ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let expected = format!("clumio-exporter: cannot listen on {address}: ");
    assert!(ended.stderr.contains(&expected) && ended.stderr.contains("--web.listen-address"), "{ended:?}");
    assert_eq!(api.simulator.requests().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_which_version_it_is_and_what_it_can_do() {
    let version = Process::start(binary(&["--version"])).ended(DEADLINE).await;
    assert_eq!(version.status.code(), Some(0));
    let expected = concat!("clumio-exporter ", env!("CARGO_PKG_VERSION"), " (revision ");
    assert!(version.stdout.starts_with(expected), "{version:?}");

    let help = Process::start(binary(&["--help"])).ended(DEADLINE).await;
    assert_eq!(help.status.code(), Some(0));
    let words = ["demo", "check", "once", "simulate", "--config.file", "--web.listen-address", "--log.level"];
    for word in words.into_iter().chain(["--log.format", "--version"]) {
        assert!(help.stdout.contains(word), "{word} is not in:\n{}", help.stdout);
    }

    let wrong = Process::start(binary(&["--web.listen-adress=:1"])).ended(DEADLINE).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("--web.listen-address"), "{wrong:?}");
}

/// A reader of the log that hangs, such as a terminal that was stopped or a collector that is full, must stop nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing_and_its_dropped_lines_are_counted() {
    let api = Api::resting().await;
    let keys = format!("{FAST}web.enable_lifecycle = true\n");
    let mut exporter = Exporter::following(&api, &keys).await;
    exporter.process.stall_log();
    // The refusal names the key, so a few lines fill the pipe.
    let key = "k".repeat(8_000);
    exporter.config.replace(&keys, &format!("{keys}poll.{key} = 1\n"));
    exporter.config.file();
    let dropped =
        |page: &Page| page.get("clumio_exporter_log_lines_dropped_total").is_some_and(|count| count > 0.0);
    while !dropped(&exporter.scrape().await) {
        for _ in 0..100 {
            assert_eq!(exporter.post_reload(&[]).await.0, 500);
        }
    }
    exporter.polls(ACCOUNT, 2).await;
    assert_eq!(exporter.get("/-/healthy").await.status(), 200);
    exporter.process.signal("TERM");
    let ended = exporter.process.ended(STOPS_WITHIN).await;
    assert_eq!(ended.status.code(), Some(0));
}
