//! Counts of granules as they are kept: runs of granules that follow one another, `[end of the first, [count, count, …]]`.
//!
//! A window that is full of tasks has a count in nearly each of its granules. Without the instant of each of them a file
//! is a seventh of the size, and is read in a seventh of the time, which the start waits for.

use serde::{Deserialize, Serialize};

use super::window::{EndedCounts, Granule, Window};

/// The longest gap in a run, in granules: the zeros that fill it take no more room than the beginning of another one.
const LONGEST_GAP: i64 = 8;

/// The counts of granules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Runs(Vec<Run>);

/// The end of the first granule, and the counts of that one and of those after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Run(Granule, Vec<u64>);

// === impl Runs ===

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counts of granules that mostly are as wide as those of `window`.
    pub(super) fn of(counts: &EndedCounts, window: Window) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for (granule, count) in counts.granules().filter(|(_, count)| *count > 0) {
            let next = runs.last_mut().and_then(|run| Some((run.gap_before(granule, window)?, run)));
            if let Some((gap, Run(_, counts))) = next {
                counts.resize(counts.len() + gap, 0);
                counts.push(count);
            } else {
                runs.push(Run(granule, vec![count]));
            }
        }
        Self(runs)
    }

    /// The counts, kept with this window; none if they are not in order, or cannot be added up.
    pub(super) fn restored(self, window: Window) -> Option<EndedCounts> {
        let mut granules = Vec::with_capacity(self.0.iter().map(|Run(_, counts)| counts.len()).sum());
        for Run(first, counts) in self.0 {
            for (granule, count) in window.granules_from(first).zip(counts) {
                granules.push((granule?, count));
            }
        }
        if !granules.is_sorted_by(|(a, _), (b, _)| a < b) {
            return None;
        }
        granules.retain(|(_, count)| *count > 0);
        EndedCounts::restored(granules)
    }
}

// === impl Run ===

impl Run {
    /// How many granules lie between the last one and `granule`, if that can be one of this run.
    fn gap_before(&self, granule: Granule, window: Window) -> Option<usize> {
        let Self(first, counts) = self;
        let after = i64::try_from(counts.len()).ok()?;
        let gap = window.granules_between(*first, granule)?.checked_sub(after)?;
        (0..=LONGEST_GAP).contains(&gap).then_some(usize::try_from(gap).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::counter::MOST;
    use super::*;
    use crate::time::Timestamp;

    /// Granules of a minute.
    fn window() -> Window {
        Window::new(Duration::from_hours(24))
    }

    /// One task that ended in each of these seconds.
    fn counts(ended: impl IntoIterator<Item = i64>, window: Window) -> EndedCounts {
        let mut counts = EndedCounts::default();
        for second in ended {
            let at = Timestamp::from_second(second).expect("the second must be in range");
            counts.add(window, window.granule(at), at);
        }
        counts
    }

    fn text(runs: &Runs) -> String {
        serde_json::to_string(runs).expect("it must be written")
    }

    fn read(text: &str) -> Option<EndedCounts> {
        let runs: Runs = serde_json::from_str(text).expect("it must be read");
        runs.restored(window())
    }

    #[test]
    fn granules_that_follow_one_another_are_one_run() {
        let counts = counts([1_000, 1_010, 1_050, 1_190, 9_000], window());
        let runs = Runs::of(&counts, window());
        assert_eq!(text(&runs), "[[1020,[2,1,0,1]],[9060,[1]]]");
        assert_eq!(runs.restored(window()), Some(counts));
    }

    #[test]
    fn granules_of_another_width_are_read_back_where_they_were() {
        let mut both = counts([1_000, 1_010, 1_300], Window::new(Duration::from_mins(1)));
        let longer = counts([1_020, 1_080], window());
        longer.granules().for_each(|(granule, _)| both.add(window(), granule, Timestamp::UNIX_EPOCH));
        let runs = Runs::of(&both, window());
        assert_eq!(text(&runs), "[[1001,[1]],[1011,[1]],[1080,[1,1]],[1301,[1]]]");
        assert_eq!(runs.restored(window()), Some(both));
    }

    #[test]
    fn a_full_window_takes_little_room() {
        let full = counts((0..1_440).map(|n| n * 60), window());
        assert!(text(&Runs::of(&full, window())).len() < 3 * 1_440);
    }

    #[test]
    fn counts_out_of_order_or_beyond_time_are_refused() {
        assert!(read("[[60,[1,1]],[180,[1]]]").is_some());
        assert_eq!(read("[[60,[1,1]],[120,[1]]]"), None);
        assert_eq!(read("[[120,[1]],[60,[1]]]"), None);
        assert_eq!(read(&format!("[[{},[1,1]]]", i64::MAX)), None);
        assert_eq!(read(&format!("[[60,[{MOST},1]]]")), None);
    }
}
