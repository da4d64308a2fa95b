//! What every test here needs: a simulated API on a port, a configured exporter that follows it, and waiting.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Simulator};
use reqwest::{Response, redirect};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::page::Page;
use crate::process::{Ended, Process, TOKEN, binary};

/// How long anything is waited for before the test gives up; only a broken exporter takes this long.
pub const DEADLINE: Duration = Duration::from_mins(5);

/// How often it is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(100);

/// The name of an exporter's account, where a test needs one only.
pub const ACCOUNT: &str = "prod";

/// Polls as often as possible, and holds no counter back: for tests that wait for polls.
pub const FAST: &str = r#"
poll.interval = "1s"
poll.counter_hold = "0s"
poll.requests_per_second = 0
poll.request_timeout = "2s"
"#;

/// A simulated API that listens.
pub struct Api {
    pub simulator: Simulator,
    address: SocketAddr,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

/// A folder with a config file and token files.
pub struct Config {
    folder: TempDir,
    text: String,
}

/// The daemon, serving.
pub struct Exporter {
    pub process: Process,
    pub config: Config,
    pub address: SocketAddr,
    http: reqwest::Client,
}

/// Looks again and again until there is something to be had.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain until {what}");
        sleep(LOOK).await;
    }
}

/// A client that follows nothing, decompresses nothing, and asks no proxy.
pub fn http() -> reqwest::Client {
    // Only the first call in a process can succeed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().no_gzip().redirect(redirect::Policy::none());
    let client = client.timeout(Duration::from_secs(10));
    client.build().expect("the client must be built")
}

/// An address of this machine at which nobody listens.
pub async fn unreachable() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port must be had");
    listener.local_addr().expect("it must have an address")
}

// === impl Api ===

impl Api {
    /// The simulated API that `options` describe, with the token of the tests.
    pub async fn start(options: Options) -> Self {
        let simulator = Simulator::new(Options { token: TOKEN.to_owned(), ..options });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port must be had");
        let address = listener.local_addr().expect("it must have an address");
        let mut api = Self { simulator, address, serving: None };
        api.serve(listener);
        api
    }

    /// An account in which nothing changes, and nothing is old enough to leave the window.
    pub async fn resting() -> Self {
        let history = Duration::from_hours(12);
        let api = Self::start(Options { history, tasks_per_day: 2_000, ..Options::default() }).await;
        api.simulator.stand_still(api.simulator.now());
        api
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens at its address again.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the API's port must be free");
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let served = self.simulator.clone().serve(listener, stop.clone().cancelled_owned());
        let task = tokio::spawn(async { served.await.expect("the simulator must serve") });
        self.serving = Some((stop, task));
    }

    /// Closes its port and every connection.
    pub async fn down(&mut self) {
        if let Some((stop, task)) = self.serving.take() {
            stop.cancel();
            task.await.expect("the simulator must stop");
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.serving {
            stop.cancel();
        }
    }
}

// === impl Config ===

impl Config {
    /// A config file of these keys, which listens at a free port.
    pub fn new(keys: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let text = format!("web.listen_address = \"127.0.0.1:0\"\nlog.level = \"trace\"\n{keys}\n");
        Self { folder, text }
    }

    /// A config file of these keys and an account that polls `api`.
    pub fn following(api: &Api, keys: &str) -> Self {
        Self::new(keys).account(ACCOUNT, &api.url(), TOKEN)
    }

    /// The same with one account more, whose token is in a file of its own.
    pub fn account(mut self, name: &str, url: &str, token: &str) -> Self {
        self.add_account(name, url, token);
        self
    }

    /// Adds an account, whose token is in a file of its own.
    pub fn add_account(&mut self, name: &str, url: &str, token: &str) {
        self.write_token(name, token);
        let file = self.token_file(name);
        self.add_account_with(name, url, &file);
    }

    /// The same with one account more, whose token is in this file.
    pub fn account_with(mut self, name: &str, url: &str, token_file: &Path) -> Self {
        self.add_account_with(name, url, token_file);
        self
    }

    fn add_account_with(&mut self, name: &str, url: &str, token_file: &Path) {
        let file = token_file.display();
        let account = format!("name = \"{name}\"\nbase_url = \"{url}\"\ntoken_file = \"{file}\"\n");
        write!(self.text, "[[accounts]]\n{account}").expect("writing to memory must not fail");
    }

    /// Takes an account out.
    pub fn remove_account(&mut self, name: &str) {
        let blocks = self.text.split("[[accounts]]\n").map(str::to_owned).collect::<Vec<_>>();
        let own = format!("name = \"{name}\"\n");
        let stay: Vec<_> =
            blocks.iter().filter(|block| !block.starts_with(&own)).map(String::as_str).collect();
        assert!(stay.len() < blocks.len(), "{name} must be there");
        self.text = stay.join("[[accounts]]\n");
    }

    /// Writes something else in the place of some text.
    pub fn replace(&mut self, text: &str, by: &str) {
        assert!(self.text.contains(text), "{text} must be in the config");
        self.text = self.text.replace(text, by);
    }

    /// The same with an account that the API refuses, and one whose API is not there.
    pub async fn with_accounts_that_fail(self, api: &Api) -> Self {
        let nowhere = format!("http://{}", unreachable().await);
        self.account("refused", &api.url(), "another-token").account("unreachable", &nowhere, TOKEN)
    }

