//! State on disk: whatever ends the process, the numbers continue where they were, and nothing counts twice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options, Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::time::sleep;

use crate::exact::filter;
use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually};
use crate::page::{Page, Samples};
use crate::process::{BINARY, Process, binary};
use crate::truth::{COUNTERS, FAMILIES, GAUGES, differences, expected};

/// Longer than the history and the test: here nothing leaves the window.
/// The default of poll.overlap: an initial sync resumes as much earlier.
const OVERLAP: Duration = Duration::from_mins(10);

const WINDOW: Duration = Duration::from_mins(30);

/// How many polls it takes until the numbers settle: the first of a process holds the counters, and so does the first
/// that reads a new series.
const POLLS_TO_SETTLE: u32 = 3;

/// How often the process is killed in one run, unless the environment asks for more.
const KILLS: u32 = 12;

/// About as long as the process takes until it serves.
const STARTS_WITHIN: Duration = Duration::from_millis(60);

/// The probability of each fault while the process is killed again and again.
const FAULTS: f64 = 0.02;

/// The database in the state directory.
pub const DATABASE: &str = "replica.db";

/// What the log says of a database that is replaced.
const REPLACED: &str = "the database cannot be used: it was renamed";

const RECOVERED: &str = "clumio_exporter_state_recovered_timestamp_seconds";

/// Stores state, and polls as often as possible.
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
        tasks_per_day: tasks_per_day(Timestamp::now()),
        slow_for: Duration::from_millis(300),
        late_by: Duration::from_secs(20),
        ..Options::default()
    }
}

/// From 21:00 to 05:00 UTC a generated world creates more than three times as many tasks as by day.
pub fn tasks_per_day(now: Timestamp) -> u32 {
    let hour = now.as_second().div_euclid(3_600).rem_euclid(24);
    if (5..21).contains(&hour) { 50_000 } else { 15_000 }
}

/// The state directory.
pub fn directory(config: &Config) -> PathBuf {
    config.path().join("state")
}

pub fn database(config: &Config) -> PathBuf {
    directory(config).join(DATABASE)
}

