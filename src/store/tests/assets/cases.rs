//! Some fifty assets as they occur, each with its exact state. Times are hours before the poll.

use super::super::super::{AssetState, Store};
use super::super::{commit, poll};
use super::{Backup, HOUR, failing, late, rules, states, synced};

use AssetState::{Ok, Overdue, Silent, Unjudged};

/// What happened to an asset: status, type, and when the task was created and ended, if it has.
type Event = (&'static str, &'static str, i64, Option<i64>);

/// An asset with its events, its state, since when it is unprotected, and the types that fail, with since when.
type Case = (&'static str, Vec<Event>, AssetState, i64, Vec<(&'static str, i64)>);

fn completed(ends: impl IntoIterator<Item = i64>) -> Vec<Event> {
    of("completed", ends)
}

fn of(status: &'static str, ends: impl IntoIterator<Item = i64>) -> Vec<Event> {
    ends.into_iter().map(|ago| (status, "ebs", ago + 1, Some(ago))).collect()
}

fn typed(task_type: &'static str, events: Vec<Event>) -> Vec<Event> {
    events.into_iter().map(|(status, _, created, ended)| (status, task_type, created, ended)).collect()
}

fn open(status: &'static str, created: i64) -> Vec<Event> {
    vec![(status, "ebs", created, None)]
}

fn daily(first: i64, last: i64) -> Vec<Event> {
    completed((first..=last).map(|day| day * 24 + 2))
}

/// Weekdays only, the last one so many days ago, which was a Friday.
fn weekdays(friday: i64) -> Vec<Event> {
    completed((0..20).filter(|day| day % 7 < 5).map(|day| (day + friday) * 24))
}

/// Every 15 minutes for five days, as on demand; then nothing until so many hours ago.
fn burst(until: i64) -> Vec<Event> {
    (0..480).map(|n| ("completed", "ebs", until + n / 4 + 1, Some(until + n / 4))).collect()
}

fn schedules() -> Vec<Case> {
    vec![
        ("daily", daily(0, 14), Ok, 2, vec![]),
        ("daily, late by a day", daily(1, 15), Ok, 26, vec![]),
        ("daily, nothing since 31 hours", completed((0..14).map(|d| d * 24 + 31)), Ok, 31, vec![]),
        ("daily, nothing since 32 hours", completed((0..14).map(|d| d * 24 + 32)), Silent, 32, vec![]),
        (
            "daily, attempted",
            [completed((0..14).map(|d| d * 24 + 32)), of("aborted", [3])].concat(),
            Overdue,
            32,
            vec![],
        ),
        (
            "daily, running",
            [completed((0..14).map(|d| d * 24 + 32)), open("in_progress", 8)].concat(),
            Overdue,
            32,
            vec![],
        ),
        (
            "daily, queued since before",
            [completed((0..14).map(|d| d * 24 + 32)), open("queued", 80)].concat(),
            Overdue,
            32,
            vec![],
        ),
        ("daily, one incident", completed([2, 26, 50, 146, 170, 194, 218]), Ok, 2, vec![]),
        ("weekdays, on Monday", weekdays(3), Ok, 72, vec![]),
        ("weekdays, on Tuesday", weekdays(4), Silent, 96, vec![]),
        ("weekly", completed([100, 268, 436, 604, 772]), Ok, 100, vec![]),
        ("weekly, 8.7 days ago", completed([210, 378, 546, 714]), Ok, 210, vec![]),
        ("weekly, 9 days ago", completed([216, 384, 552, 720]), Silent, 216, vec![]),
        ("irregular", completed([100, 130, 300, 310, 420, 600]), Ok, 100, vec![]),
        ("irregular, late", completed([214, 244, 414, 424, 534, 714]), Silent, 214, vec![]),
        ("burst, two hours ago", burst(2), Ok, 2, vec![]),
        ("burst, three hours ago", burst(3), Silent, 3, vec![]),
        ("daily with a burst", [daily(0, 14), burst(2)].concat(), Ok, 2, vec![]),
        ("daily with an old burst", [daily(0, 14), burst(200)].concat(), Ok, 2, vec![]),
        ("hourly", completed(0..100), Ok, 0, vec![]),
        ("hourly, three hours ago", completed(3..100), Silent, 3, vec![]),
    ]
}

