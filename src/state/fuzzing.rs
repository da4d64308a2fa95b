//! What holds of every state file, whatever its text, and of the ledger that is made of it: for the fuzzer
//! (`tests/fuzz`), whose corpus is tried with the other tests as well.
//!
//! It is built for fuzzing and for tests alone.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use super::document::sealed;
use super::{Fault, Identity, Memory, decode, encode};
use crate::ledger::{Ledger, Observations, PollTime, Rules, Snapshot};
use crate::task::{Label, Status, Task, TaskId};
use crate::time::{Timestamp, earlier, later};

/// How many things the daemon does with what it restored.
const STEPS: u32 = 8;

/// How many tasks a poll can show that the ledger does not follow.
const FEW: u32 = 12;

/// What the API calls a status, and words that it does not know.
const WORDS: [&str; 9] =
    ["queued", "in_progress", "aborting", "completed", "failed", "aborted", "paused", "other", "cancelled"];

/// Names of categories and types: more than the lowest caps.
const NAMES: [&str; 5] = ["backup", "restore", "ebs", "other", "unknown"];

/// Reads the text as a state file: it is one with the right digest, or a fault that says something.
///
/// # Panics
/// If it is neither.
pub fn read(text: &[u8]) {
    match decode(text, &identity()) {
        Ok(_) => {
            let first_line =
                text.iter().position(|byte| *byte == b'\n').expect("a state must have two lines");
            assert_eq!(sealed(&text[first_line + 1..]), text, "it must have its digest");
        }
        Err(fault) => assert!(!fault.to_string().is_empty(), "the fault must say something"),
    }
}

/// Reads the input as what follows the first line of a state file and, after a zero byte, a seed for what happens
/// then. If a ledger comes of it, that is used as the daemon would: it goes through polls, reloads, audits, heals and
/// restarts, and what is kept of it is always read back as the same numbers.
///
/// Gives whether a ledger came of it.
///
/// # Panics
/// If any of it does not hold.
#[must_use]
pub fn restore(input: &[u8]) -> bool {
    let (body, seed) = match input.iter().position(|byte| *byte == 0) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    let Ok((memory, _)) = decode(&sealed(body), &identity()) else { return false };
    let seed = seed.iter().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(*byte));
    let mut random = Rng::with_seed(seed);
    let rules = rules(&mut random);
    let Ok(ledger) = Ledger::restored(memory.ledger, rules.clone()) else { return false };
    let again = restarted(&ledger, &rules);
    assert_eq!(again.saved(), ledger.saved(), "what was just read must be kept as it is");
    Daemon { ledger, rules, random }.run();
    true
}

/// The account whose state is read.
fn identity() -> Identity {
    Identity { base_url: "https://clumio.example/".to_owned(), organizational_unit: None }
}

/// Rules within the bounds of the configuration.
fn rules(random: &mut Rng) -> Rules {
    let mut one_of = |minutes: [u64; 3]| Duration::from_mins(minutes[random.usize(..3)]);
    let (window, overlap, counter_hold) =
        (one_of([1, 1_440, 43_200]), one_of([1, 10, 1_440]), one_of([0, 2, 1_440]));
    Rules {
        window,
        overlap,
        counter_hold,
        max_categories: random.usize(1..=3),
        max_kinds: random.usize(1..=4),
    }
}

/// The ledger of a process that goes on after this one.
fn restarted(ledger: &Ledger, rules: &Rules) -> Ledger {
    let memory = Memory { ledger: ledger.saved(), first_pass: None };
    let text = encode(&identity(), memory.clone(), ledger.latest());
    let (read, written) = decode(&text, &identity()).unwrap_or_else(|fault: Fault| panic!("{fault}"));
    assert_eq!((&read, written), (&memory, ledger.latest()), "what is written must be read back");
    let restored = Ledger::restored(read.ledger, rules.clone());
    let restored =
        restored.unwrap_or_else(|contradiction| panic!("what is kept is refused: {contradiction}"));
    assert_eq!(restored.snapshot(), ledger.snapshot(), "the numbers must be the same");
    restored
}

/// What the daemon does with a ledger.
struct Daemon {
    ledger: Ledger,
    rules: Rules,
    random: Rng,
}

// === impl Daemon ===

impl Daemon {
    fn run(mut self) {
        for _ in 0..STEPS {
            let before = self.ledger.snapshot();
            match self.random.u32(..8) {
                0 => self.reload(),
                1 => self.audit(),
                2 => self.heal(),
                3 => self.ledger = restarted(&self.ledger, &self.rules),
                _ => {
                    let (rows, time) = self.poll();
                    self.ledger.commit(rows, time);
                }
            }
            let after = self.ledger.snapshot();
            if let Some((before, after)) = before.as_ref().zip(after.as_ref()) {
                check_rising(before, after);
            }
            restarted(&self.ledger, &self.rules);
        }
    }

    fn reload(&mut self) {
        self.rules = rules(&mut self.random);
        self.ledger.set_rules(self.rules.clone());
    }

    fn audit(&mut self) {
        let now = self.instant();
        let interval = Duration::from_mins(self.random.u64(..30));
        let Some(range) = self.ledger.audit_due(interval, now) else { return };
        assert!(range.from < range.to, "the range is from {} to {}", range.from, range.to);
        let total = match self.random.u32(..3) {
            0 => range.tasks,
            1 => range.tasks.saturating_add(self.random.u64(..4)),
            _ => u64::from(self.random.u32(..)),
        };
        self.ledger.audited(range, total, now);
        let _ = self.ledger.needs_heal();
    }

