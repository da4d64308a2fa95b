//! State files: what is written is read back, and nothing else is believed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ledger::{Ledger, PollTime, Rules, Snapshot};
use crate::task::{Label, Status, Task, TaskId};

/// The latest instant that the ledgers here know of, in seconds since the Unix epoch.
const NOW: i64 = 1_800_000_000;

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(NOW + at).expect("the second must be in range")
}

fn rules() -> Rules {
    Rules {
        window: Duration::from_hours(24),
        overlap: Duration::from_mins(10),
        counter_hold: Duration::from_mins(2),
        max_categories: 20,
        max_kinds: 200,
    }
}

fn identity() -> Identity {
    Identity { base_url: "https://clumio.example/".to_owned(), organizational_unit: None }
}

fn task(id: u64, status: &str) -> Task {
    let status = Status::from_word(status);
    Task {
        id: TaskId::new(&id.to_string()).expect("the id must be valid"),
        category: Label::new("backup \"of\" every\nkind"),
        task_type: Label::new("ebs"),
        created: Some(second(-60)),
        started: Some(second(-50)),
        ended: (status.is_final() || status == Status::from_word("paused")).then(|| second(-10)),
        status,
        primary: None,
        parent: None,
    }
}

/// A ledger with something of everything.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(rules(), second(-600), second(-3_600));
    ledger.take_baseline(vec![task(1, "in_progress"), task(2, "completed")], second(-600));
    let time = PollTime { first_answer: second(-1), last_answer: second(0), latest: second(0) };
    let words = ["queued", "in_progress", "aborting", "completed", "failed", "aborted", "paused", "resumed"];
    let rows: Vec<Task> = (3..).zip(words).map(|(id, word)| task(id, word)).collect();
    ledger.commit(rows.clone(), time);
    let old = Task { created: Some(second(-100_000)), ..task(99, "queued") };
    let later = PollTime { first_answer: second(59), last_answer: second(60), latest: second(60) };
    ledger.commit([rows, vec![old]].concat(), later);
    ledger
}

fn memory() -> Memory {
    Memory { ledger: ledger().saved(), first_pass: Some(vec![(second(-3_600), second(-600))]) }
}

fn text() -> Vec<u8> {
    encode(&identity(), memory(), second(0))
}

