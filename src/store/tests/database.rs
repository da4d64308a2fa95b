//! Opening, damage and recovery, in a temporary directory.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::{Error, Identity, Replica, Store};
use super::{commit, identity, numbers, poll, replica, rules, synced, task};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory must be made")
}

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("replica.db")
}

/// A closed database with failed tasks and one whose status is unknown.
async fn fill(directory: &TempDir) {
    let store = Store::open(directory.path()).expect("the store must open");
    let replica = synced(&store, rules(), vec![task("1", "failed", -90, Some(-60))]).await;
    let tasks = vec![task("2", "failed", 10, Some(20)), task("3", "melted", 10, Some(20))];
    commit(&replica, poll(60, tasks)).await;
    close(store, replica).await;
}

/// Waits until the database is closed and its lock is free.
async fn close(store: Store, replica: Replica) {
    drop(replica);
    store.close().await;
}

/// Opens the store again; gives whether it was recovered, and the failed tasks of the last commit.
async fn reopen(directory: &TempDir) -> Result<(bool, Option<u64>), Error> {
    let store = Store::open(directory.path())?;
    let replica = replica(&store, rules()).await;
    let last = replica.last_snapshot().await?;
    let recovered = store.status().await?.recovered.is_some();
    close(store, replica).await;
    Ok((recovered, last.map(|snapshot| numbers(&snapshot, "failed").0)))
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("the file must open");
    file.seek(SeekFrom::Start(offset)).expect("it must seek");
    file.write_all(bytes).expect("it must be written");
}

fn moved_aside(directory: &TempDir) -> usize {
    let names = fs::read_dir(directory.path()).expect("the directory must be read");
    names
        .filter(|name| {
            name.as_ref().is_ok_and(|name| name.file_name().to_string_lossy().contains("recovered"))
        })
        .count()
}

