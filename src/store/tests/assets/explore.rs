//! What pages read: lists of assets and tasks, in memory and on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::{
    AgeBasis, AssetCondition, AssetFilter, AssetList, AssetOrder, AssetState, Error, Explorer, Replica,
    Rules, Store, TaskFilter, TaskList, TaskStatus,
};
use super::{Backup, DAY, HOUR, polled, rules, synced};
use crate::config::{Assets, MaxAge, Objective};
use crate::task::Status;

/// A task of an asset that ended so many seconds after the start.
fn backup(asset: &str, status: &'static str, id: i64, ended: i64) -> Backup {
    Backup { status, created: ended - HOUR, ended: Some(ended), ..Backup::of(asset, id) }
}

/// One asset that is fine, one that fails, one that is silent and one that is overdue, with the default objectives.
fn fleet() -> Vec<Backup> {
    let mut all = Vec::new();
    for (asset, newest) in
        [("ok", -HOUR), ("Failing", -HOUR), ("silent", -10 * 24 * HOUR), ("overdue", -9 * 24 * HOUR)]
    {
        for day in 0..4 {
            let id = i64::try_from(all.len()).expect("it must fit") + 1;
            all.push(backup(asset, "completed", id, newest - day * 24 * HOUR));
        }
    }
    all.push(backup("Failing", "failed", 101, -60));
    all.push(backup("overdue", "aborted", 102, -30));
    all
}

fn explorer(store: &Store, replica: &Replica) -> Explorer {
    Explorer::new(store.clone(), vec![Arc::new(replica.clone())])
}

async fn assets(explorer: &Explorer, filter: AssetFilter) -> AssetList {
    let filter = AssetFilter { limit: if filter.limit == 0 { 50 } else { filter.limit }, ..filter };
    explorer.assets(filter).await.expect("the assets must be read")
}

fn names(list: &AssetList) -> Vec<&str> {
    list.rows.iter().map(|row| row.name.as_str()).collect()
}

async fn tasks(explorer: &Explorer, filter: TaskFilter) -> TaskList {
    let filter = TaskFilter { limit: if filter.limit == 0 { 50 } else { filter.limit }, ..filter };
    explorer.tasks(filter).await.expect("the tasks must be read")
}

fn ids(list: &TaskList) -> Vec<&str> {
    list.rows.iter().map(|row| row.id.as_str()).collect()
}

#[tokio::test]
async fn assets_are_filtered_sorted_and_counted() {
    let store = Store::in_memory().expect("the store must open");
    let (replica, samples) = synced(&store, rules(), &fleet()).await;
    let explorer = explorer(&store, &replica);
    let all = assets(&explorer, AssetFilter::default()).await;
    assert_eq!((names(&all), all.total), (vec!["Failing", "overdue", "silent", "ok"], 4));
    assert_eq!(super::states(&samples), [2, 1, 1, 0, 0], "the page agrees with the metrics");
    let states: Vec<_> = all.rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [AssetState::Ok, AssetState::Overdue, AssetState::Silent, AssetState::Ok]);
    let (types, since): (Vec<_>, Vec<_>) = all.rows[0].failing.iter().cloned().unzip();
    assert_eq!((types[0].as_str(), since[0]), ("ebs", super::super::second(-60)));
    for (condition, expected) in [
        (AssetCondition::Failing, vec!["Failing"]),
        (AssetCondition::Late, vec!["overdue", "silent"]),
        (AssetCondition::Unprotected, vec!["Failing", "overdue", "silent"]),
        (AssetCondition::Is(AssetState::Silent), vec!["silent"]),
    ] {
        let list = assets(&explorer, AssetFilter { condition: Some(condition), ..AssetFilter::default() });
        assert_eq!(names(&list.await), expected, "{condition:?}");
    }
    for (text, expected) in [("FAIL", vec!["Failing"]), ("id-s", vec!["silent"]), ("%", vec![])] {
        let list = assets(&explorer, AssetFilter { text: Some(text.to_owned()), ..AssetFilter::default() });
        assert_eq!(names(&list.await), expected, "{text}");
    }
    let sorted = async |order, is_descending, offset, limit| {
        assets(&explorer, AssetFilter { order, is_descending, offset, limit, ..AssetFilter::default() }).await
    };
    assert_eq!(names(&sorted(AssetOrder::Name, false, 0, 0).await), ["Failing", "ok", "overdue", "silent"]);
    assert_eq!(names(&sorted(AssetOrder::Name, true, 1, 2).await), ["overdue", "ok"]);
    assert_eq!(names(&sorted(AssetOrder::Completed, true, 3, 0).await), ["silent"]);
    // What is not failing comes last in both directions.
    for is_descending in [false, true] {
        assert_eq!(names(&sorted(AssetOrder::FailingSince, is_descending, 0, 1).await), ["Failing"]);
    }
    assert_eq!(sorted(AssetOrder::Due, false, 9, 0).await, AssetList { rows: vec![], total: 4 });
    for (account, category, asset_type, expected) in
        [("prod", "backup", "volume", 4), ("none", "backup", "volume", 0), ("prod", "snapshot", "volume", 0)]
    {
        let [account, category, asset_type] = [account, category, asset_type].map(|it| Some(it.to_owned()));
        let filter = AssetFilter { account, category, asset_type, ..AssetFilter::default() };
        assert_eq!(assets(&explorer, filter).await.total, expected);
    }
}

