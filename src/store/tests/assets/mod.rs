//! Assets: named cases with exact values, and arbitrary sequences against an independent implementation.

mod cases;
mod explore;
mod found;
mod naive;
mod names;
mod random;
mod retention;

use std::time::Duration;

use super::super::{
    AssetSamples, AssetState, Completes, PollCommit, Replica, Rules, SliceCommit, Source, Store,
};
use super::{DAY, START, at, commit, poll, replica, rules};
use crate::task::{Entity, Label, Name, Status, Task, TaskId};
use crate::time::Timestamp;

const HOUR: i64 = 3_600;

/// A task of an asset; times are seconds after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backup {
    id: i64,
    category: &'static str,
    task_type: &'static str,
    status: &'static str,
    created: i64,
    ended: Option<i64>,
    asset_type: Option<&'static str>,
    /// Id and name.
    asset: Option<(Option<String>, Option<String>)>,
    parent: Option<&'static str>,
}

impl Backup {
    /// A completed backup of a volume with this name and the id `id-NAME`.
    fn of(asset: &str, id: i64) -> Self {
        Self {
            id,
            category: "backup",
            task_type: "ebs",
            status: "completed",
            created: 0,
            ended: None,
            asset_type: Some("volume"),
            asset: Some((Some(format!("id-{asset}")), Some(asset.to_owned()))),
            parent: Some("account/us-west-2"),
        }
    }

    fn task(&self) -> Task {
        let time =
            |seconds: i64| Timestamp::from_second(START + seconds).expect("the second must be in range");
        let name = |text: &Option<String>| text.as_deref().map(Name::new);
        let primary = self.asset.as_ref().and_then(|(id, value)| {
            Entity::new(self.asset_type.map(Label::new), name(id), name(value)).map(Box::new)
        });
        let parent = self.parent.and_then(|parent| {
            let id = Name::new(&format!("id-{parent}"));
            Entity::new(Some(Label::new("environment")), Some(id), Some(Name::new(parent))).map(Box::new)
        });
        Task {
            id: TaskId::new(&self.id.to_string()).expect("the id must be valid"),
            category: Label::new(self.category),
            task_type: Label::new(self.task_type),
            status: Status::from_word(self.status),
            created: Some(time(self.created)),
            started: Some(time(self.created)),
            ended: self.ended.map(time),
            progress: None,
            primary,
            parent,
        }
    }
}

fn tasks(backups: &[Backup]) -> Vec<Task> {
    backups.iter().map(Backup::task).collect()
}

/// A replica whose initial sync has read these tasks of the last 35 days, at the start; and what is published then.
async fn synced(store: &Store, rules: Rules, backups: &[Backup]) -> (Replica, AssetSamples) {
    synced_back_to(store, rules, backups, DAY * 35).await
}

async fn synced_back_to(
    store: &Store,
    rules: Rules,
    backups: &[Backup],
    lookback: Duration,
) -> (Replica, AssetSamples) {
    let replica = replica(store, rules).await;
    replica.begin_sync(vec![], at(0), lookback).await.expect("the sync must begin");
    let slice = SliceCommit {
        tasks: tasks(backups),
        source: Source::InitialSync,
        now: at(0),
        completes: Completes::Nothing,
    };
    replica.commit_slice(slice).await.expect("the slice must be stored");
    let last = PollCommit { source: Source::InitialSync, has_published: false, ..poll(0, vec![]) };
    let samples = commit(&replica, last).await.assets;
    (replica, samples)
}

/// What is published after a poll that reads these tasks.
async fn polled(replica: &Replica, seconds: i64, backups: &[Backup]) -> AssetSamples {
    commit(replica, poll(seconds, tasks(backups))).await.assets
}

/// The state of each late asset by its name, and since when it is unprotected, in seconds after the start.
fn late(samples: &AssetSamples) -> Vec<(&str, AssetState, i64)> {
    let late = samples.late.iter();
    late.map(|late| (late.labels.asset.as_str(), late.state, late.unprotected_since.as_second() - START))
        .collect()
}

/// Each failing asset by its name, with its type and since when it fails, in seconds after the start.
fn failing(samples: &AssetSamples) -> Vec<(&str, &str, i64)> {
    let failing = samples.failing.iter();
    failing
        .map(|failing| {
            (failing.labels.asset.as_str(), failing.task_type.as_str(), failing.since.as_second() - START)
        })
        .collect()
}

/// Assets in each state, over all types: ok, overdue, silent, unjudged, ignored.
fn states(samples: &AssetSamples) -> [u64; 5] {
    let mut states = [0; 5];
    for sample in &samples.types {
        states.iter_mut().zip(sample.states).for_each(|(sum, count)| *sum += count);
    }
    states
}
