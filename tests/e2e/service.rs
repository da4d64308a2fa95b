//! What a service manager is told, over a real socket: readiness, reloads, the end, and that the process is well.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use clumio_exporter::simulator::Options;
use tempfile::TempDir;

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST};
use crate::process::{Process, binary};

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("the socket must be bound");
        socket.set_read_timeout(Some(DEADLINE)).expect("the timeout must be set");
        Self { socket, path, _folder: folder }
    }

    /// The daemon of this config, as a command that knows the manager.
    fn command(&self, config: &Config) -> Command {
        let file = config.file();
        let mut command = binary(&["--config.file", file.to_str().expect("the path must be text")]);
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the manager must be told something");
        String::from_utf8(message[..length].to_vec()).expect("the message must be text")
    }

    /// Everything that was said and not heard yet.
    fn heard(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("the socket must be set");
        let mut messages = Vec::new();
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            messages.push(String::from_utf8_lossy(&message[..length]).into_owned());
        }
        messages
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_is_told_of_the_start_each_reload_and_the_end() {
    let api = Api::start(Options::scripted()).await;
    let manager = Manager::new();
    let config = Config::following(&api, "state.directory = \"state\"");
    let command = manager.command(&config);
    let mut exporter = Exporter::start_by(config, command).await;
    assert_eq!(manager.hears(), "READY=1\n");
    assert!(exporter.reload().await);
    exporter.config.replace("log.level = \"trace\"", "log.level = \"loud\"");
    assert!(!exporter.reload().await);
    for _ in ["taken", "refused"] {
        let reloading = manager.hears();
        let since =
            reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|it| it.strip_suffix('\n'));
        assert!(since.is_some_and(|it| it.parse::<u64>().is_ok_and(|it| it > 0)), "{reloading}");
        assert_eq!(manager.hears(), "READY=1\n");
    }
    exporter.stop().await;
    assert_eq!(manager.heard(), ["STOPPING=1\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_only_when_the_port_answers() {
    let api = Api::start(Options::scripted()).await;
    let manager = Manager::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port must be had");
    let address = listener.local_addr().expect("it must have an address");
    let mut config = Config::following(&api, "");
    config.replace("127.0.0.1:0", &address.to_string());

    let refused = Process::start(manager.command(&config)).ended(DEADLINE).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(manager.heard(), [""; 0]);

    drop(listener);
    let manager = Manager::new();
    let _process = Process::start(manager.command(&config));
    assert_eq!(manager.hears(), "READY=1\n");
    TcpStream::connect(address).expect("what is ready must take connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_is_fed_by_the_process_that_it_is_meant_for() {
    let api = Api::start(Options::scripted()).await;
    let manager = Manager::new();
    let config = Config::following(&api, FAST);
    let mut command = manager.command(&config);
    command.env("WATCHDOG_USEC", "200000");
    let exporter = Exporter::start_by(config, command).await;
    let signs = (0..6).map(|_| manager.hears()).collect::<Vec<_>>();
    assert_eq!(signs.iter().filter(|sign| *sign == "WATCHDOG=1\n").count(), 5, "{signs:?}");
    exporter.stop().await;

    let manager = Manager::new();
    let config = Config::following(&api, FAST);
    let mut command = manager.command(&config);
    // Process 1 is the manager itself.
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let exporter = Exporter::start_by(config, command).await;
    exporter.polls(ACCOUNT, 1).await;
    exporter.stop().await;
    assert_eq!(manager.heard(), ["READY=1\n", "STOPPING=1\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_gone_is_no_reason_to_end() {
    let api = Api::start(Options::scripted()).await;
    let manager = Manager::new();
    let config = Config::following(&api, FAST);
    let command = manager.command(&config);
    let exporter = Exporter::start_by(config, command).await;
    assert_eq!(manager.hears(), "READY=1\n");

    drop(manager);
    assert!(exporter.reload().await);
    exporter.polls(ACCOUNT, 1).await;
    let ended = exporter.stop().await;
    assert!(ended.stderr.contains("NOTIFY_SOCKET"), "{ended:?}");
}
