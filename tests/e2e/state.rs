//! State on disk: whatever ends the process, the numbers go on where they were, and nothing counts twice.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options, Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier};
use serde_json::Value;
use tokio::time::sleep;

use crate::exact::filter;
use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually};
use crate::page::{Page, Samples};
use crate::process::{BINARY, Process, binary};
use crate::truth::{COUNTERS, FAMILIES, GAUGES, differences, expected};

/// Longer than the history and the test: here nothing leaves the window.
const WINDOW: Duration = Duration::from_mins(30);

/// How many polls it takes until the numbers settle: the first holds the counters, the second takes in what only two
/// polls in a row prove, the third moves the counters of kinds that were new in the second.
const POLLS_TO_SETTLE: u32 = 3;

/// How often the process is killed in one run, unless the environment asks for more.
const KILLS: u32 = 12;

/// About as long as the process takes until it serves.
const STARTS_WITHIN: Duration = Duration::from_millis(60);

/// The probability of each fault while the process is killed again and again.
const FAULTS: f64 = 0.02;

/// Keeps state, and polls as often as possible.
fn keys() -> String {
    let window = WINDOW.as_secs();
    format!(
        "{FAST}poll.window = \"{window}s\"\npoll.lookback = \"{window}s\"\npoll.overlap = \"6m\"\n\
         state.directory = \"state\"\n"
    )
}

/// An account of a task every other second, most of which run for seconds to minutes.
pub fn busy(seed: u64) -> Options {
    Options {
        seed,
        history: Duration::from_mins(8),
        tasks_per_day: 50_000,
        slow_for: Duration::from_millis(300),
        late_by: Duration::from_secs(20),
        ..Options::default()
    }
}

fn state_file(config: &Config) -> PathBuf {
    config.path().join("state").join(format!("{ACCOUNT}.json"))
}

/// What is in the state file; none if there is none.
pub fn state(config: &Config) -> Option<Value> {
    let text = fs::read(state_file(config)).ok()?;
    Some(serde_json::from_slice(&text).expect("a state file must be whole at any instant"))
}

pub fn baseline(config: &Config) -> Timestamp {
    let state = state(config).expect("there must be a state");
    instant(&state["ledger"]["baseline"]).expect("a state must have a baseline")
}

