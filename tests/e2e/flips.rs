//! Single bits of a closed database that flip: nothing crashes, no counter falls, and no number stays wrong.
//!
//! `tests/long flips` tries 300 of them. Each runs the program on its own copy of one database, against an account in
//! which nothing changes, until audits had time to read every segment.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::earlier;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, serving};
use crate::page::{Page, Samples};
use crate::process::{Process, TOKEN};
use crate::state::{DATABASE, database, directory};
use crate::truth::{COUNTERS, FAMILIES, GAUGES, differences};

/// Tasks in the database.
const TASKS: u64 = 2_000;

/// The window of the configuration.
const WINDOW: Duration = Duration::from_hours(24);

/// Flips in one run, unless the environment sets more.
const FLIPS: usize = 6;

/// Programs that run at a time.
const AT_A_TIME: usize = 20;

/// How long each has for polls and audits.
const AUDITED_WITHIN: Duration = Duration::from_secs(15);

/// The check of the whole database runs a minute after the start, and may find what nothing else does.
const CHECKED_WITHIN: Duration = Duration::from_secs(90);

/// What a flip led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flipped {
    /// The database was replaced before the first poll.
    ReplacedAtOpen,
    /// A poll or an audit found damage, and the database was replaced.
    ReplacedLater,
    /// A number was wrong, or polls failed, until the check of the whole database found the damage.
    ReplacedByCheck,
    /// The program refused to start, with an error.
    Refused,
    /// Polls fail with the reason `state`, and the numbers stay.
    FailsPolls,
    /// The numbers were wrong at first, and are right.
    Repaired,
    /// The numbers were never wrong.
    Harmless,
    /// A number is wrong, and nothing has found it.
    WrongNumber,
}

fn keys() -> String {
    format!("{FAST}poll.audit_interval = \"1s\"\nstate.retention = \"8d\"\nstate.directory = \"state\"\n")
}

/// An account of tasks of three kinds, half of them in the window and none near its start, in which nothing changes.
async fn account() -> Api {
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    for id in 1..=TASKS {
        let age = Duration::from_secs(60 + id * 80);
        // Nothing leaves the window while the flips are tried.
        if WINDOW.abs_diff(age) < Duration::from_hours(1) {
            continue;
        }
        let created = earlier(now, age);
        let ended = created + Duration::from_secs(50);
        let task_type = match id % 3 {
            0 => "aws_ebs_volume_incremental_backup",
            1 => "aws_rds_resource_rolling_backup",
            _ => "protected_vm_backup",
        };
        let outcome = if id % 7 == 0 { Outcome::Failed } else { Outcome::Completed };
        let task = Task::new(id, created).kind("backup", task_type);
        let is_open = id % 100 == 0;
        api.simulator.add(if is_open { task } else { task.started(created).ended(ended, outcome) });
    }
    api
}

/// A closed database of the account, with counters that are not 0, and the numbers that it publishes.
async fn closed_database(api: &Api) -> (Vec<u8>, Samples) {
    let exporter = Exporter::following(api, &keys()).await;
    exporter.polls(ACCOUNT, 1).await;
    let now = api.simulator.now();
    for id in 1..=20 {
        let created = now + Duration::from_millis(id);
        let task = Task::new(TASKS + id, created).kind("backup", "protected_vm_backup").started(created);
        api.simulator.add(task.ended(created + Duration::from_millis(100), Outcome::Failed));
    }
    let total = |page: &Page| page.families(&COUNTERS[..1]).values().sum::<f64>();
    exporter.until("they are counted", |page| total(page) >= 20.0).await;
    // The window must not move: what ended a window ago would leave it.
    api.simulator.stand_still(api.simulator.now());
    let is_synced = |page: &Page| page.of("clumio_exporter_history_sync_progress_ratio", ACCOUNT).is_none();
    exporter.until("the history is read", is_synced).await;
    let page = exporter.polls(ACCOUNT, 3).await;
    let Exporter { process, config, .. } = exporter;
    process.signal("TERM");
    assert!(process.ended(DEADLINE).await.status.success());
    assert!(!directory(&config).join(format!("{DATABASE}-wal")).exists(), "it must be closed");
    (fs::read(database(&config)).expect("the database must be read"), page.families(&FAMILIES))
}