fn failures() -> Vec<Case> {
    vec![
        ("failed", [daily(1, 14), of("failed", [2])].concat(), Ok, 26, vec![("ebs", 2)]),
        ("failed twice", [daily(1, 14), of("failed", [2, 8])].concat(), Ok, 26, vec![("ebs", 8)]),
        ("failed, then completed", [daily(0, 14), of("failed", [8])].concat(), Ok, 2, vec![]),
        (
            "failed, then aborted",
            [daily(1, 14), of("failed", [8]), of("aborted", [4])].concat(),
            Ok,
            26,
            vec![("ebs", 8)],
        ),
        ("aborted", [daily(1, 14), of("aborted", [2])].concat(), Ok, 26, vec![]),
        (
            "failed, retry running",
            [daily(1, 14), of("failed", [3]), open("in_progress", 1)].concat(),
            Ok,
            26,
            vec![("ebs", 3)],
        ),
        (
            "failed for a week",
            [daily(7, 14), of("failed", (0..7).map(|d| d * 24))].concat(),
            Overdue,
            170,
            vec![("ebs", 144)],
        ),
        (
            "logs fail, the database completes",
            [daily(0, 14), typed("log", of("failed", [1, 5, 9]))].concat(),
            Ok,
            2,
            vec![("log", 9)],
        ),
        (
            "logs failed, then completed",
            [daily(0, 14), typed("log", of("failed", [5, 9])), typed("log", completed([4]))].concat(),
            Ok,
            2,
            vec![],
        ),
        (
            "two types fail",
            [daily(1, 14), of("failed", [2]), typed("log", of("failed", [1]))].concat(),
            Ok,
            26,
            vec![("ebs", 2), ("log", 1)],
        ),
        (
            "the database fails, logs complete",
            [daily(1, 14), of("failed", [2]), typed("log", completed([1]))].concat(),
            Ok,
            1,
            vec![("ebs", 2)],
        ),
        (
            "seeding failed, a backup completed",
            [daily(0, 5), typed("ebs_seeding", of("failed", [140]))].concat(),
            Ok,
            2,
            vec![],
        ),
        (
            "seeding failed after a backup",
            [daily(1, 5), typed("ebs_seeding", of("failed", [3, 5]))].concat(),
            Ok,
            26,
            vec![("ebs_seeding", 5)],
        ),
        (
            "failed and completed at once",
            [daily(1, 9), of("failed", [2]), completed([2])].concat(),
            Ok,
            2,
            vec![],
        ),
        ("unknown status", [daily(1, 14), of("skipped", [2])].concat(), Ok, 26, vec![]),
        (
            "late, unknown status",
            [completed((0..14).map(|d| d * 24 + 32)), of("skipped", [2])].concat(),
            Overdue,
            32,
            vec![],
        ),
    ]
}

fn beginnings() -> Vec<Case> {
    vec![
        ("one completion", completed([100]), Unjudged, 100, vec![]),
        ("one completion, 8 days ago", completed([192]), Unjudged, 192, vec![]),
        ("one completion, longer ago", completed([193]), Silent, 193, vec![]),
        ("two completions", completed([2, 3]), Unjudged, 2, vec![]),
        ("two completions, long ago", completed([200, 300]), Silent, 200, vec![]),
        (
            "two completions, long ago, failing",
            [completed([200, 300]), of("failed", [9, 99])].concat(),
            Overdue,
            200,
            vec![("ebs", 99)],
        ),
        ("three completions", completed([2, 3, 4]), Ok, 2, vec![]),
        ("three completions, 2.3 hours", completed([3, 4, 5]), Silent, 3, vec![]),
        ("never completed, new", of("failed", [20]), Ok, 21, vec![("ebs", 20)]),
        ("never completed, 26 hours", of("failed", [25]), Ok, 26, vec![("ebs", 25)]),
        ("never completed", of("failed", [26, 30]), Overdue, 31, vec![("ebs", 30)]),
        ("never completed, aborted", of("aborted", [26]), Overdue, 27, vec![]),
        ("seeding for days", typed("ebs_seeding", open("in_progress", 160)), Ok, 160, vec![]),
        ("seeding for a week", typed("ebs_seeding", open("in_progress", 169)), Overdue, 169, vec![]),
        ("queued for two days", open("queued", 48), Ok, 48, vec![]),
        (
            "seeding failed, runs again",
            [typed("ebs_seeding", of("failed", [100])), typed("ebs_seeding", open("in_progress", 99))]
                .concat(),
            Ok,
            101,
            vec![("ebs_seeding", 100)],
        ),
    ]
}

