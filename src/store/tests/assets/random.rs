//! Arbitrary sequences of polls, slices, restarts and configurations, each compared with the independent implementation.

use std::time::Duration;

use proptest::prelude::*;

use super::super::super::{Completes, Replica, Rules, SliceCommit, Source, Store};
use super::naive::{At, Naive};
use super::{Backup, HOUR, at, commit, poll, replica, rules, synced_back_to, tasks};
use crate::config::{Assets, MaxAge, Objective};
use crate::task::TaskId;

const DAY: i64 = 24 * HOUR;

/// Less than the time over which a sequence extends, so that rows are removed.
const RETENTION: i64 = 20 * DAY;

const TYPES: [&str; 3] = ["ebs", "ebs_seeding", "log"];
const STATUSES: [&str; 4] = ["completed", "failed", "aborted", "skipped"];

/// One step of a sequence.
#[derive(Debug, Clone)]
enum Step {
    /// Tasks of assets begin, each so many seconds before the poll.
    Begin(Vec<(usize, usize, i64)>),
    /// Open tasks end with a status.
    End(Vec<(usize, usize)>),
    /// Tasks begin and end unseen between two polls.
    Run(Vec<(usize, usize, usize, i64)>),
    /// An open task is no longer returned.
    Vanish(usize),
    /// The history is read back a few days, with tasks of these assets.
    History(Vec<(usize, usize, usize, i64)>),
    /// The configuration changes, more than once before the next poll: each time so many steps of a rebuild are committed,
    /// and tasks of these assets are read.
    Configure(Vec<(usize, usize, usize)>, Vec<(usize, usize, usize, i64)>),
    /// The process restarts.
    Restart,
}

/// A sequence that is run, with what an ideal exporter knows.
struct Run {
    store: Store,
    replica: Replica,
    rules: Rules,
    naive: Naive,
    now: i64,
    covered_from: i64,
    next_id: i64,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let (asset, kind, status) = (0..7_usize, 0..3_usize, 0..12_usize);
    let ago = 60..20 * HOUR;
    let begun = prop::collection::vec((asset.clone(), kind.clone(), ago.clone()), 1..5);
    let ended = prop::collection::vec((0..50_usize, status.clone()), 1..5);
    let run = prop::collection::vec((asset, kind, status, ago), 1..6);
    let configurations = prop::collection::vec((0..5_usize, 0..4_usize, 0..4_usize), 1..4);
    let history = run.clone();
    let step = prop_oneof![
        4 => begun.prop_map(Step::Begin),
        4 => ended.prop_map(Step::End),
        5 => run.clone().prop_map(Step::Run),
        1 => (0..50_usize).prop_map(Step::Vanish),
        2 => run.prop_map(Step::History),
        2 => (configurations, history).prop_map(|(all, tasks)| Step::Configure(all, tasks)),
        1 => Just(Step::Restart),
    ];
    let later = prop_oneof![3 => 60..2 * HOUR, 3 => HOUR..2 * DAY, 1 => DAY..8 * DAY];
    prop::collection::vec((later, step), 1..40)
}

/// Half of the tasks complete.
fn status(drawn: usize) -> &'static str {
    STATUSES.get(drawn).copied().unwrap_or(STATUSES[drawn % 2])
}

fn configured(objectives: usize, max_named: usize) -> Assets {
    let any = Objective {
        account: None,
        asset_type: None,
        parent: None,
        name: None,
        max_age: MaxAge::Fixed(Duration::ZERO),
    };
    let day = MaxAge::Fixed(Duration::from_hours(24));
    let objectives = match objectives {
        0 => vec![],
        1 => {
            vec![Objective { name: Some("*1".to_owned()), ..any.clone() }, Objective { max_age: day, ..any }]
        }
        2 => vec![Objective { asset_type: Some("vol?me".to_owned()), max_age: day, ..any }],
        3 => vec![Objective { parent: Some("*/us-*".to_owned()), ..any }],
        _ => vec![Objective { name: Some("asset-*".to_owned()), max_age: MaxAge::Auto, ..any.clone() }, any],
    };
    let max_named = [0, 1, 3, 100][max_named];
    Assets { max_named, objectives, ..Assets::default() }
}

/// A task of one of seven assets: with and without id, name, type and parent.
fn backup(asset: usize, kind: usize, id: i64) -> Backup {
    let named = Backup { task_type: TYPES[kind], ..Backup::of(&format!("asset-{asset}"), id) };
    match asset {
        2 => Backup { asset_type: None, parent: None, ..named },
        3 => Backup {
            asset: Some((None, Some("asset-3".to_owned()))),
            parent: Some("account/eu-west-1"),
            ..named
        },
        4 => Backup { asset: Some((Some("id-4".to_owned()), None)), asset_type: Some("vm"), ..named },
        5 => Backup { category: "snapshot", ..named },
        6 => Backup { asset: None, ..named },
        _ => named,
    }
}

// === impl Run ===