/// Runs the program on the database with one bit flipped.
async fn flip(api: &Api, whole: &[u8], right: &Samples, bit: usize) -> (Flipped, String) {
    let mut bytes = whole.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    let config = Config::new(&keys()).account(ACCOUNT, &api.url(), TOKEN);
    fs::create_dir(directory(&config)).expect("it must be made");
    fs::write(database(&config), &bytes).expect("the database must be written");
    let mut process = Process::start(config.command());
    while !process.stderr().contains("serving") && process.is_running() {
        sleep(Duration::from_millis(20)).await;
    }
    if !process.is_running() {
        let ended = process.ended(DEADLINE).await;
        assert_eq!(ended.status.code(), Some(1), "bit {bit}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "bit {bit}: {ended:?}");
        return (Flipped::Refused, ended.stderr.lines().last().unwrap_or_default().to_owned());
    }
    let address = serving(&process).await;
    let exporter = Exporter::at(process, config, address);
    let first = exporter.scrape().await;
    let was_replaced_at_open = is_replaced(&first);
    let (mut page, end) = (first.clone(), Instant::now() + AUDITED_WITHIN);
    while Instant::now() < end {
        let next = exporter.scrape().await;
        // A database that is replaced while the program runs restarts its counters at 0, with the next poll that succeeds.
        let is_up = |page: &Page| page.is_up(ACCOUNT);
        let may_restart = is_replaced(&next) && !(is_replaced(&page) && is_up(&page) && is_up(&next));
        let fallen =
            page.families(&COUNTERS).into_iter().find(|(series, before)| next.get(series) < Some(*before));
        assert!(fallen.is_none() || may_restart, "bit {bit}: {fallen:?} fell");
        page = next;
        sleep(Duration::from_millis(500)).await;
    }
    let log = exporter.process.stderr();
    assert!(!log.contains("panicked"), "bit {bit}: {log}");
    let wrong = differences(right, &page.families(&FAMILIES));
    let is_late = !is_replaced(&page) && (!page.is_up(ACCOUNT) || !wrong.is_empty());
    let outcome = if was_replaced_at_open {
        Flipped::ReplacedAtOpen
    } else if is_replaced(&page) {
        Flipped::ReplacedLater
    } else if is_late && is_replaced_within(&exporter, CHECKED_WITHIN).await {
        Flipped::ReplacedByCheck
    } else if !page.is_up(ACCOUNT) {
        Flipped::FailsPolls
    } else if !wrong.is_empty() {
        Flipped::WrongNumber
    } else if first.families(&GAUGES) == page.families(&GAUGES) {
        Flipped::Harmless
    } else {
        Flipped::Repaired
    };
    exporter.stop().await;
    (outcome, wrong.into_iter().next().unwrap_or_default())
}

fn is_replaced(page: &Page) -> bool {
    page.get("clumio_exporter_state_recovered_timestamp_seconds").is_some()
}

async fn is_replaced_within(exporter: &Exporter, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if is_replaced(&exporter.scrape().await) {
            return true;
        }
        sleep(Duration::from_millis(500)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_neither_crashes_the_program_nor_lowers_a_counter_nor_falsifies_a_number() {
    let number = |name: &str| std::env::var(name).ok().map(|it| it.parse().expect("it must be a number"));
    let flips = number("FLIPS").unwrap_or(FLIPS as u64);
    let seed = number("FLIPS_SEED").unwrap_or(1);
    println!("FLIPS={flips} FLIPS_SEED={seed}");
    let api = account().await;
    let (whole, right) = closed_database(&api).await;
    let mut random = fastrand::Rng::with_seed(seed);
    let drawn = (0..flips).map(|_| random.usize(0..whole.len() * 8)).collect();
    // A bit that a failure names can be tried alone.
    let bits: Vec<_> =
        number("FLIPS_BIT").map_or(drawn, |bit| vec![usize::try_from(bit).expect("it must fit")]);
    let runs = bits.into_iter().map(|bit| {
        let (api, whole, right) = (&api, &whole, &right);
        async move { (bit, flip(api, whole, right, bit).await) }
    });
    let outcomes: Vec<_> = stream::iter(runs).buffer_unordered(AT_A_TIME).collect().await;
    let mut table: BTreeMap<Flipped, usize> = BTreeMap::new();
    for (bit, (outcome, detail)) in outcomes {
        *table.entry(outcome).or_default() += 1;
        if !matches!(outcome, Flipped::Harmless | Flipped::ReplacedAtOpen) {
            println!("FLIPS_BIT={bit} (byte {}): {outcome:?} {detail}", bit / 8);
        }
    }
    println!("database: {} bytes, {TASKS} tasks", whole.len());
    for (outcome, count) in &table {
        println!("{count:>5} {outcome:?}");
    }
    assert_eq!(table.get(&Flipped::WrongNumber), None);
}