    /// A first pass beside the ledger, and polls that are committed to both until the one takes over the other.
    fn heal(&mut self) {
        let baseline = self.instant();
        let mut fresh = self.ledger.fresh(&self.rules, baseline);
        if self.random.bool() {
            fresh.audit_after(self.instant());
        }
        for to in [earlier(baseline, Duration::from_hours(1)), baseline] {
            let (history, time) = self.poll();
            fresh.take_slice(history, to, time);
        }
        for _ in 0..3 {
            let (rows, time) = self.poll();
            fresh.commit(rows.clone(), time);
            self.ledger.commit(rows, time);
            if self.ledger.heal(&fresh) {
                assert_eq!(self.ledger.window(), self.rules.window, "a heal must fill the window");
                return;
            }
        }
        self.ledger.give_up_heal();
    }

    /// What a poll reads, and when.
    fn poll(&mut self) -> (Vec<Task>, PollTime) {
        let first_answer = self.instant();
        let last_answer = later(first_answer, Duration::from_millis(self.random.u64(..2_000)));
        let latest = if self.random.bool() { last_answer } else { last_answer.max(self.instant()) };
        let ids: BTreeSet<TaskId> = self.ledger.followed().cloned().chain(few_ids()).collect();
        let shown: Vec<TaskId> = ids.into_iter().filter(|_| self.random.bool()).collect();
        let rows = shown.into_iter().map(|id| self.task(id)).collect();
        (rows, PollTime { first_answer, last_answer, latest })
    }

    fn task(&mut self, id: TaskId) -> Task {
        let mut name = || Label::new(NAMES[self.random.usize(..NAMES.len())]);
        let [category, task_type] = [name(), name()];
        let status = Status::from_word(WORDS[self.random.usize(..WORDS.len())]);
        let [created, started, ended] =
            [(); 3].map(|()| if self.random.u32(..4) > 0 { Some(self.instant()) } else { None });
        Task { id, category, task_type, status, created, started, ended, primary: None, parent: None }
    }

    /// An instant that means something to the ledger, or one near it.
    fn instant(&mut self) -> Timestamp {
        let ledger = &self.ledger;
        let latest = ledger.latest();
        let instants = [
            latest,
            latest,
            latest,
            ledger.baseline(),
            ledger.listed_from(),
            ledger.read_from(),
            Timestamp::MIN,
            Timestamp::MAX,
        ];
        let at = instants[self.random.usize(..instants.len())];
        let seconds = [0, 1, 60, 3_600, 7_200, 86_400, 400 * 86_400];
        let by = Duration::from_secs(seconds[self.random.usize(..seconds.len())]);
        if self.random.u32(..4) == 0 { earlier(at, by) } else { later(at, by) }
    }
}

/// Ids that the ledger may know.
fn few_ids() -> impl Iterator<Item = TaskId> {
    (1..=FEW).filter_map(|id| TaskId::new(&id.to_string()))
}

/// Checks that no counter, no histogram and no last end fell, and that no series is gone.
fn check_rising(before: &Snapshot, after: &Snapshot) {
    assert!(after.vanished_total >= before.vanished_total, "vanished fell");
    assert!(after.missed_total >= before.missed_total, "missed fell");
    for kind in &before.kinds {
        let now =
            after.kinds.iter().find(|now| now.category == kind.category && now.task_type == kind.task_type);
        let now = now.expect("a kind must stay");
        assert!(now.created_total >= kind.created_total, "created fell");
        check_observed(kind.queue_durations.as_deref(), now.queue_durations.as_deref());
        let ended = now.statuses.iter().filter_map(|status| status.ended_total).sum();
        assert!(observed(now.queue_durations.as_deref()) <= ended, "more waited than ended");
        for status in &kind.statuses {
            let now = now.statuses.iter().find(|now| now.status == status.status);
            let now = now.expect("a status must stay");
            assert!(now.ended_total >= status.ended_total, "ended fell");
            assert!(now.last_ended >= status.last_ended, "the last end went back");
            check_observed(status.run_durations.as_deref(), now.run_durations.as_deref());
            assert!(
                observed(now.run_durations.as_deref()) <= now.ended_total.unwrap_or(0),
                "more ran than ended"
            );
        }
    }
}

fn observed(durations: Option<&Observations>) -> u64 {
    durations.map_or(0, Observations::count)
}

/// Checks that no sample of a histogram fell.
fn check_observed(before: Option<&Observations>, after: Option<&Observations>) {
    let Some(before) = before else { return };
    let after = after.expect("a histogram must stay");
    assert!(after.count() >= before.count() && after.sum() >= before.sum(), "a histogram fell");
    let mut buckets = before.cumulative().zip(after.cumulative());
    assert!(buckets.all(|((_, before), (_, after))| before <= after), "a bucket fell");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_state_of_the_corpus_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/state");
        let (mut states, mut restored) = (0, 0);
        for entry in fs::read_dir(folder).expect("the corpus must be readable") {
            let path = entry.expect("the entry must be readable").path();
            let input = fs::read(path).expect("the state must be readable");
            read(&input);
            restored += u32::from(restore(&input));
            states += 1;
        }
        assert!(states > 10 && restored > 5, "the corpus must be found, and much of it believed");
    }
}