/// What the database knows of the account besides its rows; none before the initial sync begins.
pub fn state(config: &Config) -> Option<Value> {
    // A connection that could write would check-point the WAL, which a killed process leaves behind.
    let db = Connection::open_with_flags(database(config), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let query = "SELECT state FROM account WHERE name = ?1";
    let state: String = db.query_row(query, [ACCOUNT], |row| row.get(0)).ok()?;
    serde_json::from_str(&state).expect("the state must be JSON")
}

pub fn baseline(config: &Config) -> Timestamp {
    let state = state(config).expect("there must be a state");
    instant(&state["marks"]["baseline"]).expect("a state must have a baseline")
}

pub fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The files of the state directory that are neither of the database nor the lock.
pub fn set_aside(config: &Config) -> Vec<String> {
    let entries = fs::read_dir(directory(config)).expect("the directory must be listed");
    let names = entries.map(|entry| entry.expect("an entry must be read").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let own = ["lock".to_owned(), DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm")];
    let mut names: Vec<_> = names.filter(|name| !own.contains(name)).collect();
    names.sort();
    names
}

/// Checks that no counter is lower than it was, and notes what they are.
fn check_rising(page: &Page, counters: &mut Samples) {
    for (series, before) in counters.iter() {
        let now = page.get(series);
        assert!(now >= Some(*before), "{series} fell from {before} to {now:?}");
    }
    *counters = page.families(&COUNTERS);
}

/// Stops all changes of the simulated account, and checks every number against it.
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
    // A poll that changes nothing writes nothing, so T is that of the poll before, and no time is later than T.
    let is_time =
        |series: &str| series.split('{').next().is_some_and(|it| it.ends_with("_timestamp_seconds"));
    let mut changed = differences(&last.families(&FAMILIES), &page.families(&FAMILIES));
    changed.retain(|series| !is_time(series));
    assert_eq!(changed, [""; 0]);
    assert!(!page.is_up(ACCOUNT), "no poll has succeeded yet");
    let age = "clumio_exporter_last_success_timestamp_seconds";
    // A poll that changes nothing writes nothing.
    let at_least = last.of(age, ACCOUNT).expect("a poll must have succeeded") - 10.0;
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
        // A `Date` that is minutes behind is taken for the time, and lowers it. A cold start would begin later.
        assert!(baseline(&config) <= counted_from, "the state must continue");
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
async fn an_initial_sync_that_was_killed_resumes_at_its_last_slice() {
    // Several slices also by day, when a third as many tasks are created as at night.
    let options = Options { tasks_per_day: 100_000, history: Duration::from_hours(4), ..busy(402) };
    let api = Api::start(options).await;
    let keys = format!(
        "{FAST}poll.requests_per_second = 20\npoll.lookback = \"24h\"\npoll.audit_interval = \"0s\"\n\
         state.directory = \"state\"\nstate.retention = \"24h\"\n"
    );
    // With the lookback as the retention, no history is read, whose slices are older.
    let keys = keys.replace("poll.requests_per_second = 0\n", "");
    let exporter = Exporter::following(&api, &keys).await;
    let synced = |config: &Config| instant(&state(config)?["sync_from"]);
    let begin = eventually("it begins", DEADLINE, async || synced(&exporter.config)).await;
    eventually("a slice is read", DEADLINE, async || (synced(&exporter.config)? > begin).then_some(())).await;
    let config = kill(exporter);
    let counted_from = baseline(&config);
    let next = synced(&config).expect("a slice must be missing");
    assert!(next > begin);
    drop(api.simulator.take_requests());
    let exporter = Exporter::start(config).await;
    exporter.until("the initial sync succeeds", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(baseline(&exporter.config), counted_from);
    let requests = api.simulator.requests();
    let filters = requests.recent.iter().filter_map(|exchange| serde_json::from_str(&filter(exchange)).ok());
    let ranges: Vec<_> =
        filters.filter_map(|filter: Value| instant(&filter["created_timestamp"]["$gte"])).collect();
    assert!(!ranges.is_empty(), "slices must be read");
    let again: Vec<_> =
        ranges.iter().filter(|from| **from < earlier(next, OVERLAP + Duration::from_secs(3))).collect();
    assert!(again.is_empty(), "slices before {next} are read again: {again:?}");
    exporter.stop().await;
}

/// Starts the exporter on a database that cannot be used, and checks that it starts cold and reports it.
async fn check_cold_start(what: &str, config: Config) -> Exporter {
    let (before, began) = (set_aside(&config), Timestamp::now());
    let exporter = Exporter::start(config).await;
    let page = exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
    let log = exporter.process.stderr();
    assert!(log.contains(REPLACED), "{what}: {log}");
    assert!(page.get(RECOVERED).is_some(), "{what}");
    assert!(
        baseline(&exporter.config) >= earlier(began, Duration::from_secs(1)),
        "{what}: it counts since then"
    );
    let status = exporter.get("/").await.text().await.expect("the page must be complete");
    assert!(status.contains("The database could not be used and was replaced"), "{what}: {status}");
    let aside: Vec<_> =
        set_aside(&exporter.config).into_iter().filter(|name| !before.contains(name)).collect();
    let renamed = format!("{DATABASE}.recovered-");
    assert!(!aside.is_empty() && aside.iter().all(|name| name.starts_with(&renamed)), "{what}: {aside:?}");
    exporter
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_renamed_and_the_account_starts_cold() {
    let api = Api::start(busy(403)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 2).await;
    let Exporter { process, mut config, .. } = exporter;
    process.signal("TERM");
    assert!(process.ended(DEADLINE).await.status.success());
    let whole = fs::read(database(&config)).expect("there must be a database");
    let edited = |sql: &str| {
        let file = config.path().join("edited.db");
        fs::write(&file, &whole).expect("the copy must be written");
        let db = Connection::open(&file).expect("the copy must open");
        db.execute_batch(sql).expect("the copy must change");
        db.close().expect("the copy must close");
        fs::read(&file).expect("the copy must be read")
    };
    let cases: [(&str, Vec<u8>); 7] = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("zeros", vec![0; whole.len()]),
        ("text", b"not a database, but long enough to be read as the header of one. ".repeat(100)),
        ("of a newer version", edited("PRAGMA user_version = 99")),
        ("of another program", edited("PRAGMA application_id = 7")),
        ("a changed account", edited("UPDATE account SET state = replace(state, '20', '21')")),
        ("a changed counter", edited("UPDATE series SET value = '9'")),
    ];
    for (what, bytes) in cases {
        // The time in the names of renamed files has seconds.
        sleep(Duration::from_secs(1)).await;
        fs::write(database(&config), &bytes).expect("the database must be written");
        let exporter = check_cold_start(what, config).await;
        let renamed = set_aside(&exporter.config).into_iter().rfind(|name| !name.ends_with("-wal"));
        let renamed = renamed.expect("the file must be there");
        let kept = fs::read(directory(&exporter.config).join(renamed)).expect("it must be read");
        assert_eq!(kept.len(), bytes.len(), "{what}");
        let Exporter { process, config: after, .. } = exporter;
        process.signal("TERM");
        assert!(process.ended(DEADLINE).await.status.success(), "{what}");
        config = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_wal_is_not_read_into_the_new_database() {
    let api = Api::start(busy(408)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 2).await;
    let config = kill(exporter);
    let wal = directory(&config).join(format!("{DATABASE}-wal"));
    let bytes = fs::metadata(&wal).expect("a killed process must leave a WAL").len();
    fs::write(database(&config), vec![7; 8_192]).expect("the database must be written");
    fs::write(&wal, vec![7; usize::try_from(bytes).expect("it must fit")]).expect("the WAL must be written");
    check_cold_start("with a WAL", config).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_api_starts_cold_and_is_no_damage() {
    let api = Api::start(busy(403)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 2).await;
    let mut config = kill(exporter);
    let counted_from = baseline(&config);
    let other = Api::start(busy(404)).await;
    config.replace(&api.url(), &other.url());
    let exporter = Exporter::start(config).await;
    let page = exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
    assert!(baseline(&exporter.config) > counted_from);
    assert_eq!((page.get(RECOVERED), set_aside(&exporter.config)), (None, Vec::new()));
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
    assert!(ended.stderr.contains("is used by another process"), "{ended:?}");
    let config = kill(exporter);
    Exporter::start(config).await.stop().await;
}

/// Runs the exporter as a user who is not root, who owns the directory of the configuration.
fn unprivileged(config: &Config) -> Command {
    const NOBODY: u32 = 65_534;
    let file = config.file();
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    if !is_root {
        return config.command();
    }
    let mut own = Command::new("chown");
    own.args(["-R", &NOBODY.to_string()]).arg(config.path());
    assert!(own.status().expect("chown must start").success());
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
    command.args(["--clear-groups", BINARY, "--config.file"]).arg(file);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_opened_is_not_damaged_and_nothing_starts() {
    let api = Api::start(busy(409)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 1).await;
    let Exporter { process, config, .. } = exporter;
    process.signal("TERM");
    assert!(process.ended(DEADLINE).await.status.success());

    let file = database(&config);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("the mode must change");
    let ended = Process::start(unprivileged(&config)).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(DATABASE) && ended.stderr.contains("denied"), "{ended:?}");
    assert_eq!(set_aside(&config), Vec::<String>::new());

    let elsewhere = config.path().join("elsewhere.db");
    fs::rename(&file, &elsewhere).expect("the database must move");
    fs::create_dir(&file).expect("the directory must be made");
    let ended = Process::start(config.command()).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(DATABASE), "{ended:?}");
    assert_eq!(set_aside(&config), Vec::<String>::new());

    fs::remove_dir(&file).expect("the directory must be empty");
    fs::rename(&elsewhere, &file).expect("the database must move back");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the mode must change");
    let exporter = Exporter::start(config).await;
    assert!(!exporter.process.stderr().contains(REPLACED));
    assert!(!exporter.scrape().await.families(&GAUGES).is_empty(), "nothing was lost");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_can_read_the_state() {
    let api = Api::start(busy(410)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 1).await;
    let mode = |path: PathBuf| fs::metadata(&path).expect("it must be there").permissions().mode() & 0o7777;
    let state = directory(&exporter.config);
    assert_eq!(mode(state.clone()), 0o700);
    let entries: Vec<_> = fs::read_dir(&state).expect("it must be listed").flatten().collect();
    assert!(entries.len() >= 3, "{entries:?}");
    for entry in entries {
        assert_eq!(mode(entry.path()), 0o600, "{entry:?}");
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_the_state_ends_with_the_process() {
    let api = Api::start(busy(411)).await;
    let keys = keys().replace("state.directory = \"state\"\n", "");
    let exporter = Exporter::following(&api, &keys).await;
    let counted = |page: &Page| page.families(&COUNTERS).values().sum::<f64>() > 0.0;
    let page = exporter.until("something is counted", counted).await;
    for family in ["clumio_exporter_state_bytes", "clumio_exporter_state_last_write_timestamp_seconds"] {
        assert_eq!(page.get(family), None);
    }
    let status = exporter.get("/").await.text().await.expect("the page must be complete");
    assert!(status.contains("in memory"), "{status}");
    let mut config = kill(exporter);
    assert!(!directory(&config).exists());
    // A restored counter would be held at its value, a new one at 0.
    config.replace("poll.counter_hold = \"0s\"", "poll.counter_hold = \"1h\"");
    let exporter = Exporter::start(config).await;
    let page = exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
    assert!(!counted(&page));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_fails_polls_until_a_restart() {
    let api = Api::start(busy(412)).await;
    let exporter = Exporter::following(&api, &keys()).await;
    let mut counters = Samples::new();
    check_rising(&exporter.polls(ACCOUNT, 3).await, &mut counters);
    fs::remove_dir_all(directory(&exporter.config)).expect("it must be removed");
    let page = exporter.until("polls fail", |page| page.failures(ACCOUNT, "state") >= 2.0).await;
    assert!(!page.is_up(ACCOUNT) && !page.families(&GAUGES).is_empty());
    check_rising(&page, &mut counters);
    let log = exporter.process.stderr();
    assert!(log.contains("was moved or removed"), "{log}");
    let exporter = Exporter::start(kill(exporter)).await;
    exporter.until("it starts cold", |page| page.is_up(ACCOUNT)).await;
    exporter.stop().await;
}

/// The exporter with a small file system of its own as the state directory, mounted with these options. Gives where that
/// is seen from outside.
async fn on_small_disk(config: Config, options: &str) -> (Exporter, PathBuf) {
    let directory = directory(&config);
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

/// Checks what holds while nothing can be written: polls fail with the reason `state`, gauges continue, counters do not
/// advance; and when it can be written again, nothing is lost.
async fn check_unwritable(api: &Api, exporter: &Exporter, break_disk: impl Fn(), mend_disk: impl Fn()) {
    let now = api.simulator.now();
    let ago = |minutes: u64| earlier(now, Duration::from_mins(minutes));
    api.simulator.add(Task::new(1, ago(5)));
    let total = |page: &Page| page.families(&COUNTERS[..1]).values().sum::<f64>();
    let page = exporter.polls(ACCOUNT, 3).await;
    let (counted, before) = (total(&page), page.families(&COUNTERS));
    break_disk();
    let next = AtomicU64::new(100);
    eventually("polls fail to be committed", DEADLINE, async || {
        // A poll without changes writes nothing, and a WAL has room for a few.
        api.simulator.add(Task::new(next.fetch_add(1, Ordering::Relaxed), api.simulator.now()));
        (exporter.scrape().await.failures(ACCOUNT, "state") >= 1.0).then_some(())
    })
    .await;
    let mut counters = before;
    check_rising(&exporter.scrape().await, &mut counters);
    let now = api.simulator.now();
    api.simulator.add(Task::new(1, ago(5)).ended(now, Outcome::Failed));
    let page =
        exporter.until("the gauge moves", |page| page.counted("clumio_tasks").contains("failed")).await;
    assert!(!page.is_up(ACCOUNT));
    assert_eq!(page.families(&COUNTERS), counters, "they must not fall if it ends now");

    mend_disk();
    exporter.until("it is committed again", |page| page.is_up(ACCOUNT)).await;
    let page = exporter
        .until("the counter moves", |page| page.counted("clumio_tasks_ended_total").contains("failed"));
    let page = page.await;
    assert!(page.counted("clumio_tasks_ended_total").ends_with(" 1"));
    check_rising(&page, &mut counters);
    let created = counted + (next.load(Ordering::Relaxed) - 100) as f64;
    exporter.until("every task is counted", |page| total(page) >= created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_gauges_continue_and_the_counters_wait() {
    let api = Api::start(Options::scripted()).await;
    let (exporter, disk) = on_small_disk(Config::following(&api, &keys()), "size=2m").await;
    let filler = disk.join("filler");
    let fill = || {
        fs::write(&filler, vec![1; 4 << 20]).expect_err("the disk must be full");
    };
    check_unwritable(&api, &exporter, fill, || fs::remove_file(&filler).expect("it must be removed")).await;
    exporter.stop().await;
}

/// Linux makes no file system read-only while a file on it is open for writing. So only permissions can change, which
/// open files do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_becomes_read_only_matters_at_the_next_start() {
    let api = Api::start(Options::scripted()).await;
    let config = Config::following(&api, &keys());
    let command = unprivileged(&config);
    let exporter = Exporter::start_by(config, command).await;
    exporter.polls(ACCOUNT, 1).await;
    let set_mode = |config: &Config, mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(directory(config), permissions).expect("the mode must change");
    };
    set_mode(&exporter.config, 0o500);
    api.simulator.add(Task::new(1, api.simulator.now()));
    let total = |page: &Page| page.families(&COUNTERS[..1]).values().sum::<f64>();
    let page = exporter.until("it is counted", |page| total(page) >= 1.0).await;
    assert!(page.is_up(ACCOUNT));
    let Exporter { process, config, .. } = exporter;
    process.signal("TERM");
    assert!(process.ended(DEADLINE).await.status.success());

    // A WAL that could not be removed serves the next process; without one, it cannot start.
    set_mode(&config, 0o700);
    for suffix in ["-wal", "-shm"] {
        // They may be gone already.
        let _ = fs::remove_file(directory(&config).join(format!("{DATABASE}{suffix}")));
    }
    set_mode(&config, 0o500);
    let ended = Process::start(unprivileged(&config)).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(DATABASE), "{ended:?}");
    assert_eq!(set_aside(&config), [""; 0]);
    set_mode(&config, 0o700);
    let command = unprivileged(&config);
    let exporter = Exporter::start_by(config, command).await;
    assert!((total(&exporter.scrape().await) - 1.0).abs() < 0.5, "nothing was lost");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_read_only_disk_it_refuses_to_start() {
    let api = Api::start(busy(406)).await;
    let config = Config::following(&api, &keys());
    let directory = directory(&config);
    fs::create_dir(&directory).expect("it must be made");
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o ro tmpfs \"$1\" && exec \"$2\" --config.file \"$3\"";
    command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
    command.args([directory, BINARY.into(), config.file()]);
    let ended = Process::start(command).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot open the lock file"), "{ended:?}");
}
