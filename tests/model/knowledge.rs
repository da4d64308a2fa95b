//! What the exporter has read of each task, as far as the test can tell.

use clumio_exporter::store::{AccountState, Snapshot};
use clumio_exporter::time::Timestamp;

use crate::account::{HOUR, Lacks, START, UNKNOWN_OUTCOME};
use crate::api::{Record, SimulatedApi};
use crate::tally::{Happening, tally};
use crate::truth::{Sight, Trace, View};

/// What the exporter has read.
#[derive(Debug, Clone)]
pub struct Knowledge {
    pub traces: Vec<Trace>,
    /// When the poll ended that ended the initial sync.
    pub synced: Option<i64>,
    /// The least and the most that the baseline has been.
    pub baseline: (i64, i64),
    /// What was created before it cannot have counted since the last commit.
    pub counts_from: i64,
    /// The same of what is read between polls: the history may lie before what the replica covers.
    background_counts_from: i64,
    /// When the poll ended since which every commit has left a newest row: what is listed later is news for certain.
    pub tells_news_since: Option<i64>,
    /// From when the replica was complete when the last poll began: the history sync may have moved it back.
    pub covered_from: Option<Timestamp>,
    /// The T that the exporter may expect.
    pub times: Vec<i64>,
    /// The time of the server in the last poll.
    last_server: Option<Timestamp>,
}

impl Knowledge {
    pub fn new(lives: usize) -> Self {
        let traces = vec![Trace::default(); lives];
        Self {
            traces,
            synced: None,
            baseline: (i64::MAX, i64::MIN),
            counts_from: i64::MAX,
            background_counts_from: i64::MAX,
            tells_news_since: None,
            covered_from: None,
            times: Vec::new(),
            last_server: None,
        }
    }

    /// A process begins, with its own monotonic clock.
    pub fn restart(&mut self) {
        self.traces.iter_mut().for_each(|trace| trace.ended_since = None);
    }

    pub fn note_state(&mut self, state: Option<&AccountState>) {
        let Some(state) = state else { return };
        let baseline = state.marks.baseline.as_microsecond();
        self.baseline = (self.baseline.0.min(baseline), self.baseline.1.max(baseline));
    }

    /// Notes whether the replica has a newest row after a poll that was committed.
    pub fn note_newest(&mut self, snapshot: &Snapshot, poll_end: i64) {
        if snapshot.watermark >= Some(snapshot.covered_from) {
            self.tells_news_since.get_or_insert(poll_end);
        } else {
            self.tells_news_since = None;
        }
    }

    /// Notes from which creation on a poll counts what it reads for the first time, with this time of the server.
    pub fn note_counts_from(
        &mut self,
        server: Option<Timestamp>,
        committed: Option<&Snapshot>,
        state: Option<&AccountState>,
        (overlap, local_baseline): (i64, Timestamp),
    ) {
        let Some(state) = state else { return };
        let marks = state.marks;
        let local = Some(local_baseline);
        // A baseline that was ahead follows the time which the poll before has heard first.
        let was_ahead = self.baseline.1 > marks.time.as_microsecond();
        let confirmed = self.last_server.filter(|_| was_ahead);
        self.last_server = server.or(self.last_server);
        let watermark = committed.and_then(|committed| committed.watermark);
        let before = committed.map(|committed| committed.covered_from);
        // A poll goes by what the replica covers when it begins; a slice that it commits on the way may have changed it.
        let covered = [Some(marks.covered_from), before, self.covered_from];
        let least = covered.into_iter().flatten().map(|covered_from| {
            let watermark = watermark.filter(|watermark| *watermark >= covered_from);
            let local = local.filter(|_| watermark.is_none());
            let times = [Some(marks.baseline), Some(marks.time), watermark, server, confirmed, local];
            let least =
                times.into_iter().flatten().min().unwrap_or(marks.baseline).as_microsecond() - overlap;
            self.background_counts_from = self.background_counts_from.min(least);
            watermark.map_or(least, |_| least.max(covered_from.as_microsecond()))
        });
        let least = least.min().unwrap_or(i64::MAX);
        self.counts_from = self.counts_from.min(least);
    }

    /// Notes that what is read next is read between polls.
    pub fn note_background(&mut self) {
        self.counts_from = self.counts_from.min(self.background_counts_from);
    }

    /// Begins with what can count after a commit.
    pub fn note_commit(&mut self) {
        (self.counts_from, self.background_counts_from) = (i64::MAX, i64::MAX);
    }