#[tokio::test]
async fn one_asset_is_explained() {
    let store = Store::in_memory().expect("the store must open");
    let objective = Objective {
        account: None,
        asset_type: None,
        parent: None,
        name: Some("sil*".to_owned()),
        max_age: MaxAge::Fixed(DAY * 30),
    };
    let with_objective = Assets { objectives: vec![objective.clone()], ..Assets::default() };
    let (replica, _) = synced(&store, Rules { assets: with_objective, ..rules() }, &fleet()).await;
    let explorer = explorer(&store, &replica);
    let asset = async |id: &str| {
        explorer.asset("prod".to_owned(), id.to_owned()).await.expect("the asset must be read")
    };
    let failing = asset("id-Failing").await;
    assert_eq!((failing.len(), failing[0].basis), (1, AgeBasis::UsualInterval));
    assert_eq!(failing[0].usual_interval, Some(DAY));
    assert_eq!(failing[0].objective, None);
    assert_eq!(failing[0].completions.len(), 1);
    let silent = asset("id-silent").await;
    assert_eq!((silent[0].row.state, silent[0].basis), (AssetState::Ok, AgeBasis::Configured));
    assert_eq!(silent[0].objective, Some(objective));
    assert_eq!(asset("silent").await, vec![], "a name is no id");
    let snapshot = Backup { category: "snapshot", ..backup("ok", "completed", 300, 30) };
    polled(&replica, 60, &[snapshot]).await;
    let both = asset("id-ok").await;
    let categories: Vec<_> = both.iter().map(|detail| detail.row.category.as_str()).collect();
    assert_eq!(categories, ["backup", "snapshot"]);
}

#[tokio::test]
async fn a_label_that_was_truncated_or_replaced_by_a_digest_finds_its_asset() {
    let store = Store::in_memory().expect("the store must open");
    let (long, nameless) = ("é".repeat(100), "only a name");
    let mut all = vec![backup(&long, "failed", 1, -60)];
    let mut unidentified = backup("x", "failed", 2, -50);
    unidentified.asset = Some((None, Some(nameless.to_owned())));
    all.push(unidentified);
    let hidden = Assets { names: false, ..Assets::default() };
    let (replica, samples) = synced(&store, Rules { assets: hidden, ..rules() }, &all).await;
    let explorer = explorer(&store, &replica);
    assert_eq!(samples.failing.len(), 2);
    for failing in &samples.failing {
        let id = failing.labels.asset_id.to_string();
        let found = explorer.asset("prod".to_owned(), id.clone()).await.expect("the asset must be read");
        assert_eq!(found.len(), 1, "{id}");
        assert!(found[0].row.id.starts_with(&id) && found[0].row.name == found[0].row.id, "{id}");
        let of_asset = TaskFilter { asset: Some(id), ..TaskFilter::default() };
        assert_eq!(tasks(&explorer, of_asset).await.rows.len(), 1);
    }
    let by_name = AssetFilter { text: Some("only".to_owned()), ..AssetFilter::default() };
    assert_eq!(assets(&explorer, by_name).await.total, 0, "text finds ids alone");
    let by_name = explorer.asset("prod".to_owned(), nameless.to_owned()).await;
    assert_eq!(by_name.expect("it must be read"), vec![], "a name that is not published finds nothing");
}

