//! For how long each counter has been published, and so whether it may move.

use std::collections::BTreeMap;

use clumio_exporter::store::Snapshot;
use clumio_exporter::task::Label;

use crate::durations::Part;
use crate::truth::{Family, Series, group_of, word};

/// The counters that this process has published, with the monotonic time at which it first did.
#[derive(Debug, Clone, Default)]
pub struct Holds(BTreeMap<RawSeries, i64>);

/// A counter as it is published: its family, category, type and status.
type RawSeries = (Family, Label, Label, Label);

/// Whether a counter may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freedom {
    /// It stays where it was: this process has not published it yet, or not for long enough.
    Held,
    /// It may move, and need not.
    May,
    /// It is where it belongs.
    Free,
}

// === impl Holds ===

impl Holds {
    /// Notes a poll that was committed at this monotonic time of the process.
    pub fn publish(&mut self, snapshot: &Snapshot, steady: i64) {
        for (raw, _) in counters(snapshot, true) {
            self.0.entry(raw).or_insert(steady);
        }
    }

    /// Whether each counter of a snapshot may move, at a monotonic time of the process.
    pub fn freedoms(
        &self,
        snapshot: &Snapshot,
        folds: bool,
        (hold, steady): (i64, i64),
    ) -> BTreeMap<Series, Freedom> {
        let mut freedoms = BTreeMap::new();
        for (raw, series) in counters(snapshot, folds) {
            let freedom = match self.0.get(&raw) {
                None => Freedom::Held,
                Some(since) if steady - since >= hold => Freedom::Free,
                // The process before may have held it for a part of the time.
                Some(_) => Freedom::May,
            };
            freedoms
                .entry(series)
                .and_modify(|least: &mut Freedom| {
                    *least = if *least == freedom { freedom } else { Freedom::May };
                })
                .or_insert(freedom);
        }
        let kept: Vec<_> = freedoms
            .iter()
            .filter(|((family, ..), freedom)| *family == Family::Ended && **freedom != Freedom::Free)
            .map(|((_, group, _), _)| *group)
            .collect();
        for ((family, group, _), freedom) in &mut freedoms {
            // Queue durations wait for the counter of every status.
            if *family == Family::Queue(Part::Count) && kept.contains(group) && *freedom == Freedom::Free {
                *freedom = Freedom::May;
            }
        }
        freedoms
    }
}

/// The counters of a snapshot, as they are published and as they are compared.
fn counters(snapshot: &Snapshot, folds: bool) -> impl Iterator<Item = (RawSeries, Series)> {
    snapshot.kinds.iter().flat_map(move |kind| {
        let group = group_of(kind, folds);
        let raw = |family, status| (family, kind.category.clone(), kind.task_type.clone(), status);
        let ended = kind.statuses.iter().filter(|sample| sample.ended_total.is_some()).map(move |sample| {
            let status = Label::from(sample.status.clone());
            let series = (Family::Ended, group, word(status.as_str()));
            (raw(Family::Ended, status), series)
        });
        let histograms =
            kind.statuses.iter().filter(|sample| sample.run_durations.is_some()).map(move |sample| {
                let (family, status) = (Family::Run(Part::Count), Label::from(sample.status.clone()));
                let series = (family, group, word(status.as_str()));
                (raw(family, status), series)
            });
        let queue = kind.queue_durations.as_ref().map(|_| Family::Queue(Part::Count));
        let of_kind = [Some(Family::Created), queue].into_iter().flatten();
        let of_kind = of_kind.map(move |family| (raw(family, Label::new("")), (family, group, "")));
        of_kind.chain(ended).chain(histograms)
    })
}
