//! The exporter speaks HTTP/1.1 only.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{ACCOUNT, Api, DEADLINE, Exporter, FAST};
use crate::web_config::{Server, TLS};

/// The connection preface of HTTP/2 with an empty SETTINGS frame (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn connect(server: &Server, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = server.authority.client_config(&[&TLS13, &TLS12], None);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("the name must be valid");
    let stream = TcpStream::connect(server.exporter.address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Asserts that the preface of HTTP/2 is answered by an error of HTTP/1.1 or a closed connection.
async fn assert_refused(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    stream.write_all(PREFACE).await.expect("the preface must be sent");
    let mut response = Vec::new();
    // A server that closes a connection with unread bytes resets it.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut response)).await.expect("it must be closed");
    let response = String::from_utf8_lossy(&response);
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 400 "), "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge_is_refused() {
    let api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    assert_refused(TcpStream::connect(exporter.address).await.expect("it must be accepted")).await;
    exporter.polls(ACCOUNT, 1).await;
    exporter.stop().await;

    let server = Server::start(&api, TLS).await;
    assert_refused(connect(&server, &[]).await.expect("the handshake must succeed")).await;
    assert_eq!(server.status(&server.client(), "/metrics").await, Some(200));
    server.exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_negotiates_http1_whatever_the_web_config_says_of_http2() {
    let api = Api::resting().await;
    for http2 in ["", "http_server_config:\n  http2: true\n"] {
        let server = Server::start(&api, &format!("{TLS}{http2}")).await;
        let stream = connect(&server, &["h2", "http/1.1"]).await.expect("the handshake must succeed");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        connect(&server, &["h2"]).await.expect_err("no protocol is in common");
        server.exporter.stop().await;
    }
}
