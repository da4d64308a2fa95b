//! Single failures of kinds never seen before, at random: each notifies whoever is on call once, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options, Outcome, Simulator, Task};
use clumio_exporter::time::{Timestamp, earlier, later};
use fastrand::Rng;
use tokio::time::sleep;

use crate::harness::{ACCOUNT, Api, DEADLINE, eventually};
use crate::stack::{COMPRESSED, JOB, Labels, Pace, Stack, labels};

/// How many failures there are, unless the environment asks for more.
const FAILURES: u64 = 40;

/// How many kinds complete all the time.
const USUAL_KINDS: u64 = 5;

/// How many failures there are in a second.
const RATE: f64 = 3.0;

/// How long a failure may take to alert: a poll that fails and its next, the hold of a new counter, a scrape, and an
/// evaluation of each of two groups, which are some 25 seconds where there are a thousand; much more where the machine is
/// busy.
const LATENCY: f64 = 60.0;

/// The probability of each fault of the API.
const FAULTS: f64 = 0.005;

/// What goes wrong with the API meanwhile: all that a poll survives, or that fails it for once.
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

/// The category of a failure, and the alert that it raises.
const CATEGORIES: [(&str, &str); 5] = [
    ("backup", "ClumioBackupFailed"),
    ("snapshot", "ClumioBackupFailed"),
    ("restore", "ClumioRestoreFailed"),
    ("snapshot_restore", "ClumioRestoreFailed"),
    ("a_word_of_tomorrow", "ClumioBackupFailed"),
];

/// A task that fails, the only one of its kind.
#[derive(Debug, Clone)]
pub struct Failure {
    id: u64,
    category: &'static str,
    alert: &'static str,
    task_type: String,
    at: Timestamp,
}

/// What the environment asks for.
struct Plan {
    failures: u64,
    seed: u64,
}

// === impl Failure ===

impl Failure {
    /// One of a kind that no other number has.
    pub fn random(random: &mut Rng, number: u64, at: Timestamp) -> Self {
        let (category, alert) = *random.choice(CATEGORIES.iter()).expect("there must be categories");
        Self { id: 1_000_000 + number, category, alert, task_type: format!("kind_{number:04}"), at }
    }

    /// It runs for less than the time between two polls, or for longer.
    pub fn task(&self, random: &mut Rng) -> Task {
        let started = earlier(self.at, Duration::from_millis(random.u64(100..6_000)));
        let created = earlier(started, Duration::from_millis(random.u64(0..1_000)));
        let task = Task::new(self.id, created).kind(self.category, self.task_type.clone());
        task.started(started).ended(self.at, Outcome::Failed)
    }

    /// The alert that it must raise.
    pub fn alert(&self) -> Labels {
        self.alert_as(&self.task_type)
    }

    fn alert_as(&self, task_type: &str) -> Labels {
        labels(&[
            ("account", ACCOUNT),
            ("alertname", self.alert),
            ("category", self.category),
            ("job", JOB),
            ("severity", "critical"),
            ("status", "failed"),
            ("type", task_type),
        ])
    }

    fn second(&self) -> f64 {
        self.at.as_duration().as_secs_f64()
    }
}

/// A world in which tasks of a few kinds complete all the time, and some failed before.
fn add_usual_tasks(simulator: &Simulator, random: &mut Rng, until: Timestamp) {
    let start = earlier(simulator.now(), Duration::from_mins(30));
    let mut created = start;
    for id in 1.. {
        created = later(created, Duration::from_millis(random.u64(500..3_000)));
        if created > until {
            return;
        }
        let ended = later(created, Duration::from_millis(random.u64(500..20_000)));
        let is_old = ended < earlier(simulator.now(), Duration::from_mins(1));
        let outcome = if is_old && id % 9 == 0 { Outcome::Failed } else { Outcome::Completed };
        let kind = format!("usual_{}", random.u64(0..USUAL_KINDS));
        simulator.add(Task::new(id, created).kind("backup", kind).started(created).ended(ended, outcome));
    }
}

