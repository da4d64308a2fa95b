//! Clients that hold connections, requests or responses: others are answered, and memory and threads stay bounded.

use std::fs;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::harness::{ACCOUNT, Api, DEADLINE, Exporter, FAST, connect_by, eventually};

/// What the process may grow by. The limit of its container is 32 MiB, of which it takes 12.
const MAX_GROWTH_KIB: u64 = 16 << 10;

/// Threads: two workers, one of the database, one of the log, and those that render and read files.
const MAX_THREADS: u64 = 64;

/// A field of /proc/PID/status that is a number.
fn status(exporter: &Exporter, field: &str) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", exporter.process.id())).expect("it must be running");
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    let value = line.and_then(|line| line.split_whitespace().next()).expect("the field must be there");
    value.parse().expect("it must be a number")
}

/// A connection from another address, whose client receives as little as it can.
async fn connect(exporter: &Exporter) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there must be a socket");
    socket.set_recv_buffer_size(2_048).expect("the buffer must be set");
    connect_by(socket, [127, 0, 0, 2], exporter.address).await
}

/// What must be answered at all times. Pages share eight slots, and may be refused while others use them.
async fn scrapes_and_probes_are_answered(exporter: &Exporter) {
    for path in ["/-/healthy", "/metrics", "/-/ready"] {
        assert_eq!(exporter.get(path).await.status(), 200, "{path}");
    }
}

async fn everything_is_answered(exporter: &Exporter) {
    scrapes_and_probes_are_answered(exporter).await;
    for path in ["/", "/assets", "/api/v1/tasks"] {
        let is_answered = async || (exporter.get(path).await.status() == 200).then_some(());
        eventually("pages are answered", DEADLINE, is_answered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_out() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    let mut held = Vec::new();
    for number in 0..700 {
        let mut stream = connect(&exporter).await;
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: ").await.expect("it must be written");
        }
        held.push(stream);
        if number % 100 == 99 {
            everything_is_answered(&exporter).await;
        }
    }
    let descriptors =
        fs::read_dir(format!("/proc/{}/fd", exporter.process.id())).expect("it must run").count();
    assert!(descriptors < 300, "one address has at most 256 connections: {descriptors}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_are_not_read_keep_nobody_out_and_cost_little() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    everything_is_answered(&exporter).await;
    let before = status(&exporter, "VmRSS");
    let mut held = Vec::new();
    for path in ["/metrics", "/", "/api/v1/status", "/tasks", "/none"] {
        let requests = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(300);
        for _ in 0..60 {
            let mut stream = connect(&exporter).await;
            // As much as it takes without reading anything.
            let _ = timeout(Duration::from_millis(20), stream.write_all(requests.as_bytes())).await;
            held.push(stream);
        }
        scrapes_and_probes_are_answered(&exporter).await;
    }
    everything_is_answered(&exporter).await;
    let (grown, threads) = (status(&exporter, "VmHWM").saturating_sub(before), status(&exporter, "Threads"));
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB more than {before}");
    assert!(threads < MAX_THREADS, "{threads}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_reset_leave_nothing_behind() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    everything_is_answered(&exporter).await;
    let before = status(&exporter, "VmRSS");
    let mut clients = JoinSet::new();
    let address = exporter.address;
    for _ in 0..16 {
        clients.spawn(async move {
            for path in ["/", "/api/v1/status", "/assets", "/metrics"].into_iter().cycle().take(200) {
                let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n");
                let _ = stream.write_all(request.as_bytes()).await;
                sleep(Duration::from_millis(1)).await;
                // It sends a reset, because the response is not read.
                drop(stream);
            }
        });
    }
    let mut threads = 0;
    while timeout(Duration::from_millis(50), clients.join_next()).await.is_ok_and(|ended| ended.is_some())
        || !clients.is_empty()
    {
        threads = threads.max(status(&exporter, "Threads"));
    }
    everything_is_answered(&exporter).await;
    let grown = status(&exporter, "VmHWM").saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB more than {before}");
    assert!(threads < MAX_THREADS, "{threads}");
    exporter.stop().await;
}
