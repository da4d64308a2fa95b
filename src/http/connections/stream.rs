//! The bytes of a connection, whose writes fail when its client does not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::super::registry::RegisteredConnection;

/// How long a response may wait for a client that does not read.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

/// A connection, plain or in TLS. While its client does not read, it is not read either: its requests would be answered, and
/// the responses kept.
pub(super) struct Stream {
    bytes: Box<dyn Bytes>,
    connection: Arc<RegisteredConnection>,
    /// When the write that waits fails; none while no write waits.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Whether a read waits for the end of the write.
    is_read_waiting: bool,
}

/// A stream of bytes in both directions.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

// === impl Stream ===

impl Stream {
    pub(super) fn new(bytes: Box<dyn Bytes>, connection: Arc<RegisteredConnection>) -> Self {
        Self { bytes, connection, write_deadline: None, is_read_waiting: false }
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.connection.note_progress();
        }
    }

    /// The result of a write; an error if it has waited for too long.
    fn by_deadline<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.write_deadline = None;
            if std::mem::take(&mut self.is_read_waiting) {
                cx.waker().wake_by_ref();
            }
            return write;
        }
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.write_deadline.is_some() {
            // The write wakes the task.
            self.is_read_waiting = true;
            return Poll::Pending;
        }
        Pin::new(&mut self.bytes).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.bytes).poll_write(cx, bytes);
        self.note_written(&written);
        self.by_deadline(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.bytes).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.note_flush();
        }
        self.by_deadline(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.bytes).poll_shutdown(cx);
        self.by_deadline(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.bytes).poll_write_vectored(cx, slices);
        self.note_written(&written);
        self.by_deadline(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }
}

// === impl Bytes ===

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}
