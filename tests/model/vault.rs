//! A state in memory, kept as the real one is: what is not in its bytes is lost with the process.
//!
//! A save works, fails, or is the last thing that its process does. That the real file is replaced whole or not at all
//! is tested where it is written.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use clumio_exporter::ledger::{Ledger, Rules};
use clumio_exporter::state::{Error, Identity, Memory, Restored, Written, decode, encode};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::flaw::Flaw;
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

struct State {
    random: SmallRng,
    faults: bool,
    /// Becomes bytes when a process reads it: most are replaced before.
    kept: Option<Memory>,
    /// What a flawed vault has still to write.
    late: Option<Memory>,
    polls: u64,
}

/// What becomes of a save.
enum Fate {
    Works,
    Fails,
    CrashesBefore,
    CrashesAfter,
}

// === impl Vault ===

impl Vault {
    pub fn new(habits: Habits, crash: Arc<Crash>, flaw: Flaw) -> Self {
        let random = SmallRng::seed_from_u64(habits.seed);
        let state = Mutex::new(State { random, faults: true, kept: None, late: None, polls: 0 });
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

    /// What a new process finds.
    pub fn restored(&self, rules: &Rules) -> Option<Restored> {
        let identity = Identity { base_url: "https://clumio.test".to_owned(), organizational_unit: None };
        let bytes = encode(&identity, self.with(|state| state.kept.clone())?, timestamp(DAY_ZERO));
        let (memory, at) = decode(&bytes, &identity).expect("what was written must be readable");
        let ledger = Ledger::restored(memory.ledger, rules.clone());
        let ledger = ledger.expect("what was written must not contradict itself");
        let written = Written { bytes: bytes.len() as u64, at };
        Some(Restored { ledger, first_pass: memory.first_pass, written })
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("the model must not panic"))
    }

    fn fate(&self) -> Fate {
        self.with(|state| {
            if !state.faults {
                Fate::Works
            } else if state.random.random_bool(self.habits.failing) {
                Fate::Fails
            } else if !state.random.random_bool(self.habits.crashing) {
                Fate::Works
            } else if state.random.random_bool(0.5) {
                Fate::CrashesBefore
            } else {
                Fate::CrashesAfter
            }
        })
    }

    fn keep(&self, memory: Memory) {
        self.with(|state| {
            state.polls += u64::from(memory.first_pass.is_none());
            state.kept = match self.flaw {
                Flaw::KeepsLate => state.late.replace(memory),
                _ => Some(memory),
            };
        });
    }

    pub async fn save(&self, memory: Memory) -> Result<Option<Written>, Error> {
        match self.fate() {
            Fate::Works => self.keep(memory),
            Fate::Fails if self.flaw == Flaw::HidesFailedSaves => {
                self.with(|state| state.polls += u64::from(memory.first_pass.is_none()));
            }
            Fate::Fails => return Err(full()),
            Fate::CrashesBefore => match self.crash.now().await {},
            Fate::CrashesAfter => {
                self.keep(memory);
                match self.crash.now().await {}
            }
        }
        Ok(Some(Written { bytes: 1, at: timestamp(DAY_ZERO) }))
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