/// The same file with another body, and the digest of that.
fn with_body(change: impl Fn(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8(text()).expect("a state file must be text");
    let body = change(text.split_once('\n').expect("it must have a first line").1);
    document::sealed(body.as_bytes())
}

fn directory(path: &Path) -> Arc<Directory> {
    Arc::new(Directory::open(path).expect("the directory must open"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("the runtime must start");
    runtime.block_on(future)
}

/// The file of an account, and what was kept in it.
fn open(directory: &Arc<Directory>) -> (Disk, Option<Restored>) {
    let disk = directory.account("prod", identity());
    let restored = disk.restore(&rules()).expect("it must be readable");
    (disk, restored)
}

fn save(disk: &Disk, memory: Memory) -> Result<Option<Written>, Error> {
    block_on(disk.save(memory))
}

/// The names of the files in a directory, sorted.
fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("the directory must be listed");
    let names = entries.map(|entry| entry.expect("an entry must be read").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_back() {
    let (read, written) = decode(&text(), &identity()).expect("it must be read");
    assert_eq!(read, memory());
    assert_eq!(written, second(0));
    let restored = Ledger::restored(read.ledger, rules()).expect("it must be restored");
    assert_eq!(restored.snapshot(), ledger().snapshot());
}

#[test]
fn a_state_file_is_json_that_a_person_can_check() {
    let text = text();
    let json: serde_json::Value = serde_json::from_slice(&text).expect("it must be JSON");
    assert_eq!(json["version"], 3);
    let folder = tempfile::tempdir().expect("a folder must be had");
    let file = folder.path().join("prod.json");
    fs::write(&file, &text).expect("the file must be written");
    let command = format!("tail -n +2 '{}' | sha256sum", file.display());
    let digest = Command::new("sh").args(["-c", &command]).output().expect("sh must run");
    let digest = String::from_utf8(digest.stdout).expect("a digest must be text");
    assert_eq!(digest.split_whitespace().next(), json["sha256"].as_str());
}

#[test]
fn no_flipped_bit_is_believed() {
    let whole = text();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decode(&damaged, &identity()), Err(Fault::Damaged(_))), "bit {bit}");
    }
}

#[test]
fn no_torn_file_is_believed() {
    let whole = text();
    for length in 0..whole.len() {
        assert!(matches!(decode(&whole[..length], &identity()), Err(Fault::Damaged(_))), "{length} bytes");
        let mut zeros = whole[..length].to_vec();
        zeros.resize(whole.len(), 0);
        assert!(matches!(decode(&zeros, &identity()), Err(Fault::Damaged(_))), "zeros from byte {length}");
    }
}

#[test]
fn a_newer_version_and_another_account_are_told_apart() {
    let newer = with_body(|body| body.replacen("\"version\":3,", "\"version\":4,\"more\":0,", 1));
    assert_eq!(decode(&newer, &identity()), Err(Fault::Newer(4)));
    let unit = Identity { organizational_unit: Some("u".to_owned()), ..identity() };
    assert!(matches!(decode(&text(), &unit), Err(Fault::Foreign(_))));
    let api = Identity { base_url: "https://another.example/".to_owned(), ..identity() };
    assert!(matches!(decode(&text(), &api), Err(Fault::Foreign(_))));
}

/// What is published of a file of an older version with [`ledger`] in it: it knows ends by their granule alone, of which
/// the beginning stands for them, no durations, and no list of failures.
fn published_of_older() -> Snapshot {
    let mut snapshot = ledger().snapshot().expect("a poll must have been committed");
    snapshot.failures = std::sync::Arc::default();
    for kind in &mut snapshot.kinds {
        kind.queue_durations = None;
        for sample in &mut kind.statuses {
            sample.run_durations = None;
            sample.last_ended = sample.last_ended.map(|_| second(-60));
        }
    }
    snapshot
}

#[test]
fn files_of_older_versions_are_read() {
    let files = [&include_bytes!("version-1.json")[..], include_bytes!("version-2.json")];
    for (version, text) in (1..).zip(files) {
        let (memory, written) = decode(text, &identity()).expect("it must be read");
        assert_eq!(written, second(0), "version {version}");
        let restored = Ledger::restored(memory.ledger, rules()).expect("it must be restored");
        assert_eq!(restored.snapshot(), Some(published_of_older()), "version {version}");
        assert_eq!(restored.drift(), None);
        assert!(!restored.needs_heal());
    }
}

#[test]
fn what_may_not_be_final_goes_on_after_a_file_of_the_second_version() {
    let (memory, _) = decode(include_bytes!("version-2.json"), &identity()).expect("it must be read");
    let mut ledger = Ledger::restored(memory.ledger, rules()).expect("it must be restored");
    let mut poll = |at: i64, rows: &[Task]| {
        let time = PollTime { first_answer: second(at), last_answer: second(at), latest: second(at) };
        let snapshot = ledger.commit(rows.to_vec(), time);
        let paused = snapshot.kinds[0].statuses.iter().find(|it| it.status == Status::from_word("paused"));
        let paused = paused.expect("its status must stay");
        (paused.last_ended, paused.run_durations.as_ref().map(|durations| durations.sum()))
    };
    let (paused, took) = (task(9, "paused"), Duration::from_secs(40));
    assert_eq!(poll(120, std::slice::from_ref(&paused)), (None, None));
    assert_eq!(poll(3_660, std::slice::from_ref(&paused)), (Some(second(-10)), Some(Duration::ZERO)));
    assert_eq!(poll(3_780, &[]), (Some(second(-10)), Some(took)));
}

#[test]
fn files_of_older_versions_without_a_ledger_are_damaged() {
    for ledger in ["5", "[]", "null", "\"\""] {
        for version in 1..3 {
            let text = format!("\"version\":{version},\"ledger\":{ledger}}}\n");
            let text = document::sealed(text.as_bytes());
            assert!(matches!(decode(&text, &identity()), Err(Fault::Damaged(_))), "{ledger}");
        }
    }
}

#[test]
fn what_contradicts_itself_is_not_believed() {
    for (part, other) in [
        ("\"published\":0", "\"published\":90"),
        ("\"total\":1", "\"total\":18446744073709551615"),
        ("\"sum\":{\"secs\":40,", "\"sum\":{\"secs\":400,"),
        ("\"counts\":[0,2,0", "\"counts\":[0,2,1"),
        ("\"counts\":[0,1,0", "\"counts\":[0,2,0"),
        ("\"run\":{\"total\":{\"counts\":[0,1", "\"run\":{\"total\":{\"counts\":[0,0"),
        ("\"kind\":0", "\"kind\":1"),
        ("\"status\":\"queued\",\"created\"", "\"status\":\"unheard\",\"created\""),
        ("\"id\":\"3\"", "\"id\":\"4\""),
        ("\"id\":\"3\"", "\"id\":\"\""),
    ] {
        let text = with_body(|body| {
            assert!(body.contains(part), "{part} must be in {body}");
            body.replacen(part, other, 1)
        });
        let ledger = decode(&text, &identity()).map(|(memory, _)| Ledger::restored(memory.ledger, rules()));
        assert!(!matches!(ledger, Ok(Ok(_))), "{part} as {other}");
    }
}

#[test]
fn a_saved_account_is_restored_and_private() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let path = folder.path().join("below/state");
    let directory = directory(&path);
    let (disk, none) = open(&directory);
    assert!(none.is_none());
    let written = save(&disk, memory()).expect("it must be kept").expect("a disk must say what it wrote");
    let file = path.join("prod.json");
    assert_eq!(fs::metadata(&file).expect("the file must be there").len(), written.bytes);
    let mode = |path: &Path| fs::metadata(path).expect("it must be there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    let (_, restored) = open(&directory);
    let restored = restored.expect("it must be restored");
    assert_eq!(restored.written, written);
    assert_eq!(restored.ledger.snapshot(), ledger().snapshot());
    assert_eq!(files(&path), ["lock", "prod.json"]);
}

#[test]
fn what_is_not_believed_is_set_aside_and_never_lost() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let directory = directory(folder.path());
    let file = folder.path().join("prod.json");
    for _ in 0..2 {
        fs::write(&file, "{}").expect("the file must be written");
        let (disk, none) = open(&directory);
        assert!(none.is_none());
        save(&disk, memory()).expect("it must be kept");
    }
    let aside: Vec<String> =
        files(folder.path()).into_iter().filter(|name| name.starts_with("prod.json.damaged-")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    for name in aside {
        let text = fs::read_to_string(folder.path().join(name)).expect("the file must be read");
        assert_eq!(text, "{}");
    }
}

#[test]
fn one_directory_has_one_process() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let first = directory(folder.path());
    let second = Directory::open(folder.path()).expect_err("it must be in use");
    assert!(matches!(second, Error::InUse(_)), "{second}");
    drop(first);
    directory(folder.path());
}

