//! A process of the binary under test: what it prints, how it is told to stop, and that it never shows a token.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::{DEADLINE, eventually};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_clumio-exporter");

/// The token of every simulated API here; no process may ever print it.
pub const TOKEN: &str = "s3cret-of-the-end-to-end-tests";

/// A process that runs. Dropped, it is killed.
pub struct Process {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// What a process has written to one of its streams so far.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Whether it is not read.
    is_stalled: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// The binary with these arguments, and with nothing in the environment that configures it.
pub fn binary(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args);
    command
}

// === impl Process ===

impl Process {
    pub fn start(mut command: Command) -> Self {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLUMIO_"))
        {
            command.env_remove(name);
        }
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} must start: {error}"));
        let stdout = Stream::of(child.stdout.take().expect("standard output must be piped"));
        let stderr = Stream::of(child.stderr.take().expect("standard error must be piped"));
        Self { child, stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for what `find` finds in the standard error.
    pub async fn says<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, DEADLINE, async || find(&self.stderr())).await
    }

    /// Does not read the standard error any more, until the end.
    pub fn stall_log(&self) {
        self.stderr.is_stalled.store(true, Ordering::Relaxed);
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end, and checks that no token was shown.
    pub async fn ended(mut self, within: Duration) -> Ended {
        let exited = async || self.child.try_wait().expect("the process must be waited for");
        let status = eventually("the process ends", within, exited).await;
        self.stdout.end();
        self.stderr.end();
        Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stdout.end();
        self.stderr.end();
        if std::thread::panicking() {
            return;
        }
        for stream in [&self.stdout, &self.stderr] {
            let text = stream.text();
            assert!(!text.contains(TOKEN), "the token was shown:\n{text}");
            assert!(!text.contains("panicked") && !text.contains("message=panic"), "it panicked:\n{text}");
        }
    }
}

/// Sends a signal, by its name, to a process of this machine.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{name} must be sent to {process}");
}

// === impl Stream ===

impl Stream {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let is_stalled = Arc::<AtomicBool>::default();
        let (sink, stalled) = (Arc::clone(&bytes), Arc::clone(&is_stalled));
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = source.read(&mut chunk) {
                sink.lock().expect("no reader must panic").extend_from_slice(&chunk[..read]);
                while stalled.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self { bytes, is_stalled, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader must panic")).into_owned()
    }

    /// Reads what is left of the stream of a process that has ended.
    fn end(&mut self) {
        self.is_stalled.store(false, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader must panic");
        }
    }
}
