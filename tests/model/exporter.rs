//! One exporter that follows one account, through crashes, restarts and reloads, with checks after every poll.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clumio_exporter::poll::{Background, Poller, Report};
use clumio_exporter::store::{AccountState, Identity, Replica, Snapshot, Store};
use proptest::prelude::*;

use crate::account::{DAY, HOUR, Life, START, Trouble, UNKNOWN_OUTCOME};
use crate::api::{Interrupt, SimulatedApi};
use crate::asset_poll::AssetOracle;
use crate::checks::{check_counters, check_durations, check_gauges, check_uncommitted};
use crate::clock_oracle::ClockOracle;
use crate::holds::{Freedom, Holds};
use crate::instants::check_instants;
use crate::knowledge::Knowledge;
use crate::schedule::{Change, Config, Schedule, Setup, micros};
use crate::tally::{Happening, tally};
use crate::truth::{View, published};

/// Steps between two polls, at most.
const MAX_STEPS: u32 = 2_000;

/// One exporter that follows one account.
pub struct Exporter<'a> {
    pub api: &'a SimulatedApi,
    store: Store,
    poller: Poller<&'a SimulatedApi>,
    pub setup: Setup,
    pub config: Config,
    shortest_retention: i64,
    clock: ClockOracle,
    holds: Holds,
    knowledge: Knowledge,
    assets: AssetOracle,
    /// What the database had of the account after the last poll that was committed.
    pub state: Option<AccountState>,
    /// Whether anything was committed since.
    has_other_writes: bool,
    /// What was committed last.
    pub committed: Option<Arc<Snapshot>>,
    /// True time from the begin of the last poll that was committed.
    last_commit: i64,
    /// Monotonic time of the processes before.
    steady_before: i64,
    /// Whether everything that can be found must have been found.
    pub is_at_rest: bool,
    /// What happened so far, for the message of a failure.
    pub log: Vec<String>,
}

impl<'a> Exporter<'a> {
    pub fn new(schedule: &Schedule, api: &'a SimulatedApi) -> Self {
        let (setup, config) = (schedule.setup, schedule.config);
        let store = Store::in_memory().expect("there must be memory");
        let poller = Poller::new(api, replica(&store, &setup, &config), config.options(&setup));
        Self {
            api,
            store,
            poller,
            setup,
            config,
            shortest_retention: config.retention,
            clock: ClockOracle::new(None),
            holds: Holds::default(),
            knowledge: Knowledge::new(schedule.account.lives.len()),
            assets: AssetOracle::new(schedule),
            state: None,
            has_other_writes: false,
            committed: None,
            last_commit: START,
            steady_before: 0,
            is_at_rest: false,
            log: Vec::new(),
        }
    }

    fn note(&mut self, event: &str) {
        let at = Duration::from_micros((self.api.now() - START).unsigned_abs());
        self.log.push(format!("{at:?} {event}"));
    }

    pub async fn change(&mut self, change: Change) -> Result<(), TestCaseError> {
        match change {
            Change::Nothing => {}
            Change::Restart { is_clean } => self.end_process(is_clean).await?,
            Change::RestartWith(config) => {
                self.configure(config);
                self.end_process(true).await?;
            }
            Change::Reload(config) => {
                tally(Happening::Reload);
                self.note(&format!("reload {config:?}"));
                self.configure(config);
                self.poller.reconfigure(self.api, config.options(&self.setup));
            }
            Change::Suspend(length) => {
                tally(Happening::Suspended);
                self.api.set_clocks(|clocks| clocks.suspend(length));
            }
            Change::SetDate(ahead) => {
                let before = self.api.clocks().date_ahead;
                let happening = if ahead < before { Happening::DateBack } else { Happening::DateForward };
                tally(happening);
                self.note(&format!("date ahead by {}s", ahead / 1_000_000));
                self.api.set_clocks(|clocks| (clocks.date_ahead, clocks.frozen) = (ahead, None));
            }
            Change::FreezeDate => {
                tally(Happening::DateFrozen);
                self.note("date frozen");
                self.api.set_clocks(|clocks| clocks.frozen = Some(clocks.now + clocks.date_ahead));
            }
            Change::SetLocal(ahead) => self.api.set_clocks(|clocks| clocks.local_ahead = ahead),
        }
        Ok(())
    }

