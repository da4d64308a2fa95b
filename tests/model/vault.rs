//! A state in memory, kept as the real one is: what is not in its bytes is lost with the process.
//!
//! A save writes the new file beside the old one, syncs it, renames it over the old one, and syncs the folder. Each
//! step can fail, or be the last thing that its process or its machine does; what is found then is the old file or the
//! new one. That the real file is written in these steps is tested where it is written.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use clumio_exporter::ledger::{Ledger, Rules, Snapshot};
use clumio_exporter::state::{Error, Identity, Memory, Restored, Written, decode, encode};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::flaw::Flaw;
use crate::tally::{Happening, tally};
use crate::world::{DAY_ZERO, timestamp};

/// How saves go, as probabilities.
#[derive(Debug, Clone)]
pub struct Habits {
    pub failing: f64,
    /// The process ends in the middle of a save.
    pub crashing: f64,
    pub seed: u64,
}

/// Keeps the state of one account.
pub struct Vault {
    habits: Habits,
    crash: Arc<Crash>,
    flaw: Flaw,
    state: Mutex<State>,
}

/// Ends the process in the middle of what it does.
#[derive(Default)]
pub struct Crash(AtomicBool);

/// What a new process finds.
pub struct Found {
    pub restored: Option<Restored>,
    /// Whether its save was said to have failed.
    pub is_doubtful: bool,
}

struct State {
    random: SmallRng,
    faults: bool,
    /// Becomes bytes when a process reads it: most are replaced before.
    kept: Option<Memory>,
    /// What took its place without the folder having been synced: a machine that ends now can bring back the other.
    doubtful: Option<Memory>,
    /// Whether that is of the last save.
    has_just_failed: bool,
    /// How much was written of the new file beside it when a process ended, as a random number.
    torn: Option<usize>,
    /// What a flawed vault has still to write.
    late: Option<Memory>,
    polls: u64,
}

/// What becomes of a save.
#[derive(Clone, Copy)]
enum Fate {
    Works,
    /// This step fails.
    Fails(Step),
    /// The process ends, or the machine, before this step is done.
    Ends(Step),
    /// The process ends after all of them.
    EndsAfter,
}

/// The steps of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    Sync,
    Rename,
    SyncFolder,
}

// === impl Vault ===

impl Vault {
    pub fn new(habits: Habits, crash: Arc<Crash>, flaw: Flaw) -> Self {
        let random = SmallRng::seed_from_u64(habits.seed);
        let state = State {
            random,
            faults: true,
            kept: None,
            doubtful: None,
            has_just_failed: false,
            torn: None,
            late: None,
            polls: 0,
        };
        let state = Mutex::new(state);
        Self { habits, crash, flaw, state }
    }

    /// Ends all faults.
    pub fn recover(&self) {
        self.with(|state| state.faults = false);
    }

    /// How many polls were kept.
    pub fn polls(&self) -> u64 {
        self.with(|state| state.polls)
    }

    /// What the last save has of a poll, if it failed when it had taken the place of the other.
    pub fn doubtful(&self, rules: &Rules) -> Option<Snapshot> {
        let memory = self.with(|state| state.doubtful.clone().filter(|_| state.has_just_failed))?;
        Ledger::restored(memory.ledger, rules.clone()).expect("it must not contradict itself").snapshot()
    }

