//! From which creation time on a poll lists what is new, and from which it counts what it reads first as created.

use std::time::Duration;

use tracing::warn;

use super::Options;
use super::clock::Reading;
use crate::store::AccountState;
use crate::task::LISTED_FOR;
use crate::time::{Timestamp, earlier};

/// The creation time from which a poll lists what is new; and, if that is later than it should be because the API does not
/// look back as far, the same time once more.
pub(super) fn listed_from(
    state: &AccountState,
    reading: Reading,
    newest: Option<Timestamp>,
    options: &Options,
) -> (Timestamp, Option<Timestamp>) {
    let now = reading.now;
    let overlap = options.rules.overlap;
    let server = earliest_time(state, reading);
    let watermark = newest.map_or(state.marks.covered_from, |newest| earlier(newest, overlap));
    let from = state.sync_from.map_or(watermark, |sync_from| watermark.min(earlier(sync_from, overlap)));
    let from = from.min(earlier(server, overlap));
    let oldest = earlier(server.min(now.local), LISTED_FOR);
    if from >= oldest {
        return (from, None);
    }
    warn!(
        since = %from,
        listed_from = %oldest,
        "the last poll is longer ago than the API looks back: tasks that were created and ended between the two are in no \
         number"
    );
    (oldest, Some(oldest))
}

/// The creation time from which a poll counts what it reads first as created: the earliest of baseline, watermark and T,
/// minus the overlap. What was created before the replica covers anything is not news, though it is listed when T moves
/// back. As long as the replica is empty, nothing tells what it covers, and the local clock at the beginning counts too.
pub(super) fn counts_from(
    state: &AccountState,
    reading: Reading,
    newest: Option<Timestamp>,
    overlap: Duration,
) -> Timestamp {
    let is_baseline_ahead = state.marks.baseline > reading.now.time;
    let reading = Reading { confirmed: reading.confirmed.filter(|_| is_baseline_ahead), ..reading };
    let earliest = state.marks.baseline.min(earliest_time(state, reading));
    if let Some(newest) = newest.filter(|newest| *newest >= state.marks.covered_from) {
        return earlier(newest.min(earliest), overlap).max(state.marks.covered_from);
    }
    let local_baseline = earlier(reading.now.local, reading.now.elapsed);
    earlier(earliest.min(local_baseline), overlap)
}

/// The earliest time that it may be. One that is not confirmed and is earlier than what the replica covers must not make
/// a poll read the history; if the next poll confirms it, that poll lists since then.
fn earliest_time(state: &AccountState, reading: Reading) -> Timestamp {
    let unconfirmed = reading.unconfirmed.filter(|time| *time >= state.marks.covered_from);
    [unconfirmed, reading.confirmed].into_iter().flatten().fold(reading.now.time, Timestamp::min)
}