    fn configure(&mut self, config: Config) {
        self.config = config;
        self.shortest_retention = self.shortest_retention.min(config.retention);
    }

    async fn end_process(&mut self, is_clean: bool) -> Result<(), TestCaseError> {
        if is_clean {
            tally(Happening::RestartClean);
            self.note_writes().await?;
            let finished = self.poller.finish(self.api.clocks().moment()).await;
            prop_assert!(finished.is_ok(), "cannot finish: {:?}", finished);
        }
        self.restart(is_clean).await
    }

    async fn note_writes(&mut self) -> Result<(), TestCaseError> {
        self.has_other_writes |= self.load().await? != self.state;
        Ok(())
    }

    /// Begins a process with what the database has.
    async fn restart(&mut self, is_clean: bool) -> Result<(), TestCaseError> {
        if !is_clean {
            self.note_writes().await?;
        }
        self.steady_before += self.steady();
        self.api.set_clocks(crate::clocks::Clocks::restart);
        let replica = replica(&self.store, &self.setup, &self.config);
        self.poller = Poller::new(self.api, replica, self.config.options(&self.setup));
        self.poller.open().await.map_err(|error| TestCaseError::fail(format!("cannot open: {error}")))?;
        let state = self.load().await?;
        let found = self.poller.committed().cloned();
        self.note(&format!("process begins at T {:?}", found.as_ref().map(|found| found.time)));
        let is_changed = std::mem::take(&mut self.has_other_writes);
        if is_changed {
            tally(Happening::CommittedInCrash);
        }
        self.knowledge.note_state(state.as_ref());
        if let Some(found) = &found {
            self.check_found(found, state.as_ref(), is_changed)?;
            let view = self.view(found, (self.last_commit, self.api.now()), state.as_ref());
            self.assets.check_found(&view, found, (self.config.assets, is_changed))?;
        } else {
            prop_assert!(self.committed.is_none(), "what was committed is gone");
        }
        if found.is_some() && self.committed.is_none() {
            self.knowledge.synced.get_or_insert(self.api.now());
        }
        self.clock = ClockOracle::new(state.as_ref().map(|state| state.marks.time));
        self.holds = Holds::default();
        self.assets.restart(self.config.assets, is_changed);
        self.knowledge.restart();
        (self.state, self.committed) = (state, found);
        Ok(())
    }

    /// Checks what a process finds: the numbers of the last commit, with the marks that were written.
    fn check_found(
        &self,
        found: &Snapshot,
        state: Option<&AccountState>,
        is_changed: bool,
    ) -> Result<(), TestCaseError> {
        let now = published(found, self.setup.folds);
        let before = self.committed.as_ref().map(|it| published(it, self.setup.folds)).unwrap_or_default();
        let mut view = self.view(found, (self.last_commit, self.api.now()), state);
        // After an outage, what is new is committed in slices: the process may have ended between two of them.
        view.hides_rows |= is_changed;
        let bounds = view.bounds();
        check_gauges(&bounds, &now)?;
        check_instants(&view, found)?;
        if is_changed {
            let freedoms = now.keys().map(|series| (*series, Freedom::May)).collect();
            return check_counters(&bounds, &freedoms, &before, &now);
        }
        let is_counter = |(series, _): &(_, _)| {
            let (family, ..): &crate::truth::Series = series;
            *family != crate::truth::Family::Tasks
        };
        let counters = |numbers: &std::collections::BTreeMap<crate::truth::Series, u64>| -> Vec<_> {
            numbers.iter().map(|(series, number)| (*series, *number)).filter(is_counter).collect()
        };
        prop_assert_eq!(counters(&now), counters(&before), "a restart publishes other counters");
        Ok(())
    }

    /// Polls once, checks what is published, and does what is to be done between polls. Gives whether it succeeded.
    pub async fn poll(&mut self) -> Result<bool, TestCaseError> {
        let has_succeeded = self.poll_only().await?;
        if has_succeeded {
            self.work_in_background().await?;
        }
        Ok(has_succeeded)
    }

