//! Single failures of assets at random times: each notifies the on-call engineer once, from its failure to the next
//! success of the asset, and nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options, Outcome, Simulator, Task};
use clumio_exporter::time::{Timestamp, earlier, later};
use fastrand::Rng;
use tokio::time::sleep;

use crate::harness::{Api, DEADLINE, eventually};
use crate::stack::{COMPRESSED, Labels, Pace, Stack, backup_failing, volume};

/// How many failures there are, unless the environment sets another number.
const FAILURES: u64 = 40;

/// How many assets complete all the time.
const USUAL_ASSETS: u64 = 5;

/// How many failures there are in a second.
const RATE: f64 = 3.0;

/// How long each asset fails.
const FAILING: Duration = Duration::from_secs(20);

/// How long a change may take to reach an alert: a poll that fails and its next, a scrape and an evaluation; much more
/// where the machine is busy.
const LATENCY: f64 = 60.0;

/// The probability of each fault of the API.
const FAULTS: f64 = 0.005;

/// Faults that a poll survives, or that fail it once.
const FAULTY: [Fault; 8] = [
    Fault::Throttle,
    Fault::Server,
    Fault::Html,
    Fault::Reset,
    Fault::Cut,
    Fault::Slow,
    Fault::Drift,
    Fault::Unstable,
];

const CATEGORIES: [&str; 2] = ["backup", "snapshot"];

/// A backup that fails, of an asset and a type that no other failure has, and the retry that completes.
#[derive(Debug, Clone)]
struct Failure {
    number: u64,
    category: &'static str,
    name: String,
    at: Timestamp,
}

/// How many failures, and the seed of everything random.
struct Plan {
    failures: u64,
    seed: u64,
}

// === impl Failure ===

impl Failure {
    fn random(random: &mut Rng, number: u64, at: Timestamp) -> Self {
        let category = random.choice(CATEGORIES).expect("there must be categories");
        Self { number, category, name: format!("asset_{number:04}"), at }
    }

    /// The backup and its retry, which run for less than the time between two polls, or for longer.
    fn tasks(&self, random: &mut Rng) -> [Task; 2] {
        let ends = [(1_000_000, self.at, Outcome::Failed), (2_000_000, self.recovers(), Outcome::Completed)];
        ends.map(|(first_id, at, outcome)| {
            let started = earlier(at, Duration::from_millis(random.u64(100..6_000)));
            let created = earlier(started, Duration::from_millis(random.u64(0..1_000)));
            let task = Task::new(first_id + self.number, created).kind(self.category, self.name.clone());
            task.subject(volume(&self.name)).started(started).ended(at, outcome)
        })
    }

    fn recovers(&self) -> Timestamp {
        later(self.at, FAILING)
    }

    /// Its alert, if its type has this label.
    fn alert(&self, task_type: &str) -> Labels {
        backup_failing(&self.name, self.category, task_type)
    }
}

// === impl Plan ===

impl Plan {
    fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let (failures, seed) = (number("ALERTS").unwrap_or(FAILURES), number("ALERTS_SEED"));
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("ALERTS={failures} ALERTS_SEED={seed}");
        Self { failures, seed }
    }

    /// Data may be as old as the faults of the API make it.
    fn pace(&self) -> Pace {
        let interval = if self.failures <= FAILURES { 1 } else { 4 };
        Pace { age: 60, interval, ..Pace::FAST }
    }

    /// Runs all failures, and waits until the last alert has resolved.
    async fn run(&self, max_kinds: u64) -> (Stack, Vec<Failure>) {
        let mut random = Rng::with_seed(self.seed);
        let api = Api::start(Options { seed: self.seed, ..Options::scripted() }).await;
        let spread = Duration::from_secs_f64(self.failures as f64 / RATE);
        let pace = self.pace();
        add_usual_tasks(&api.simulator, &mut random, later(api.simulator.now(), spread + 3 * DEADLINE));
        let max_named = self.failures;
        let limits = format!("limits.max_kinds = {max_kinds}\nassets.max_named = {max_named}\n");
        let stack = Stack::start(api, &format!("{COMPRESSED}{limits}"), pace).await;

        let simulator = &stack.api.simulator;
        simulator.set_faults(FAULTY.iter().fold(Faults::none(), |faults, fault| faults.with(*fault, FAULTS)));
        let first = later(simulator.now(), Duration::from_secs(8));
        let mut failures = Vec::new();
        for number in 0..self.failures {
            let at = later(first, spread.mul_f64(random.f64()));
            let failure = Failure::random(&mut random, number, at);
            for task in failure.tasks(&mut random) {
                simulator.add(task);
            }
            failures.push(failure);
        }
        sleep(spread + FAILING).await;
        let last = failures.iter().map(Failure::recovers).max().expect("there must be failures");
        eventually("the last alert resolves", FAILING + 2 * DEADLINE, async || {
            let is_over = stack.api.simulator.now() > last;
            (is_over && stack.alertmanager.alerts().await.iter().all(|alert| !is_of_failure(alert)))
                .then_some(())
        })
        .await;
        (stack, failures)
    }
}

