//! How long the head of a request may be, and that this bounds no page; and that HEAD is answered by a head alone.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{ACCOUNT, Api, DEADLINE, Exporter, FAST};
use crate::web_config::{Server, users};

/// What is answered to a request whose head has about so many bytes and, perhaps, no end; nothing where the connection
/// is closed without an answer.
async fn answer(exporter: &Exporter, bytes: usize, end: &str) -> String {
    let head =
        format!("GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: x\r\nx: {}{end}", "x".repeat(bytes));
    answer_to(exporter, &head).await
}

/// What is answered to this request until the connection is closed.
async fn answer_to(exporter: &Exporter, head: &str) -> String {
    let mut stream = TcpStream::connect(exporter.address).await.expect("it must be accepted");
    // It may be closed before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("it must be closed");
    String::from_utf8(answer).expect("it must be text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused_and_a_page_that_is_longer_is_whole() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    for end in ["\r\n\r\n", ""] {
        let refused = answer(&exporter, 20 << 10, end).await;
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }
    let page = answer(&exporter, 12 << 10, "\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 "));
    assert!(page.len() > 2 * (16 << 10), "the page must be long: {}", page.len());
    assert!(page.contains("clumio_exporter_build_info"));
    exporter.scrape().await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_that_is_refused_has_no_body() {
    let api = Api::resting().await;
    let server = Server::start(&api, &users(&[("ann", "right")])).await;
    let refused =
        answer_to(&server.exporter, "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(refused.contains("content-length: 7\r\n"), "that of GET: {refused}");
    assert!(refused.ends_with("\r\n\r\n"), "{refused}");
    server.exporter.stop().await;
}