    /// Polls once and does what is to be done between polls, without any check.
    pub async fn poll_unchecked(&mut self) {
        let report = self.poller.poll().await.expect("the API must have no faults");
        self.committed = Some(report.snapshot);
        while self.poller.background_step().await.expect("the API must have no faults") == Background::More {}
    }

    /// True time since the begin.
    pub fn elapsed(&self) -> i64 {
        self.api.now() - START
    }

    /// Polls once and checks what is published.
    pub async fn poll_only(&mut self) -> Result<bool, TestCaseError> {
        self.api.take_record();
        self.knowledge.covered_from = self.load().await?.map(|state| state.marks.covered_from);
        let start = self.api.now();
        let fails_commits = self.api.chance(self.api.behaviour.failing_commits);
        if fails_commits {
            self.store.set_fails_commits(true).await;
        }
        let outcome = drive(self.api, self.poller.poll()).await;
        if fails_commits {
            self.store.set_fails_commits(false).await;
        }
        let poll = (start, self.api.now());
        match outcome {
            Err(interrupt) => {
                tally_crash(interrupt);
                self.note("crash");
                self.read_in_vain(poll).await?;
                self.restart(false).await?;
                Ok(false)
            }
            Ok(Err(error)) => {
                tally(Happening::PollFailed);
                self.note(&format!("poll failed: {error}"));
                self.read_in_vain(poll).await?;
                Ok(false)
            }
            Ok(Ok(report)) => {
                self.check(report, poll).await?;
                Ok(true)
            }
        }
    }

    /// Notes what a poll may have stored that failed.
    async fn read_in_vain(&mut self, poll: (i64, i64)) -> Result<(), TestCaseError> {
        let record = self.api.take_record();
        // A slice may have been committed that changes nothing but rows.
        self.has_other_writes |= record.has_other;
        self.clock.failed(&record, micros(self.config.overlap));
        self.knowledge.times = self.clock.times();
        let state = self.load().await?;
        self.knowledge.note_state(state.as_ref());
        let date = record.first.map(|(date, received)| date.unwrap_or(received.wall));
        self.knowledge.note_counts_from(
            date,
            self.committed.as_deref(),
            state.as_ref(),
            (self.config.overlap, self.local_baseline()),
        );
        self.note_uncertain(&record, poll);
        Ok(())
    }

    /// Notes rows that may have been stored.
    fn note_uncertain(&mut self, record: &crate::api::Record, period: (i64, i64)) {
        let steady = self.steady_before + self.steady();
        let times = self.assets.possible_times(self.api, record, (period.0, &self.knowledge.times));
        self.assets.note(&self.api.account, &self.knowledge.traces, record, times);
        self.knowledge.note_uncertain(self.api, record, period, steady);
    }