impl Run {
    async fn begin() -> Self {
        let store = Store::in_memory().expect("the store must open");
        let retention = Duration::from_secs(RETENTION.unsigned_abs());
        let rules = Rules { retention, assets: configured(0, 3), ..rules() };
        let lookback = 7 * DAY;
        let (replica, _) =
            synced_back_to(&store, rules.clone(), &[], Duration::from_secs(lookback.unsigned_abs())).await;
        let naive = Naive::default();
        Self { store, replica, rules, naive, now: 0, covered_from: -lookback, next_id: 1 }
    }

    async fn step(&mut self, later: i64, step: Step) {
        self.now += later;
        let mut read = Vec::new();
        match step {
            Step::Begin(tasks) => {
                for (asset, kind, ago) in tasks {
                    let status = if ago % 2 == 0 { "queued" } else { "in_progress" };
                    let created = self.now - ago.min(later);
                    read.push(Backup { status, created, ..backup(asset, kind, self.id()) });
                }
            }
            Step::End(ends) => read = self.ended(&ends),
            Step::Run(tasks) => {
                for (asset, kind, drawn, ago) in tasks {
                    let created = self.now - ago;
                    let ended = Some(created + ago / 2);
                    read.push(Backup {
                        status: status(drawn),
                        created,
                        ended,
                        ..backup(asset, kind, self.id())
                    });
                }
            }
            Step::Vanish(drawn) => self.vanish(drawn).await,
            Step::History(tasks) => self.history(tasks).await,
            Step::Configure(configurations, mut tasks) => {
                for (objectives, max_named, steps) in configurations {
                    self.configure(configured(objectives, max_named), steps).await;
                    self.history(tasks.split_off(tasks.len() / 2)).await;
                }
            }
            Step::Restart => self.replica = replica(&self.store, self.rules.clone()).await,
        }
        for task in &read {
            self.naive.read(task, self.now);
        }
        self.poll(&read, vec![]).await;
    }

    /// Changes the configuration, begins to compute the summaries by it, and restarts the process in the midst of that.
    async fn configure(&mut self, assets: Assets, steps: usize) {
        self.rules.assets = assets;
        self.replica.set_rules(self.rules.clone());
        for _ in 0..steps {
            self.replica.rebuild_some_assets(at(self.now)).await.expect("the step must be committed");
            self.replica = replica(&self.store, self.rules.clone()).await;
        }
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn open(&self) -> Vec<Backup> {
        let open = self.naive.tasks.values().filter(|(task, _)| task.ended.is_none());
        open.map(|(task, _)| task.clone()).collect()
    }

    fn ended(&self, ends: &[(usize, usize)]) -> Vec<Backup> {
        let mut open = self.open();
        let mut read = Vec::new();
        for (before, (drawn, status_drawn)) in (1..).zip(ends) {
            if !open.is_empty() {
                let task = open.swap_remove(drawn % open.len());
                // One in five is stamped in the future.
                let ended = Some(if drawn % 5 == 0 { self.now + 6 * HOUR } else { self.now - before });
                read.push(Backup { status: status(*status_drawn), ended, ..task });
            }
        }
        read
    }

    async fn vanish(&mut self, drawn: usize) {
        let open = self.open();
        let Some(task) = open.get(drawn % open.len().max(1)) else { return };
        for nth in 1..=3 {
            if nth == 3
                && let Some((_, vanished)) = self.naive.tasks.get_mut(&task.id)
            {
                *vanished = vanished.or(Some(self.now));
            }
            let id = TaskId::new(&task.id.to_string()).expect("the id must be valid");
            self.poll(&[], vec![id]).await;
            self.now += HOUR;
        }
    }

    async fn history(&mut self, drawn: Vec<(usize, usize, usize, i64)>) {
        let until = self.covered_from;
        self.covered_from = (until - 2 * DAY).max(self.now - RETENTION);
        let mut read = Vec::new();
        for (asset, kind, drawn, ago) in drawn {
            // A row that becomes final keeps the horizon behind it.
            let status = Some(status(drawn)).filter(|word| *word != "skipped").unwrap_or("aborted");
            let created = (until - ago * 2).max(self.now - RETENTION);
            let ended = Some(created + ago / 3 + 1);
            read.push(Backup { status, created, ended, ..backup(asset, kind, self.id()) });
        }
        let from = at(self.covered_from).time;
        let slice = SliceCommit {
            tasks: tasks(&read),
            source: Source::History,
            now: at(self.now),
            completes: Completes::CoveredFrom(from),
        };
        self.replica.commit_slice(slice).await.expect("the slice must be stored");
        for task in &read {
            self.naive.read(task, self.now);
        }
    }

    async fn poll(&mut self, read: &[Backup], missing: Vec<TaskId>) {
        let reading = super::PollCommit { missing, ..poll(self.now, tasks(read)) };
        let samples = commit(&self.replica, reading).await.assets;
        let horizon = self.now - RETENTION;
        self.covered_from = self.covered_from.max(horizon);
        let instant =
            At { time: self.now, covered_from: self.covered_from, horizon, rules: &self.rules.assets };
        assert_eq!(samples, self.naive.samples(&instant), "at {}: {:#?}", self.now, self.naive.tasks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_publishes_what_the_independent_implementation_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime must start");
        runtime.block_on(async {
            let mut run = Run::begin().await;
            for (later, step) in steps {
                run.step(later, step).await;
            }
        });
    }
}