#[test]
fn an_unfinished_file_of_a_crash_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let directory = directory(folder.path());
    fs::write(folder.path().join("prod.json.new"), "half a fi").expect("the file must be written");
    let (disk, none) = open(&directory);
    assert!(none.is_none());
    save(&disk, memory()).expect("it must be kept");
    assert_eq!(files(folder.path()), ["lock", "prod.json"]);
}

#[test]
fn what_cannot_be_written_leaves_what_was_kept() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let directory = directory(folder.path());
    let (disk, _) = open(&directory);
    save(&disk, memory()).expect("it must be kept");
    let kept = fs::read(folder.path().join("prod.json")).expect("the file must be read");
    // A directory in the place of the new file: nothing can be written there, whoever tries.
    fs::create_dir(folder.path().join("prod.json.new")).expect("it must be made");
    let error = save(&disk, memory()).expect_err("it must fail").to_string();
    assert!(error.contains("prod.json: cannot write the state: "), "{error}");
    assert_eq!(fs::read(folder.path().join("prod.json")).expect("the file must be read"), kept);
    fs::remove_dir(folder.path().join("prod.json.new")).expect("it must be removed");
    save(&disk, memory()).expect("it must be kept again");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("the file must be written");
    let error = Directory::open(&file.join("state")).expect_err("it must fail").to_string();
    assert!(
        error.starts_with(&format!("{}: cannot make the state directory: ", file.join("state").display())),
        "{error}"
    );
}

#[test]
fn a_lock_that_was_taken_away_is_noticed_before_the_next_write() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let (one, _) = open(&directory(folder.path()));
    save(&one, memory()).expect("it must be kept");
    fs::remove_file(folder.path().join("lock")).expect("it must be removed");
    let (two, restored) = open(&directory(folder.path()));
    assert!(restored.is_some());
    save(&two, memory()).expect("the second one has the lock now");
    assert!(matches!(save(&one, memory()), Err(Error::InUse(_))), "two must not write one file");
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    // Reading it is an input or output error.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("prod.json")).expect("it must be made");
    let disk = directory(folder.path()).account("prod", identity());
    let error = disk.restore(&rules()).expect_err("it must fail").to_string();
    assert!(error.contains("prod.json: cannot read the state: "), "{error}");
    assert_eq!(files(folder.path()), ["lock", "prod.json"]);
}

#[test]
fn what_was_planted_as_an_unfinished_file_is_not_written_into() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let (disk, _) = open(&directory(folder.path()));
    let (target, new) = (folder.path().join("target"), folder.path().join("prod.json.new"));
    fs::write(&target, "precious").expect("it must be written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o666)).expect("the mode must be set");
    std::os::unix::fs::symlink(&target, &new).expect("it must be made");
    save(&disk, memory()).expect("it must be kept");
    assert_eq!(fs::read_to_string(&target).expect("it must be read"), "precious");
    let file = fs::symlink_metadata(folder.path().join("prod.json")).expect("it must be there");
    assert!(file.is_file() && file.permissions().mode() & 0o777 == 0o600);
}