    async fn check(&mut self, report: Report, poll: (i64, i64)) -> Result<(), TestCaseError> {
        let Report { snapshot, uncommitted } = report;
        let is_committed = uncommitted.is_none();
        self.note(&format!("polled at T {} committed {is_committed}", snapshot.time));
        let record = self.api.take_record();
        self.check_time(&record, &snapshot, poll)?;
        self.knowledge.times = self.clock.times();
        let state = self.load().await?;
        self.knowledge.note_state(state.as_ref());
        let date = record.first.map(|(date, received)| date.unwrap_or(received.wall));
        self.knowledge.note_counts_from(
            date,
            self.committed.as_deref(),
            state.as_ref(),
            (self.config.overlap, self.local_baseline()),
        );
        let mut view = self.view(&snapshot, poll, state.as_ref());
        view.hides_rows |= record.is_ambiguous;
        let bounds = view.bounds();
        let now = published(&snapshot, self.setup.folds);
        let before = self.committed.as_ref().map(|it| published(it, self.setup.folds)).unwrap_or_default();
        check_gauges(&bounds, &now)?;
        check_instants(&view, &snapshot)?;
        check_durations(&snapshot)?;
        self.check_totals(&snapshot)?;
        if !is_committed {
            tally(Happening::CommitFailed);
            check_uncommitted(&before, &now)?;
            self.note_uncertain(&record, poll);
            return Ok(());
        }
        let first_steady = record.first.map_or(0, |(_, received)| to_micros(received.steady));
        let freedoms =
            self.holds.freedoms(&snapshot, self.setup.folds, (self.setup.counter_hold, first_steady));
        if freedoms.values().any(|freedom| *freedom == Freedom::Held) {
            tally(Happening::HoldDelayed);
        }
        check_counters(&bounds, &freedoms, &before, &now)?;
        self.tally_snapshot(&snapshot, state.as_ref());
        let mut assets = std::mem::take(&mut self.assets);
        let mut view = self.view(&snapshot, poll, state.as_ref());
        view.hides_rows |= record.is_ambiguous;
        let (traces, synced) = self.knowledge.learned(&view, &record, self.api);
        let view = View { traces: &traces, ..view };
        let time = snapshot.time.as_microsecond();
        let times = if self.committed.is_some() {
            (time, time)
        } else {
            assets.possible_times(self.api, &record, (poll.0, &self.knowledge.times))
        };
        assets.note(&self.api.account, &self.knowledge.traces, &record, times);
        let horizon = state.as_ref().map_or(i64::MIN, |state| state.marks.horizon.as_microsecond());
        let before = self.committed.as_deref();
        assets.check(&view, (before, &snapshot), (self.config.assets, horizon))?;
        self.assets = assets;
        (self.knowledge.traces, self.knowledge.synced) = (traces, Some(synced));
        self.knowledge.note_newest(&snapshot, poll.1);
        self.knowledge.note_commit();
        self.knowledge.note_counts_from(
            None,
            Some(&snapshot),
            state.as_ref(),
            (self.config.overlap, self.local_baseline()),
        );
        // The poll that ends the initial sync takes place after it.
        let published_at = if self.committed.is_none() { self.steady() } else { first_steady };
        self.holds.publish(&snapshot, published_at);
        (self.state, self.committed, self.last_commit) = (state, Some(snapshot), poll.0);
        self.has_other_writes = false;
        Ok(())
    }

    fn check_time(
        &mut self,
        record: &crate::api::Record,
        snapshot: &Snapshot,
        poll: (i64, i64),
    ) -> Result<(), TestCaseError> {
        // The poll that ends the initial sync takes place after it.
        let slack = if self.committed.is_none() { micros(poll.1 - poll.0) } else { Duration::ZERO };
        let judged = self.clock.judge(record, snapshot.time, micros(self.config.overlap), slack);
        let Some(judged) = judged else {
            return Err(TestCaseError::fail(format!("T is {}: {record:?}, {:?}", snapshot.time, self.clock)));
        };
        if judged.is_confirmed_jump {
            tally(Happening::JumpConfirmed);
        }
        if judged.is_doubted {
            tally(Happening::JumpDoubted);
        }
        if !self.api.behaviour.has_date {
            tally(Happening::LocalClockUsed);
        }
        Ok(())
    }

    fn check_totals(&self, snapshot: &Snapshot) -> Result<(), TestCaseError> {
        let totals = |it: &Snapshot| (it.vanished_total, it.missed_total);
        let (vanished, missed) = self.committed.as_deref().map(totals).unwrap_or_default();
        let (now_vanished, now_missed) = totals(snapshot);
        prop_assert!(now_vanished >= vanished && now_missed >= missed, "a total is lower than before");
        let lives = &self.api.account.lives;
        if self.setup.trouble == Trouble::None {
            prop_assert!(snapshot.drift.unwrap_or(0) == 0, "drift {:?}", snapshot.drift);
            prop_assert_eq!(now_missed, 0, "nothing is missed");
        }
        let gone = lives.iter().filter(|life| life.gone.is_some()).count() as u64;
        let late = lives.iter().filter(|life| life.listed_after > self.setup.lateness).count() as u64;
        let now = self.api.now();
        let lasts_an_hour = |(from, until): (i64, i64)| until.min(now).saturating_sub(from) >= HOUR;
        let may_vanish =
            lives.iter().filter_map(Life::gone).filter(|gone| lasts_an_hour(*gone)).count() as u64;
        prop_assert!(now_vanished <= may_vanish, "{} vanished", now_vanished);
        prop_assert!(now_missed <= late + gone, "{} missed", now_missed);
        prop_assert!(snapshot.covered_from <= snapshot.time, "covered from later than T");
        Ok(())
    }