#[tokio::test]
async fn a_database_is_there_after_a_restart_and_private() {
    let directory = directory();
    fill(&directory).await;
    assert_eq!(reopen(&directory).await, Ok((false, Some(2))));
    let mode = fs::metadata(database(&directory)).expect("the file must be there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_store_in_a_directory_is_refused() {
    let directory = directory();
    let first = Store::open(directory.path()).expect("the store must open");
    assert_eq!(Store::open(directory.path()).err(), Some(Error::InUse(directory.path().to_owned())));
    first.close().await;
    assert!(Store::open(directory.path()).is_ok());
}

#[tokio::test]
async fn what_is_no_database_of_this_version_is_renamed() {
    for (name, damage) in [
        (
            "text",
            &(|path: &Path| fs::write(path, "hello, world ".repeat(999)).expect("written")) as &dyn Fn(&Path),
        ),
        ("truncated", &|path| {
            let file = fs::OpenOptions::new().write(true).open(path).expect("the file must open");
            file.set_len(5_000).expect("it must be truncated");
        }),
        ("foreign", &|path| {
            let db = Connection::open(path).expect("it must open");
            db.pragma_update(None, "application_id", 7).expect("it must be set");
        }),
        ("newer", &|path| {
            let db = Connection::open(path).expect("it must open");
            db.pragma_update(None, "user_version", 99).expect("it must be set");
        }),
    ] {
        let directory = directory();
        fill(&directory).await;
        damage(&database(&directory));
        assert_eq!(reopen(&directory).await, Ok((true, None)), "{name}");
        assert_eq!(moved_aside(&directory), 1, "{name}");
        assert_eq!(reopen(&directory).await, Ok((false, None)), "{name}, once more");
    }
}

#[tokio::test]
async fn what_the_api_cannot_tell_again_is_replaced_when_anything_of_it_has_changed() {
    for damage in [
        "UPDATE series SET value = '7' WHERE family = 1 AND status = 4",
        "UPDATE series SET published = '7' WHERE family = 1 AND status = 4",
        "UPDATE series SET held_since = -1 WHERE family = 1 AND status = 4",
        "UPDATE series SET kind = 9 WHERE family = 1 AND status = 4",
        "UPDATE series SET status = 7 WHERE family = 1 AND status = 4",
        "DELETE FROM series WHERE family = 1 AND status = 4",
        "UPDATE kind SET id = 9",
        "UPDATE kind SET account = 9",
        "UPDATE kind SET category = 'backuq'",
        "UPDATE kind SET type = 'ebr'",
        "DELETE FROM kind",
        "UPDATE unknown_status SET id = 7",
        "UPDATE unknown_status SET word = 'melter'",
        "UPDATE account SET state = replace(state, 'elapsed', 'elapsee')",
        "UPDATE account SET name = 'proe'",
        "UPDATE account SET name = NULL",
        "UPDATE account SET base_url = 'https://elsewhere'",
        "UPDATE account SET series = 7",
    ] {
        let directory = directory();
        fill(&directory).await;
        let db = Connection::open(database(&directory)).expect("it must open");
        assert_eq!(db.execute(damage, []), Ok(1), "{damage}");
        drop(db);
        assert_eq!(reopen(&directory).await, Ok((true, None)), "{damage}");
    }
}

#[tokio::test]
async fn damage_that_only_a_check_finds_is_found_after_an_unclean_shutdown() {
    let directory = directory();
    fill(&directory).await;
    // The last page, which has one of the indexes, becomes nonsense; a WAL says that the shutdown was unclean.
    let size = fs::metadata(database(&directory)).expect("the file must be there").len();
    overwrite(&database(&directory), size - 4_096, &[0xAA; 4_096]);
    fs::write(directory.path().join("replica.db-wal"), [0; 32]).expect("the WAL must be written");
    let store = Store::open(directory.path()).expect("the store must open");
    let mut replica = Replica::new(store.clone(), "prod".to_owned(), identity(), rules());
    replica.open().await.expect("it must begin in an empty database");
    assert_eq!(replica.load().await, Ok(None));
    assert!(store.status().await.expect("it must answer").recovered.is_some());
    assert_eq!(moved_aside(&directory), 1);
}

/// Changes a row without its entry in an index, as a flipped bit does.
fn change_beside_an_index(path: &Path) {
    let execute = |statement: &str| {
        let db = Connection::open(path).expect("it must open");
        db.execute_batch(&format!("PRAGMA writable_schema = ON; {statement}")).expect("it must be executed");
    };
    execute("CREATE TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'task_ended'");
    execute("DELETE FROM sqlite_schema WHERE name = 'task_ended'");
    execute("UPDATE task SET status = 2 WHERE id = 2");
    execute("INSERT INTO sqlite_schema SELECT * FROM hidden; DROP TABLE hidden");
}

#[tokio::test]
async fn an_index_that_differs_from_its_table_is_found_by_the_check_of_everything() {
    let directory = directory();
    fill(&directory).await;
    change_beside_an_index(&database(&directory));
    assert_eq!(reopen(&directory).await, Ok((false, Some(2))), "the index still has it as failed");

    let store = Store::open(directory.path()).expect("the store must open");
    let replica = replica(&store, rules()).await;
    assert_eq!(store.check_integrity().await, Ok(()));
    assert!(store.status().await.expect("it must answer").recovered.is_some());
    assert_eq!(moved_aside(&directory), 1);
    assert_eq!(replica.commit_poll(poll(120, vec![])).await.map(|_| ()), Err(Error::Replaced));
    assert_eq!(store.check_integrity().await, Ok(()), "the new one is intact");
    assert_eq!(moved_aside(&directory), 1);
}

#[tokio::test]
async fn a_replacement_that_fails_is_tried_again() {
    let parent = directory();
    let (path, elsewhere) = (parent.path().join("state"), parent.path().join("elsewhere"));
    let store = Store::open(&path).expect("the store must open");
    let replica = synced(&store, rules(), vec![task("1", "failed", -90, Some(-60))]).await;
    let other = Connection::open(path.join("replica.db")).expect("it must open");
    let changed = other.execute("UPDATE account SET state = replace(state, 'elapsed', 'elapsee')", []);
    assert_eq!(changed, Ok(1));
    drop(other);

    fs::rename(&path, &elsewhere).expect("it must be renamed");
    let failed = replica.load().await;
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert!(matches!(replica.load().await, Err(Error::Io { .. })), "it still fails");
    fs::rename(&elsewhere, &path).expect("it must be renamed");
    assert_eq!(replica.load().await, Err(Error::Replaced));
    assert!(store.status().await.expect("it must answer").recovered.is_some());
    let mut cold = Replica::new(store.clone(), "prod".to_owned(), identity(), rules());
    cold.open().await.expect("it must open");
    assert_eq!(cold.load().await, Ok(None));
}

#[tokio::test]
async fn a_check_of_everything_leaves_an_intact_database_alone() {
    let directory = directory();
    fill(&directory).await;
    let store = Store::open(directory.path()).expect("the store must open");
    assert_eq!(store.check_integrity().await, Ok(()));
    assert_eq!(store.status().await.expect("it must answer").recovered, None);
    store.close().await;
    assert_eq!(reopen(&directory).await, Ok((false, Some(2))));
}

#[tokio::test]
async fn a_database_that_was_removed_takes_no_more_polls() {
    let directory = directory();
    let store = Store::open(directory.path()).expect("the store must open");
    let replica = synced(&store, rules(), vec![]).await;
    fs::remove_file(database(&directory)).expect("it must be removed");
    let outcome = replica.commit_poll(poll(60, vec![])).await.map(|_| ());
    assert_eq!(outcome, Err(Error::Removed(database(&directory))));
}

#[tokio::test]
async fn another_identity_starts_cold_and_its_rows_are_removed() {
    let store = Store::in_memory().expect("the store must open");
    synced(&store, rules(), vec![task("1", "failed", -90, Some(-60))]).await;
    let other = Identity { organizational_unit: Some("other".to_owned()), ..identity() };
    let mut cold = Replica::new(store.clone(), "prod".to_owned(), other, rules());
    cold.open().await.expect("it must open");
    assert_eq!(cold.load().await, Ok(None));
    assert_eq!(store.purge_retired().await, Ok(true), "rows");
    assert_eq!(store.purge_retired().await, Ok(true), "the account");
    assert_eq!(store.purge_retired().await, Ok(false));
}