    pub fn write_token(&self, account: &str, token: &str) {
        std::fs::write(self.token_file(account), token).expect("the token must be written");
    }

    /// The config file, written anew.
    pub fn file(&self) -> PathBuf {
        let file = self.path().join("clumio-exporter.toml");
        std::fs::write(&file, &self.text).expect("the config must be written");
        file
    }

    /// The command that starts the daemon with this config.
    pub fn command(&self) -> Command {
        let file = self.file();
        binary(&["--config.file", file.to_str().expect("the path must be text")])
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command to its end.
    pub async fn run(&self, command: &str) -> Ended {
        let file = self.file();
        let file = file.to_str().expect("the path must be text");
        Process::start(binary(&[command, "--config.file", file])).ended(DEADLINE).await
    }

    pub fn token_file(&self, account: &str) -> PathBuf {
        self.path().join(format!("{account}.token"))
    }
}

// === impl Exporter ===

impl Exporter {
    /// Starts the daemon, and waits until it serves.
    pub async fn start(config: Config) -> Self {
        let command = config.command();
        Self::start_by(config, command).await
    }

    /// The daemon of this config, as a command starts it.
    pub async fn start_by(config: Config, command: Command) -> Self {
        let process = Process::start(command);
        let address = serving(&process).await;
        Self::at(process, config, address)
    }

    /// A daemon that serves at this address.
    pub fn at(process: Process, config: Config, address: SocketAddr) -> Self {
        Self { process, config, address, http: http() }
    }

    /// The daemon that follows one API.
    pub async fn following(api: &Api, keys: &str) -> Self {
        Self::start(Config::following(api, keys)).await
    }

    pub async fn get(&self, path: &str) -> Response {
        let answer = self.http.get(format!("http://{}{path}", self.address)).send().await;
        answer.unwrap_or_else(|error| panic!("{path} must be answered: {error}"))
    }

    pub async fn head(&self, path: &str) -> Response {
        let answer = self.http.head(format!("http://{}{path}", self.address)).send().await;
        answer.unwrap_or_else(|error| panic!("HEAD {path} must be answered: {error}"))
    }

    pub async fn get_gzip(&self, path: &str) -> Response {
        let request =
            self.http.get(format!("http://{}{path}", self.address)).header("accept-encoding", "gzip");
        request.send().await.unwrap_or_else(|error| panic!("{path} must be answered: {error}"))
    }

    /// Asks for a reload, with these headers; gives the status and the text of the answer.
    pub async fn post_reload(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = self.http.post(format!("http://{}/-/reload", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("it must answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("the answer must be whole"))
    }

    /// Writes the config file anew, sends SIGHUP, and waits until it was read; gives whether it is in use.
    pub async fn reload(&self) -> bool {
        const READ: [&str; 2] = ["the configuration was read again", "the configuration was refused"];
        let read = |log: &str| READ.map(|words| log.matches(words).count());
        self.config.file();
        let before = read(&self.process.stderr());
        self.process.signal("HUP");
        let after = self.process.says("it reloads", |log| Some(read(log)).filter(|it| *it != before)).await;
        assert_eq!(after.iter().sum::<usize>(), before.iter().sum::<usize>() + 1, "it reloads once");
        after[0] > before[0]
    }

    pub async fn scrape(&self) -> Page {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("the page must be whole");
        assert!(!text.contains(TOKEN), "the token is on the page");
        Page::read(text)
    }

    /// Scrapes until `is_it`.
    pub async fn until(&self, what: &str, is_it: impl Fn(&Page) -> bool) -> Page {
        eventually(what, DEADLINE, async || Some(self.scrape().await).filter(|page| is_it(page))).await
    }

    /// Waits until so many more polls of the account have succeeded that `polls` of them began after this call: one
    /// may be under way, and the page may be a second old, in which another one can end.
    pub async fn polls(&self, account: &str, polls: u32) -> Page {
        let least = self.scrape().await.successes(account) + f64::from(polls) + 2.0;
        self.until("polls succeed", |page| page.successes(account) >= least).await
    }

    /// Has it stop, and waits until it did, well.
    pub async fn stop(self) -> Ended {
        self.process.signal("TERM");
        let ended = self.process.ended(DEADLINE).await;
        assert!(ended.status.success(), "{ended:?}");
        ended
    }
}

/// A connection from another address of this machine.
pub async fn connect_from(client: [u8; 4], server: SocketAddr) -> TcpStream {
    connect_by(TcpSocket::new_v4().expect("there must be a socket"), client, server).await
}

/// The same, by a socket with options.
pub async fn connect_by(socket: TcpSocket, client: [u8; 4], server: SocketAddr) -> TcpStream {
    socket.bind(SocketAddr::from((client, 0))).expect("all of 127.0.0.0/8 must be this machine");
    let connected = tokio::time::timeout(DEADLINE, socket.connect(server)).await;
    connected.expect("it must be accepted in time").expect("it must be accepted")
}

/// Where the process serves, as it says in its log.
pub async fn serving(process: &Process) -> SocketAddr {
    let address = |log: &str| {
        let line = log.lines().find(|line| line.contains("serving") && line.contains("address="))?;
        let address = line.split("address=").nth(1)?.split_whitespace().next()?;
        address.trim_matches('"').parse().ok()
    };
    process.says("it serves", address).await
}
