//! The store without a poll: single rules, over a database in memory or in a temporary directory.

mod any_order;
mod assets;
mod database;
mod holds;
mod limits;
mod merge;
mod rows;

use std::time::Duration;

use super::{Identity, PollCommit, PollInstant, Replica, Rules, Snapshot, Source, Store};
use crate::config::Assets;
use crate::task::{Label, Status, Task, TaskId};
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// The second at which tests begin.
const START: i64 = 1_800_000_000;

fn second(after_start: i64) -> Timestamp {
    Timestamp::from_second(START + after_start).expect("the second must be in range")
}

/// A poll so many seconds after the start, on all clocks.
fn at(seconds: i64) -> PollInstant {
    let elapsed = Duration::from_secs(seconds.unsigned_abs());
    PollInstant { time: second(seconds), local: second(seconds), elapsed }
}

fn rules() -> Rules {
    Rules {
        window: DAY,
        overlap: MINUTE * 10,
        retention: DAY * 35,
        counter_hold: Duration::ZERO,
        max_categories: 20,
        max_kinds: 200,
        max_asset_types: 50,
        assets: Assets::default(),
    }
}

/// A backup of an EBS volume, created so many seconds after the start.
fn task(id: &str, status: &str, created: i64, ended: Option<i64>) -> Task {
    Task {
        id: TaskId::new(id).expect("the id must be valid"),
        category: Label::new("backup"),
        task_type: Label::new("ebs"),
        status: Status::from_word(status),
        created: Some(second(created)),
        started: Some(second(created)),
        ended: ended.map(second),
        progress: None,
        primary: None,
        parent: None,
    }
}

fn identity() -> Identity {
    Identity { base_url: "https://api.example.com/".to_owned(), organizational_unit: None }
}

async fn replica(store: &Store, rules: Rules) -> Replica {
    let mut replica = Replica::new(store.clone(), "prod".to_owned(), identity(), rules);
    replica.open().await.expect("the replica must open");
    replica
}

/// A replica whose initial sync has ended with these tasks, at the start.
async fn synced(store: &Store, rules: Rules, tasks: Vec<Task>) -> Replica {
    let replica = replica(store, rules).await;
    replica.begin_sync(tasks, at(0), DAY * 7).await.expect("the sync must begin");
    commit(&replica, PollCommit { source: Source::InitialSync, has_published: false, ..poll(0, vec![]) })
        .await;
    replica
}

/// A poll that reads these tasks.
fn poll(seconds: i64, tasks: Vec<Task>) -> PollCommit {
    PollCommit {
        tasks,
        source: Source::Poll { counts_from: second(seconds - 600) },
        now: at(seconds),
        missing: Vec::new(),
        sees_newest: true,
        has_published: true,
        gap_until: None,
    }
}

async fn commit(replica: &Replica, poll: PollCommit) -> Snapshot {
    let (snapshot, outcome) = replica.commit_poll(poll).await.expect("the poll must be stored");
    outcome.expect("the poll must be committed");
    snapshot
}

/// What is published of the first kind with a status: its gauge and its counter.
fn numbers(snapshot: &Snapshot, status: &str) -> (u64, u64) {
    let statuses = snapshot.kinds.first().map_or(&[][..], |kind| &kind.statuses);
    let sample = statuses.iter().find(|sample| sample.status.as_str() == status);
    sample.map_or((0, 0), |sample| (sample.tasks, sample.ended_total.unwrap_or(0)))
}

/// Tasks created, as the counter of the first kind has it.
fn created(snapshot: &Snapshot) -> u64 {
    snapshot.kinds.first().map_or(0, |kind| kind.created_total)
}