    /// Notes rows that may have been stored.
    pub fn note_uncertain(&mut self, api: &SimulatedApi, record: &Record, poll: (i64, i64), steady: i64) {
        let clocks = api.clocks();
        let is_missed = record.is_ambiguous || api.account.hides_rows(poll.0, poll.1);
        for shown in &record.shown {
            let (life, trace) = (&api.account.lives[shown.life], &mut self.traces[shown.life]);
            if trace.sight == Sight::Ended && life.outcome != UNKNOWN_OUTCOME {
                continue;
            }
            trace.is_shown = true;
            trace.was_shown_open |= !shown.has_ended;
            let counts_from = if self.synced.is_none() { self.baseline.0 } else { self.counts_from };
            let may_count = life.created() >= counts_from || life.lacks == Lacks::Creation;
            if trace.sight == Sight::Never {
                trace.created.most = trace.created.most.max(u64::from(may_count));
            }
            if shown.has_ended {
                let since = steady - (poll.1 - poll.0);
                trace.maybe_ended_since.get_or_insert(since);
                let clocks = [clocks.now + clocks.local_ahead, clocks.now + clocks.date_ahead, clocks.now];
                let times = clocks.into_iter().chain(self.times.iter().copied());
                let dates = record.first.and_then(|(date, _)| date).map(Timestamp::as_microsecond);
                let ended = life.ended().unwrap_or(poll.1);
                let is_given = life.lacks != Lacks::End && times.clone().all(|at| at + 24 * HOUR >= ended);
                let range = if is_given {
                    (ended, ended)
                } else {
                    let guesses = times.chain(dates).chain([life.created(), life.started(), ended]);
                    (guesses.clone().min().unwrap_or(ended) - HOUR, guesses.max().unwrap_or(ended) + HOUR)
                };
                trace.ends = Some(merged(trace.ends, range));
                trace.has_guessed_end |= !is_given;
            }
        }
        if is_missed {
            self.miss(api, poll.1);
        }
    }

    /// Rows that were never seen may have been missed, and no later poll need list them.
    fn miss(&mut self, api: &SimulatedApi, end: i64) {
        for (life, trace) in api.account.lives.iter().zip(&mut self.traces) {
            trace.is_missed |= trace.sight == Sight::Never && life.listed() <= end;
        }
    }

    /// What is known after a poll that was committed, and when the initial sync ended.
    pub fn learned(&self, view: &View<'_>, record: &Record, api: &SimulatedApi) -> (Vec<Trace>, i64) {
        let lives = &api.account.lives;
        let mut traces = self.traces.clone();
        let mut open = vec![false; lives.len()];
        let mut ended = vec![false; lives.len()];
        let mut direct = vec![false; lives.len()];
        let mut listed = vec![false; lives.len()];
        for shown in &record.shown {
            let states = if shown.has_ended { &mut ended } else { &mut open };
            states[shown.life] = true;
            direct[shown.life] |= shown.is_direct;
            listed[shown.life] |= !shown.is_marginal;
        }
        for (index, life) in lives.iter().enumerate() {
            let (before, trace) = (&self.traces[index], &mut traces[index]);
            let is_shown = open[index] || ended[index];
            if !is_shown {
                trace.is_missed |=
                    view.hides_rows && trace.sight == Sight::Never && life.listed() <= view.poll.1;
                continue;
            }
            let is_covered = life.created() >= view.covered_from && life.is_shown_throughout(view.poll);
            let is_stored = direct[index] || (listed[index] && is_covered);
            let is_settled = before.sight == Sight::Ended && life.outcome != UNKNOWN_OUTCOME;
            trace.is_shown = true;
            trace.was_shown_open |= open[index] && !is_settled;
            let created = view.created(life, before);
            if before.sight == Sight::Never {
                trace.created.most = created.most;
            }
            if ended[index] {
                trace.maybe_ended_since.get_or_insert(view.steady.1 - (view.poll.1 - view.poll.0));
                let is_update = view.is_end_given(life) && is_stored && !open[index];
                let ends = if is_update { view.end_now(life) } else { view.ends(life, before) };
                trace.ends = ends;
                trace.has_guessed_end |= !view.is_end_given(life);
                if !view.is_end_given(life) && life.lacks != Lacks::End {
                    tally(Happening::EndDiscarded);
                }
            }
            if !is_stored || is_settled {
                continue;
            }
            trace.created = created;
            if before.sight == Sight::Never && !open[index] {
                trace.may_be_forgotten = view.is_forgotten(life, before);
            }
            // A poll that failed may have stored its end before.
            let may_be_final = before.maybe_ended_since.is_some() && life.outcome != UNKNOWN_OUTCOME;
            trace.was_seen_open |= open[index] && !ended[index] && !may_be_final;
            let sight = if open[index] { Sight::Open } else { Sight::Ended };
            trace.sight = if life.outcome == UNKNOWN_OUTCOME { sight } else { sight.max(before.sight) };
            if trace.sight == Sight::Ended {
                let now = view.steady.0 + (view.poll.1 - view.poll.0);
                trace.ended_since.get_or_insert(now);
                if life.outcome == UNKNOWN_OUTCOME {
                    tally(Happening::Provisional);
                }
            } else {
                trace.ended_since = None;
            }
        }
        let is_settled = |index: &usize| {
            let (life, trace) = (&lives[*index], &traces[*index]);
            trace.sight == Sight::Ended && life.outcome != UNKNOWN_OUTCOME && view.is_kept(life, trace)
        };
        api.settle((0..lives.len()).filter(is_settled).collect());
        (traces, self.synced.unwrap_or(view.poll.1).max(START))
    }
}

fn merged(before: Option<(i64, i64)>, (least, most): (i64, i64)) -> (i64, i64) {
    before.map_or((least, most), |(earliest, latest)| (earliest.min(least), latest.max(most)))
}