pub fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The files beside the state that are neither it, nor one that is being written, nor the lock.
pub fn set_aside(config: &Config) -> Vec<String> {
    let entries = fs::read_dir(config.path().join("state")).expect("the directory must be listed");
    let names = entries.map(|entry| entry.expect("an entry must be read").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let own = ["lock", &format!("{ACCOUNT}.json"), &format!("{ACCOUNT}.json.new")].map(str::to_owned);
    names.filter(|name| !own.contains(name)).collect()
}

/// Checks that no counter is lower than it was, and notes what they are.
fn check_rising(page: &Page, counters: &mut Samples) {
    for (series, before) in counters.iter() {
        let now = page.get(series);
        assert!(now >= Some(*before), "{series} fell from {before} to {now:?}");
    }
    *counters = page.families(&COUNTERS);
}

/// Lets the world stand still, and checks every number against it.
pub async fn check_exact(api: &Api, exporter: &Exporter, window: Duration) {
    api.simulator.stand_still(api.simulator.now());
    let published = exporter.polls(ACCOUNT, POLLS_TO_SETTLE).await.families(&FAMILIES);
    let at = api.simulator.now();
    let truth = expected(ACCOUNT, &api.simulator.tasks(at), baseline(&exporter.config), at, window);
    let differences = differences(&truth, &published);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Ends the process at once, as a power cut would.
pub fn kill(exporter: Exporter) -> Config {
    exporter.config
}

/// Starts the process, and kills it after so long, when it may not serve yet; gives whether it did not.
async fn kill_as_it_starts(config: &Config, after: Duration) -> bool {
    let process = Process::start(config.command());
    sleep(after).await;
    let serves = process.stderr().contains("serving");
    drop(process);
    !serves
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_serves_the_last_numbers_and_counts_what_ended_meanwhile_once() {
    let mut api = Api::start(busy(401)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 3).await;
    api.down().await;
    let last = exporter.until("polls fail", |page| !page.is_up(ACCOUNT)).await;
    assert!(last.families(&COUNTERS).values().sum::<f64>() > 0.0, "something must be counted");
    let Exporter { process, config, .. } = exporter;
    process.signal("TERM");
    assert!(process.ended(DEADLINE).await.status.success());

    let exporter = Exporter::start(config).await;
    let page = exporter.scrape().await;
    assert_eq!(page.families(&FAMILIES), last.families(&FAMILIES));
    assert!(!page.is_up(ACCOUNT), "no poll has succeeded yet");
    let age = "clumio_exporter_last_success_timestamp_seconds";
    // The file was written a moment before the poll that it is of had ended.
    let at_least = last.of(age, ACCOUNT).expect("a poll must have succeeded") - 1.0;
    assert!(page.of(age, ACCOUNT).is_some_and(|at| at >= at_least), "their age must tell");

    api.up().await;
    exporter.until("it polls again", |page| page.is_up(ACCOUNT)).await;
    check_exact(&api, &exporter, WINDOW).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_lose_nothing() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("KILLS must be a number"));
    let seed = std::env::var("KILLS_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("KILLS={kills} KILLS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let api = Api::start(busy(seed)).await;
    let mut config = Config::following(&api, &keys());
    let mut counters = Samples::new();

    let exporter = Exporter::start(config).await;
    exporter.until("the initial sync succeeds", |page| page.is_up(ACCOUNT)).await;
    let counted_from = baseline(&exporter.config);
    let faults = Fault::ALL.into_iter().fold(Faults::none(), |faults, fault| faults.with(fault, FAULTS));
    api.simulator.set_faults(faults);
    config = kill(exporter);
    let mut early = u32::from(kill_as_it_starts(&config, Duration::ZERO).await);
    for n in 0..kills {
        if n % 3 == 0 {
            // Mostly early: on a fast machine all of it is over in milliseconds.
            let after = STARTS_WITHIN.mul_f64(random.f64().powi(4));
            early += u32::from(kill_as_it_starts(&config, after).await);
        }
        let exporter = Exporter::start(config).await;
        let end = tokio::time::Instant::now() + Duration::from_millis(random.u64(0..3_000));
        while tokio::time::Instant::now() < end {
            check_rising(&exporter.scrape().await, &mut counters);
            sleep(Duration::from_millis(random.u64(0..200))).await;
        }
        config = kill(exporter);
        assert_eq!(baseline(&config), counted_from, "the state must go on");
    }

    api.simulator.set_faults(Faults::none());
    let exporter = Exporter::start(config).await;
    check_exact(&api, &exporter, WINDOW).await;
    check_rising(&exporter.scrape().await, &mut counters);
    let leftovers = set_aside(&exporter.config);
    assert!(leftovers.is_empty(), "{leftovers:?}");
    exporter.stop().await;
    assert!(early > 0, "none was killed before it served");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_sync_that_was_killed_goes_on_at_its_last_slice() {
    // Several slices also by day, when a third as many tasks are created as at night.
    let options = Options { tasks_per_day: 100_000, history: Duration::from_hours(4), ..busy(402) };
    let api = Api::start(options).await;
    let keys = format!(
        "{FAST}poll.requests_per_second = 20\npoll.lookback = \"24h\"\npoll.audit_interval = \"0s\"\n\
         state.directory = \"state\"\n"
    );
    let keys = keys.replace("poll.requests_per_second = 0\n", "");
    let exporter = Exporter::following(&api, &keys).await;
    let unread = |config: &Config| Some(state(config)?["first_pass"].as_array()?.len());
    let slices = eventually("a slice is read", DEADLINE, async || {
        let left = unread(&exporter.config)?;
        (left > 1).then_some(left)
    })
    .await;
    eventually("more are read", DEADLINE, async || (unread(&exporter.config)? < slices).then_some(())).await;
    let config = kill(exporter);
    let counted_from = baseline(&config);
    let next = state(&config).and_then(|state| instant(&state["first_pass"].as_array()?.last()?[0]));
    let next = next.expect("a slice must be left");
    drop(api.simulator.take_requests());
    let exporter = Exporter::start(config).await;
    exporter.until("the initial sync succeeds", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(baseline(&exporter.config), counted_from);
    let requests = api.simulator.requests();
    let filters = requests.recent.iter().filter_map(|exchange| serde_json::from_str(&filter(exchange)).ok());
    let ranges: Vec<_> =
        filters.filter_map(|filter: Value| instant(&filter["created_timestamp"]["$gte"])).collect();
    assert!(!ranges.is_empty(), "slices must be read");
    let again: Vec<_> = ranges.iter().filter(|from| **from < earlier(next, Duration::from_secs(3))).collect();
    assert!(again.is_empty(), "slices before {next} are read again: {again:?}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_not_believed_is_set_aside_and_the_account_starts_cold() {
    let api = Api::start(busy(403)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 2).await;
    let mut config = kill(exporter);
    let whole = fs::read(state_file(&config)).expect("there must be a state");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let cases: [(&str, &str, Vec<u8>); 5] = [
        ("torn", "damaged", whole[..whole.len() / 2].to_vec()),
        ("zeros", "damaged", vec![0; whole.len()]),
        ("a flipped bit", "damaged", flipped),
        ("empty", "damaged", Vec::new()),
        ("something else", "damaged", b"{\"sha256\":\"".to_vec()),
    ];
    for (what, word, text) in cases {
        let before = set_aside(&config).len();
        fs::write(state_file(&config), &text).expect("the file must be written");
        let exporter = Exporter::start(config).await;
        assert!(exporter.process.stderr().contains("the state is not used"), "{what}");
        exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
        let aside = set_aside(&exporter.config);
        assert_eq!(aside.len(), before + 1, "{what}: {aside:?}");
        assert!(aside.iter().all(|name| name.starts_with(&format!("{ACCOUNT}.json.{word}-"))), "{aside:?}");
        config = kill(exporter);
    }
    fs::write(state_file(&config), whole).expect("the file must be written");
    let other = Api::start(busy(404)).await;
    config.replace(&api.url(), &other.url());
    let exporter = Exporter::start(config).await;
    exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
    assert!(set_aside(&exporter.config).iter().any(|name| name.contains(".foreign-")));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_directory_refuses_to_start() {
    let api = Api::start(busy(405)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    let file = exporter.config.file();
    let second = binary(&["--config.file", file.to_str().expect("the path must be text")]);
    let ended = Process::start(second).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("another clumio-exporter uses this state directory"), "{ended:?}");
    let config = kill(exporter);
    Exporter::start(config).await.stop().await;
}

/// The exporter with a small file system of its own in the place of the state directory, mounted with these options.
/// Gives where that is seen from outside.
async fn on_small_disk(config: Config, options: &str) -> (Exporter, PathBuf) {
    let directory = config.path().join("state");
    fs::create_dir(&directory).expect("it must be made");
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && exec \"$3\" --config.file \"$4\"";
    command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh", options]);
    command.args([directory.clone(), BINARY.into(), config.file()]);
    let exporter = Exporter::start_by(config, command).await;
    let inside = directory.strip_prefix("/").expect("the path must be absolute");
    let seen = PathBuf::from(format!("/proc/{}/root", exporter.process.id())).join(inside);
    (exporter, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_gauges_go_on_and_the_counters_wait() {
    let api = Api::start(Options::scripted()).await;
    let config = Config::following(&api, &keys());
    let now = api.simulator.now();
    api.simulator.add(Task::new(1, earlier(now, Duration::from_mins(5))));
    let (exporter, disk) = on_small_disk(config, "size=128k").await;
    exporter.polls(ACCOUNT, 3).await;
    fs::write(disk.join("filler"), vec![1; 1 << 20]).expect_err("the disk must be full");

    exporter.until("polls fail to be kept", |page| page.failures(ACCOUNT, "state") > 0.0).await;
    let counters = exporter.scrape().await.families(&COUNTERS);
    let now = api.simulator.now();
    api.simulator.add(Task::new(1, earlier(now, Duration::from_mins(5))).ended(now, Outcome::Failed));
    let page =
        exporter.until("the gauge moves", |page| page.counted("clumio_tasks").contains("failed")).await;
    assert!(!page.is_up(ACCOUNT));
    assert_eq!(page.families(&COUNTERS), counters, "they must not fall if it ends now");

    fs::remove_file(disk.join("filler")).expect("the filler must be removed");
    exporter.until("it is kept again", |page| page.is_up(ACCOUNT)).await;
    let page = exporter
        .until("the counter moves", |page| page.counted("clumio_tasks_ended_total").contains("failed"));
    assert!(page.await.counted("clumio_tasks_ended_total").ends_with(" 1"));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_read_only_disk_it_serves_and_says_that_nothing_is_kept() {
    let api = Api::start(busy(406)).await;
    let config = Config::following(&api, &keys());
    let (exporter, disk) = on_small_disk(config, "ro").await;
    let page = exporter.until("polls fail to be kept", |page| page.failures(ACCOUNT, "state") >= 2.0).await;
    assert!(!page.is_up(ACCOUNT));
    assert!(page.families(&GAUGES).values().sum::<f64>() > 0.0, "the gauges go on");
    assert!(page.families(&COUNTERS).values().all(|count| *count < 1.0), "the counters wait");
    assert!(!disk.join("lock").exists());
    let log = exporter.process.stderr();
    assert!(log.contains("cannot write the lock file of the state directory"), "{log}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_set_aside_yet_is_not_written_over() {
    let api = Api::start(busy(407)).await;
    let config = Config::following(&api, &keys());
    let directory = config.path().join("state");
    fs::create_dir(&directory).expect("it must be made");
    fs::write(state_file(&config), "of a release that is not known yet").expect("the file must be written");
    let mount =
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\" --config.file \"$3\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
    command.args([directory.clone(), BINARY.into(), config.file()]);
    let exporter = Exporter::start_by(config, command).await;
    exporter.until("nothing is kept", |page| page.failures(ACCOUNT, "state") >= 2.0).await;

    let pid = exporter.process.id().to_string();
    let mut writable = Command::new("nsenter");
    writable.args(["--target", &pid, "--user", "--mount", "mount", "-o", "remount,bind,rw"]).arg(&directory);
    assert!(writable.status().expect("nsenter must start").success());
    exporter.until("it is kept", |page| page.is_up(ACCOUNT)).await;
    let aside = set_aside(&exporter.config);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].starts_with(&format!("{ACCOUNT}.json.damaged-")), "{aside:?}");
    let text = fs::read_to_string(directory.join(&aside[0])).expect("it must be there");
    assert_eq!(text, "of a release that is not known yet");
    exporter.stop().await;
}