    fn tally_snapshot(&self, snapshot: &Snapshot, state: Option<&AccountState>) {
        let Some(before) = &self.committed else { return };
        let removed = |state: Option<&AccountState>| state.map(|state| state.marks.forgotten_before);
        let happened = [
            (Happening::RowsRemoved, removed(state) > removed(self.state.as_ref())),
            (Happening::CoveredFurtherBack, snapshot.covered_from < before.covered_from),
            (Happening::Vanished, snapshot.vanished_total > before.vanished_total),
            (Happening::Missed, snapshot.missed_total > before.missed_total),
            (Happening::Drift, snapshot.drift.unwrap_or(0) != 0),
        ];
        happened.into_iter().filter(|(_, has_happened)| *has_happened).for_each(|(it, _)| tally(it));
    }

    /// Does what is to be done between polls, until that is done or the next poll is due.
    async fn work_in_background(&mut self) -> Result<(), TestCaseError> {
        self.api.set_background(true);
        let start = self.api.now();
        let mut interrupted = None;
        let mut is_done = false;
        for _ in 0..MAX_STEPS {
            match drive(self.api, self.poller.background_step()).await {
                Err(interrupt) => {
                    interrupted = Some(interrupt);
                    break;
                }
                Ok(Ok(Background::More)) => {}
                Ok(Ok(Background::Done)) => {
                    is_done = true;
                    break;
                }
                Ok(Err(error)) => {
                    tally(Happening::BackgroundFailed);
                    self.note(&format!("background failed: {error}"));
                    is_done = true;
                    break;
                }
            }
        }
        self.api.set_background(false);
        prop_assert!(is_done || interrupted.is_some(), "the work between polls never ends");
        let record = self.api.take_record();
        self.has_other_writes |= !record.shown.is_empty();
        self.knowledge.note_background();
        self.note_uncertain(&record, (start, self.api.now()));
        match interrupted {
            None => {}
            Some(Interrupt::Stop) => tally(Happening::BackgroundStopped),
            Some(crash) => {
                tally_crash(crash);
                self.note("crash between polls");
                self.restart(false).await?;
            }
        }
        Ok(())
    }