#[tokio::test]
async fn tasks_are_filtered_and_newest_first() {
    let store = Store::in_memory().expect("the store must open");
    let mut all = fleet();
    let open = Backup { id: 103, status: "in_progress", created: -20, ..Backup::of("ok", 103) };
    all.push(open);
    all.push(Backup { category: "restore", task_type: "ebs_restore", ..backup("ok", "failed", 104, -10) });
    let (replica, _) = synced(&store, rules(), &all).await;
    let explorer = explorer(&store, &replica);
    let with = |status: TaskStatus| TaskFilter { status: Some(status), ..TaskFilter::default() };
    let is = |word: &str| with(TaskStatus::Is(Status::from_word(word)));
    let everything = tasks(&explorer, TaskFilter::default()).await;
    assert_eq!(everything.rows.len(), 20);
    assert!(everything.rows.is_sorted_by(|a, b| a.created >= b.created) && everything.next.is_none());
    assert_eq!(ids(&tasks(&explorer, with(TaskStatus::Open)).await), ["103"]);
    assert_eq!(ids(&tasks(&explorer, is("in_progress")).await), ["103"]);
    assert_eq!(ids(&tasks(&explorer, is("queued")).await), [""; 0]);
    assert_eq!(ids(&tasks(&explorer, is("failed")).await), ["104", "101"]);
    assert_eq!(ids(&tasks(&explorer, with(TaskStatus::Unsuccessful)).await), ["104", "102", "101"]);
    let restores = TaskFilter { category: Some("restore".to_owned()), ..is("failed") };
    let restores = tasks(&explorer, restores).await;
    assert_eq!(ids(&restores), ["104"]);
    let entity = restores.rows[0].entity.as_ref().expect("it must have an entity");
    assert_eq!((entity.name.as_str(), entity.id.as_str(), entity.is_asset), ("ok", "id-ok", false));
    let of_asset = TaskFilter { asset: Some("id-ok".to_owned()), ..TaskFilter::default() };
    assert_eq!(ids(&tasks(&explorer, of_asset.clone()).await), ["103", "104", "1", "2", "3", "4"]);
    let range = TaskFilter {
        from: Some(super::super::second(-26 * HOUR)),
        to: Some(super::super::second(-HOUR - 60)),
        ..of_asset
    };
    assert_eq!(ids(&tasks(&explorer, range).await), ["1", "2"]);
}

#[tokio::test]
async fn pages_of_tasks_join_without_gaps_and_repeats_over_several_accounts() {
    let store = Store::in_memory().expect("the store must open");
    let mut replicas = Vec::new();
    for name in ["b", "a", "c"] {
        let identity = super::super::identity();
        let mut replica = Replica::new(store.clone(), name.to_owned(), identity, rules());
        replica.open().await.expect("the replica must open");
        // The same times and ids in each account.
        let tasks = (0..40).map(|n| backup(&format!("{}", n % 3), "failed", n + 1, -HOUR * (n / 4)).task());
        replica.begin_sync(tasks.collect(), super::at(0), DAY * 7).await.expect("the sync must begin");
        polled(&replica, 0, &[]).await;
        replicas.push(Arc::new(replica));
    }
    let explorer = Explorer::new(store, replicas);
    for status in [None, Some(TaskStatus::Unsuccessful)] {
        let whole = TaskFilter { limit: 1_000, status: status.clone(), ..TaskFilter::default() };
        let whole = tasks(&explorer, whole).await;
        let key = |row: &super::super::super::TaskRow| (row.account.clone(), row.id.clone());
        let expected: Vec<_> = whole.rows.iter().map(key).collect();
        assert_eq!(expected.len(), 120);
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let filter = TaskFilter { limit: 7, status: status.clone(), after, ..TaskFilter::default() };
            let page = tasks(&explorer, filter).await;
            read.extend(page.rows.iter().map(key));
            let Some(next) = page.next else { break };
            after = Some(next.to_string().parse().expect("a position must be read as it is written"));
        }
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn pages_on_disk_are_read_while_the_writer_works() {
    let directory = tempfile::tempdir().expect("a directory must be made");
    let store = Store::open(directory.path()).expect("the store must open");
    let (replica, _) = synced(&store, rules(), &fleet()).await;
    let explorer = explorer(&store, &replica);
    let busy = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .run(|_| {
                    std::thread::sleep(Duration::from_secs(3));
                    Ok(())
                })
                .await
        }
    });
    let start = Instant::now();
    assert_eq!(assets(&explorer, AssetFilter::default()).await.total, 4);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    busy.await.expect("it must end").expect("it must succeed");
    polled(&replica, 60, &[backup("new", "completed", 200, 30)]).await;
    assert_eq!(assets(&explorer, AssetFilter::default()).await.total, 5, "it sees what was committed");
    store.close().await;
    assert!(!directory.path().join("replica.db-wal").exists(), "the reader keeps no WAL behind");
    let closed = explorer.assets(AssetFilter::default()).await;
    assert_eq!(closed, Err(Error::Thread));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_interrupted_and_the_next_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory must be made");
    let stores = [Store::in_memory(), Store::open(directory.path())];
    for store in stores.map(|store| store.expect("the store must open")) {
        let start = Instant::now();
        let endless =
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let outcome = store.read(|db, _| Ok(db.query_row(endless, [], |row| row.get::<_, i64>(0))?)).await;
        assert_eq!(outcome, Err(Error::TooSlow));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let one = store.read(|db, _| Ok(db.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?)).await;
        assert_eq!(one, Ok(1));
    }
}