/// An account in which backups of a few assets complete all the time, and some failed before.
fn add_usual_tasks(simulator: &Simulator, random: &mut Rng, until: Timestamp) {
    let mut created = earlier(simulator.now(), Duration::from_mins(30));
    for id in 1.. {
        created = later(created, Duration::from_millis(random.u64(500..3_000)));
        if created > until {
            return;
        }
        let ended = later(created, Duration::from_millis(random.u64(500..20_000)));
        let is_old = ended < earlier(simulator.now(), Duration::from_mins(5));
        let outcome = if is_old && id % 9 == 0 { Outcome::Failed } else { Outcome::Completed };
        let asset = format!("usual_{}", random.u64(0..USUAL_ASSETS));
        let task = Task::new(id, created).subject(volume(&asset)).kind("backup", "usual");
        simulator.add(task.started(created).ended(ended, outcome));
    }
}

fn is_of_failure(alert: &Labels) -> bool {
    alert["alertname"] == "ClumioBackupFailing"
}

/// Checks when the alert of each failure fired: from its failure to its success.
async fn check_firing(stack: &Stack, expected: &[(Labels, &Failure)], pace: Pace) {
    let firing = stack.prometheus.firing().await;
    let second = |at: Timestamp| at.as_duration().as_secs_f64();
    for (alert, failure) in expected {
        let (failed, recovered) = (second(failure.at), second(failure.recovers()));
        let instants = firing.iter().find(|(labels, _)| labels == alert).map(|(_, instants)| instants);
        let instants = instants.unwrap_or_else(|| panic!("{alert:?} must fire"));
        let first = instants.iter().copied().fold(f64::INFINITY, f64::min);
        let last = instants.iter().copied().fold(0.0, f64::max);
        assert!((failed..failed + LATENCY).contains(&first), "{alert:?} fires at {first}, not {failed}");
        let resolves = recovered + pace.hold as f64 + LATENCY;
        assert!((recovered..resolves).contains(&last), "{alert:?} fires until {last}, not {recovered}");
    }
}

/// Checks that each failure had one alert and one notification, and that nothing else fired.
async fn check_all(stack: &Stack, expected: &[(Labels, &Failure)], pace: Pace) {
    check_firing(stack, expected, pace).await;
    let alerts: BTreeSet<Labels> = expected.iter().map(|(alert, _)| alert.clone()).collect();
    assert_eq!(alerts.len(), expected.len());
    stack.notified_once(&alerts).await;
    assert_eq!(stack.fired().await, alerts, "nothing else may fire");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_single_failure_of_an_asset_raises_one_alert() {
    let plan = Plan::of_environment();
    let (stack, failures) = plan.run(2 * plan.failures).await;
    let expected: Vec<_> = failures.iter().map(|failure| (failure.alert(&failure.name), failure)).collect();
    check_all(&stack, &expected, plan.pace()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_single_failure_beyond_the_cap_of_kinds_alerts_as_other() {
    let plan = Plan::of_environment();
    let (stack, failures) = plan.run(plan.failures / 5).await;
    let page = stack.exporter().scrape().await;
    let has_place = |failure: &Failure| page.text.contains(&format!("type=\"{}\"", failure.name));
    let folded = failures.iter().filter(|failure| !has_place(failure)).count() as u64;
    assert!(folded >= plan.failures - plan.failures / 5, "{folded} types must be folded");
    let task_type = |failure: &Failure| {
        if has_place(failure) { failure.name.clone() } else { "other".to_owned() }
    };
    let expected: Vec<_> =
        failures.iter().map(|failure| (failure.alert(&task_type(failure)), failure)).collect();
    check_all(&stack, &expected, plan.pace()).await;
}