    /// What bounds depend on at a poll.
    fn view(&self, snapshot: &Snapshot, (start, end): (i64, i64), state: Option<&AccountState>) -> View<'_> {
        let stale_by = self.setup.stale_by;
        let Knowledge { traces, synced, baseline, counts_from, .. } = &self.knowledge;
        let hidden_from = if synced.is_none() { START } else { start };
        let clocks = self.api.clocks();
        let covered_from = snapshot.covered_from.as_microsecond();
        let forgotten = state.map_or(i64::MIN, |state| state.marks.forgotten_before.as_microsecond());
        View {
            account: &self.api.account,
            traces,
            folds: self.setup.folds,
            poll: (start - stale_by, end),
            time: snapshot.time.as_microsecond(),
            local: clocks.now + clocks.local_ahead,
            window: to_micros(snapshot.window),
            covered_from,
            forgotten_before: forgotten.max(self.forgotten_if_uncommitted(covered_from)),
            lateness: self.setup.lateness,
            shortest_retention: self.shortest_retention,
            sync_began: synced.is_none().then_some(START),
            synced: *synced,
            baseline: *baseline,
            counts_from: if synced.is_none() { baseline.0 + 1 } else { *counts_from },
            hides_rows: self.api.account.hides_rows(hidden_from - stale_by, end),
            steady: (self.steady() - (end - start), self.steady_before + self.steady()),
            is_at_rest: self.is_at_rest,
            tells_news_since: if !self.setup.sets_clocks && self.api.behaviour.wrong_date == 0.0 {
                START
            } else {
                self.knowledge.tells_news_since.unwrap_or(i64::MAX)
            },
        }
    }

    /// A transaction that was not committed may have removed rows: then it covers less than what was committed.
    fn forgotten_if_uncommitted(&self, covered_from: i64) -> i64 {
        let before = self.committed.as_ref().map(|it| it.covered_from.as_microsecond());
        before.filter(|before| *before < covered_from).map_or(i64::MIN, |_| covered_from)
    }

    async fn load(&self) -> Result<Option<AccountState>, TestCaseError> {
        if !self.poller.replica().is_open() {
            return Ok(None);
        }
        let state = self.poller.replica().load().await;
        state.map_err(|error| TestCaseError::fail(format!("cannot load: {error}")))
    }

    /// The exporter's time of day at its first poll, as far as it can tell.
    fn local_baseline(&self) -> clumio_exporter::time::Timestamp {
        let clocks = self.api.clocks();
        crate::account::timestamp(clocks.now + clocks.local_ahead - self.steady_before - self.steady())
    }

    fn steady(&self) -> i64 {
        to_micros(self.api.clocks().steady())
    }

    /// Checks that nothing is held, doubted or left to read.
    pub fn check_settled(&self) -> Result<(), TestCaseError> {
        let (Some(committed), Some(state)) = (&self.committed, &self.state) else {
            return Err(TestCaseError::fail("nothing is published"));
        };
        let steady = self.steady();
        let freedoms = self.holds.freedoms(committed, self.setup.folds, (self.setup.counter_hold, steady));
        prop_assert!(freedoms.values().all(|it| *it == Freedom::Free), "a hold never ends");
        // T is that of the first answer of a poll, and a poll with small pages takes hours.
        let off = (committed.time.as_microsecond() - self.last_commit).abs();
        prop_assert!(off < DAY / 24, "the time is never believed: {}", committed.time);
        let kept = self.config.retention.max(self.config.lookback);
        let target = (committed.time.as_microsecond() - kept).max(state.marks.horizon.as_microsecond());
        let covered_from = committed.covered_from.as_microsecond();
        prop_assert!(covered_from <= target, "the history is not complete: {}", committed.covered_from);
        Ok(())
    }

    /// Whether what is open and what is new fit a page each, and nothing is missing.
    pub fn rest_fits_pages(&self) -> bool {
        let Some(watermark) = self.committed.as_ref().and_then(|it| it.watermark) else { return false };
        let new_from = watermark.as_microsecond() - self.config.overlap - 3_000_000;
        let lives = &self.api.account.lives;
        let open = lives.iter().filter(|life| life.ended().is_none()).count();
        let new = lives.iter().filter(|life| life.created() >= new_from).count();
        // The last audit may have found one, which is looked up for an hour.
        let is_provisional =
            |life: &Life| life.outcome == UNKNOWN_OUTCOME && life.listed_after > self.config.overlap;
        let behaviour = &self.api.behaviour;
        let limit = behaviour.max_limit.min(self.config.page_size);
        let is_accepted = behaviour.max_accepted_limit.is_none_or(|most| self.config.page_size <= most);
        let is_quiet = !lives.iter().any(is_provisional);
        is_accepted && is_quiet && open.max(new) < limit as usize && behaviour.count_cap.is_none()
    }
}

fn replica(store: &Store, setup: &Setup, config: &Config) -> Replica {
    let identity = Identity { base_url: "https://api.example.com".to_owned(), organizational_unit: None };
    Replica::new(store.clone(), "prod".to_owned(), identity, config.rules(setup))
}

fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).expect("the duration must be in range")
}

fn tally_crash(interrupt: Interrupt) {
    tally(match interrupt {
        Interrupt::CrashAtRequest => Happening::CrashAtRequest,
        Interrupt::CrashAfterResponse | Interrupt::Stop => Happening::CrashAfterResponse,
    });
}

/// Runs something until it is done, or interrupted.
async fn drive<T>(api: &SimulatedApi, work: impl Future<Output = T>) -> Result<T, Interrupt> {
    let mut work = pin!(work);
    let outcome = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => match api.take_interrupt() {
            Some(interrupt) => Poll::Ready(Err(interrupt)),
            None => Poll::Pending,
        },
    })
    .await;
    api.take_interrupt();
    outcome
}