    /// What a new process finds.
    pub fn found(&self, rules: &Rules) -> Found {
        let (torn, is_doubtful) = self.with(State::restart);
        let identity = Identity { base_url: "https://clumio.test".to_owned(), organizational_unit: None };
        let Some(memory) = self.with(|state| state.kept.clone()) else {
            return Found { restored: None, is_doubtful };
        };
        let bytes = encode(&identity, memory, timestamp(DAY_ZERO));
        if let Some(part) = torn {
            let length = part % bytes.len();
            assert!(
                decode(&bytes[..length], &identity).is_err(),
                "what was half written must not be readable"
            );
        }
        let (memory, at) = decode(&bytes, &identity).expect("what was written must be readable");
        let ledger = Ledger::restored(memory.ledger, rules.clone());
        let ledger = ledger.expect("what was written must not contradict itself");
        let written = Written { bytes: bytes.len() as u64, at };
        let restored = Some(Restored { ledger, first_pass: memory.first_pass, written });
        Found { restored, is_doubtful }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("the model must not panic"))
    }

    pub async fn save(&self, memory: Memory) -> Result<Option<Written>, Error> {
        self.with(|state| state.has_just_failed = false);
        match self.with(|state| state.fate(&self.habits)) {
            Fate::Works => self.keep(memory),
            Fate::Fails(_) if self.flaw == Flaw::HidesFailedSaves => {
                self.with(|state| state.polls += u64::from(memory.first_pass.is_none()));
            }
            Fate::Fails(step) => {
                self.with(|state| state.fail(step, memory));
                return Err(full());
            }
            Fate::Ends(step) => {
                self.end(step, memory);
                match self.crash.now().await {}
            }
            Fate::EndsAfter => {
                self.keep(memory);
                match self.crash.now().await {}
            }
        }
        Ok(Some(Written { bytes: 1, at: timestamp(DAY_ZERO) }))
    }

    fn keep(&self, memory: Memory) {
        self.with(|state| {
            (state.doubtful, state.torn) = (None, None);
            state.polls += u64::from(memory.first_pass.is_none());
            state.kept = match self.flaw {
                Flaw::KeepsLate => state.late.replace(memory),
                _ => Some(memory),
            };
        });
    }

    /// The process ends in a save.
    fn end(&self, step: Step, memory: Memory) {
        match step {
            Step::Write | Step::Sync => {
                tally(Happening::TornSave);
                self.with(|state| state.torn = Some(state.random.random_range(0..usize::MAX)));
            }
            Step::Rename => tally(Happening::CrashBeforeRename),
            Step::SyncFolder if self.with(|state| state.random.random_bool(0.5)) => {
                tally(Happening::RenameFound);
                self.keep(memory);
            }
            Step::SyncFolder => tally(Happening::RenameLost),
        }
    }
}

// === impl State ===

impl State {
    fn fate(&mut self, habits: &Habits) -> Fate {
        if !self.faults {
            return Fate::Works;
        }
        let fails = self.random.random_bool(habits.failing);
        if !fails && !self.random.random_bool(habits.crashing) {
            return Fate::Works;
        }
        let steps = [Step::Write, Step::Sync, Step::Rename, Step::SyncFolder];
        match steps.get(self.random.random_range(0..steps.len() + usize::from(!fails))) {
            Some(step) if fails => Fate::Fails(*step),
            Some(step) => Fate::Ends(*step),
            None => Fate::EndsAfter,
        }
    }

    fn fail(&mut self, step: Step, memory: Memory) {
        if step == Step::SyncFolder {
            tally(Happening::FailedAfterRename);
            (self.doubtful, self.has_just_failed) = (Some(memory), true);
        }
    }

    /// Decides which file is there; gives how much of another one is beside it, and whether its save had failed.
    fn restart(&mut self) -> (Option<usize>, bool) {
        let doubtful = self.doubtful.take().filter(|_| self.random.random_bool(0.5));
        let is_doubtful = doubtful.is_some();
        if let Some(memory) = doubtful {
            tally(Happening::DoubtfulFound);
            self.polls += u64::from(memory.first_pass.is_none());
            self.kept = Some(memory);
        }
        (self.torn.take(), is_doubtful)
    }
}

fn full() -> Error {
    let (doing, why) = ("write the state", "the model's disk is full".to_owned());
    Error::Io { path: "vault.json".into(), doing, why, remedy: "wait" }
}

/// Every way in which saves go; most work.
pub fn habits() -> impl Strategy<Value = Habits> {
    let failing = prop_oneof![3 => Just(0.0), 1 => Just(0.3), 1 => 0.0..1.0];
    let crashing = prop_oneof![2 => Just(0.0), 1 => 0.0..0.3];
    (failing, crashing, any::<u64>()).prop_map(|(failing, crashing, seed)| Habits { failing, crashing, seed })
}

// === impl Crash ===

impl Crash {
    /// Ends the process: it does nothing more.
    pub async fn now(&self) -> Infallible {
        self.0.store(true, Ordering::Relaxed);
        pending().await
    }

    /// Runs a process until it is done, or crashes.
    pub async fn unless<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        let mut process = pin!(process);
        poll_fn(|context| {
            let done = process.as_mut().poll(context);
            if self.0.swap(false, Ordering::Relaxed) {
                return Poll::Ready(None);
            }
            done.map(Some)
        })
        .await
    }
}