fn backups(cases: &[Case]) -> Vec<Backup> {
    let mut backups = Vec::new();
    for (asset, events, ..) in cases {
        for &(status, task_type, created, ended) in events {
            let id = i64::try_from(backups.len()).expect("it must be small") + 1;
            let (created, ended) = (-created * HOUR, ended.map(|ended| -ended * HOUR));
            backups.push(Backup { task_type, status, created, ended, ..Backup::of(asset, id) });
        }
    }
    backups
}

#[tokio::test]
async fn every_case_has_its_state() {
    let cases = [schedules(), failures(), beginnings()].concat();
    assert!(cases.len() >= 50, "{}", cases.len());
    let store = Store::in_memory().expect("the store must open");
    let (_, samples) = synced(&store, rules(), &backups(&cases)).await;
    let count = |wanted| cases.iter().filter(|(_, _, state, ..)| *state == wanted).count() as u64;
    assert_eq!(states(&samples), AssetState::ALL.map(count));
    let mut expected_late: Vec<_> = cases
        .iter()
        .filter(|(_, _, state, ..)| state.is_late())
        .map(|(asset, _, state, since, _)| (*asset, *state, -since * HOUR))
        .collect();
    expected_late.sort_unstable();
    assert_eq!(late(&samples), expected_late);
    let mut expected_failing: Vec<_> = cases
        .iter()
        .flat_map(|(asset, .., types)| types.iter().map(|(name, since)| (*asset, *name, -since * HOUR)))
        .collect();
    expected_failing.sort_unstable();
    assert_eq!(failing(&samples), expected_failing);
    let failing_assets = cases.iter().filter(|(.., types)| !types.is_empty()).count() as u64;
    assert_eq!(samples.types[0].failing, failing_assets);
    let within = |hours: i64| {
        let last = |events: &Vec<Event>| {
            let ends = events.iter().filter(|(status, ..)| *status == "completed");
            ends.filter_map(|(.., ended)| *ended).min()
        };
        cases.iter().filter(|(_, events, ..)| last(events).is_some_and(|ago| ago < hours)).count() as u64
    };
    let published: Vec<_> = samples.types[0]
        .completed_within
        .iter()
        .map(|sample| (sample.label.as_str(), sample.assets))
        .collect();
    assert_eq!(published, [("24h", within(24)), ("7d", within(7 * 24)), ("31d", within(31 * 24))]);
}

#[tokio::test]
async fn a_restart_publishes_the_same() {
    let cases = [schedules(), failures(), beginnings()].concat();
    let store = Store::in_memory().expect("the store must open");
    let (replica, samples) = synced(&store, rules(), &backups(&cases)).await;
    let (_, restored) = replica.restore().await.expect("it must be read").expect("the account must be known");
    assert_eq!(restored.assets, samples);
}

#[tokio::test]
async fn a_summary_that_was_damaged_is_recomputed() {
    let cases = [schedules(), failures(), beginnings()].concat();
    let directory = tempfile::tempdir().expect("a directory must be made");
    let store = Store::open(directory.path()).expect("the store must open");
    let (replica, samples) = synced(&store, rules(), &backups(&cases)).await;
    let db = rusqlite::Connection::open(directory.path().join("replica.db")).expect("it must open");
    for damage in [
        "UPDATE asset SET late_from = late_from + 1000000000000000 WHERE late_from < 1000000000000000000",
        "UPDATE asset SET failing_since = NULL",
        "UPDATE asset SET completed = NULL WHERE entity % 2 = 0",
        "DELETE FROM asset_failure",
        "DELETE FROM asset WHERE entity % 3 = 0",
    ] {
        assert!(db.execute(damage, []).is_ok_and(|changed| changed > 0), "{damage}");
        let damaged = commit(&replica, poll(0, vec![])).await.assets;
        assert_ne!(damaged, samples, "{damage}");
        let mut until = None;
        loop {
            until = replica.recompute_some_assets(until).await.expect("it must be recomputed");
            if until.is_none() {
                break;
            }
        }
        assert_eq!(commit(&replica, poll(0, vec![])).await.assets, samples, "{damage}");
    }
}