impl Plan {
    fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let (failures, seed) = (number("ALERTS").unwrap_or(FAILURES), number("ALERTS_SEED"));
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("ALERTS={failures} ALERTS_SEED={seed}");
        Self { failures, seed }
    }

    /// A few kinds are cheap; the rules of thousands take more than a second of a small machine. Data may be as old as
    /// the faults of the API make it.
    fn pace(&self) -> Pace {
        let age = 60;
        if self.failures <= FAILURES {
            Pace { age, ..Pace::FAST }
        } else {
            Pace { range: 40, interval: 4, age }
        }
    }

    /// Lets them all happen, and waits until the last alert has resolved.
    async fn run(&self, max_kinds: u64) -> (Stack, Vec<Failure>) {
        let mut random = Rng::with_seed(self.seed);
        let api = Api::start(Options { seed: self.seed, ..Options::scripted() }).await;
        let spread = self.failures as f64 / RATE;
        let pace = self.pace();
        let hold = 3 * pace.interval + 2;
        let range = Duration::from_secs(pace.range);
        let end = later(api.simulator.now(), Duration::from_secs_f64(spread) + 2 * range + DEADLINE);
        add_usual_tasks(&api.simulator, &mut random, end);
        let keys = COMPRESSED.replace("counter_hold = \"5s\"", &format!("counter_hold = \"{hold}s\""));
        let stack = Stack::start(api, &format!("{keys}limits.max_kinds = {max_kinds}\n"), pace).await;

        let simulator = &stack.api.simulator;
        simulator.set_faults(FAULTY.iter().fold(Faults::none(), |faults, fault| faults.with(*fault, FAULTS)));
        let first = later(simulator.now(), Duration::from_secs(8));
        let mut failures = Vec::new();
        for number in 0..self.failures {
            let at = later(first, Duration::from_secs_f64(random.f64() * spread));
            let failure = Failure::random(&mut random, number, at);
            simulator.add(failure.task(&mut random));
            failures.push(failure);
        }
        sleep(Duration::from_secs_f64(spread)).await;
        let last = failures.iter().map(|failure| failure.at).max().expect("there must be failures");
        let all_ended = last + range;
        eventually("the last alert resolves", range + 2 * DEADLINE, async || {
            let is_over = stack.api.simulator.now() > all_ended;
            (is_over && stack.alertmanager.alerts().await.iter().all(|alert| !is_of_failure(alert)))
                .then_some(())
        })
        .await;
        (stack, failures)
    }
}

fn is_of_failure(alert: &Labels) -> bool {
    CATEGORIES.iter().any(|(_, name)| alert["alertname"] == *name)
}

/// The alerts that must fire, with the instants of the failures behind each.
fn expected<'a>(
    failures: &'a [Failure],
    as_type: impl Fn(&'a Failure) -> &'a str,
) -> BTreeMap<Labels, Vec<f64>> {
    let mut expected = BTreeMap::<Labels, Vec<f64>>::new();
    for failure in failures {
        expected.entry(failure.alert_as(as_type(failure))).or_default().push(failure.second());
    }
    expected
}

/// Checks when each alert fired: after each failure, and never without one.
async fn check_firing(stack: &Stack, expected: &BTreeMap<Labels, Vec<f64>>, pace: Pace) {
    let firing = stack.prometheus.firing().await;
    let firing: BTreeMap<Labels, Vec<f64>> =
        firing.into_iter().filter(|(alert, _)| is_of_failure(alert)).collect();
    assert_eq!(
        firing.keys().collect::<BTreeSet<_>>(),
        expected.keys().collect::<BTreeSet<_>>(),
        "what fired, and what must have"
    );
    let range = pace.range as f64;
    for (alert, failures) in expected {
        let instants = &firing[alert];
        for failed in failures {
            let fires = instants.iter().any(|at| (*failed..failed + LATENCY).contains(at));
            assert!(fires, "{alert:?} must fire after {failed}: {instants:?}");
        }
        for at in instants {
            let is_due = failures.iter().any(|failed| (*failed..failed + LATENCY + range).contains(at));
            assert!(is_due, "{alert:?} fires at {at} for no failure: {failures:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_single_failure_of_a_new_kind_raises_one_alert() {
    let plan = Plan::of_environment();
    let (stack, failures) = plan.run(2 * plan.failures).await;
    let expected = expected(&failures, |failure| &failure.task_type);
    assert_eq!(expected.len() as u64, plan.failures);
    check_firing(&stack, &expected, plan.pace()).await;
    let alerts: BTreeSet<Labels> = expected.into_keys().collect();
    stack.notified_once(&alerts).await;
    assert_eq!(stack.fired().await, alerts, "nothing else may fire");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_single_failure_beyond_the_cap_of_kinds_alerts_as_other() {
    let plan = Plan::of_environment();
    let cap = plan.failures / 5;
    let (stack, failures) = plan.run(cap).await;
    let page = stack.exporter().scrape().await;
    let has_place = |failure: &Failure| page.text.contains(&format!("type=\"{}\"", failure.task_type));
    let single = failures.iter().filter(|failure| has_place(failure)).count() as u64;
    assert_eq!(single, cap - USUAL_KINDS, "kinds with a place of their own");
    let expected =
        expected(&failures, |failure| if has_place(failure) { &failure.task_type } else { "other" });
    check_firing(&stack, &expected, plan.pace()).await;

    let other = |series: &&String| series.contains("type=\"other\"") && series.contains("status=\"failed\"");
    let counted = page.families(&["clumio_tasks_ended_total"]);
    let folded: f64 = counted.iter().filter(|(series, _)| other(series)).map(|(_, count)| count).sum();
    let lost = (plan.failures - single) as f64 - folded;
    assert!(lost.abs() < 0.5, "{lost} failures that were folded are lost");
    // Of what is folded nearly all fail, which is true and has an alert of its own.
    let is_known =
        |alert: &Labels| expected.contains_key(alert) || alert["alertname"] == "ClumioFailureRatioHigh";
    let fired = stack.fired().await;
    let others: Vec<_> = fired.iter().filter(|alert| !is_known(alert)).collect();
    assert!(others.is_empty(), "nothing else may fire: {others:?}");
    let ratios = fired.iter().filter(|alert| alert["alertname"] == "ClumioFailureRatioHigh");
    assert!(ratios.clone().all(|alert| alert["type"] == "other"), "{ratios:?}");
}
