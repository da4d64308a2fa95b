//! The usual interval of an asset, from which `max_age = "auto"` is derived.

/// Gaps count that ended in this time up to the last completion.
const RECENT: i64 = 15 * 86_400_000_000;

/// If there are fewer recent gaps, so many count.
const LEAST_GAPS: usize = 4;

/// Completions without which there is no usual interval.
const LEAST_COMPLETIONS: usize = 3;

/// Whether more completions than these can matter: of so many, newest first, of which the last ended at `oldest`.
pub(super) fn is_enough(count: usize, newest: i64, oldest: i64) -> bool {
    count > LEAST_GAPS && oldest <= newest.saturating_sub(RECENT)
}

/// The usual interval, in microseconds, and how many completions it depends on; none with fewer than three. `ends` are
/// the ends of completions, newest first.
///
/// It is the second-longest gap, which tolerates weekends, backup windows, one incident and bursts of runs on demand.
pub(super) fn usual(ends: &[i64]) -> (Option<i64>, usize) {
    let Some(newest) = ends.first() else { return (None, 0) };
    let is_recent = |pair: &&[i64]| pair[0] > newest.saturating_sub(RECENT);
    let recent = ends.windows(2).take_while(is_recent).count();
    let counted = recent.max(LEAST_GAPS).min(ends.len() - 1);
    let mut gaps: Vec<i64> =
        ends[..=counted].windows(2).map(|pair| pair[0].saturating_sub(pair[1])).collect();
    gaps.sort_unstable();
    let usual = (ends.len() >= LEAST_COMPLETIONS).then(|| gaps[gaps.len() - 2]);
    (usual, counted + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// The usual interval of completions so many days ago, in days.
    fn days(ago: &[i64]) -> (Option<i64>, usize) {
        let ends: Vec<i64> = ago.iter().map(|ago| -ago * DAY).collect();
        let (usual, needed) = usual(&ends);
        (usual.map(|usual| usual / DAY), needed)
    }

    #[test]
    fn the_second_longest_recent_gap_is_usual() {
        assert_eq!(days(&[0, 1, 2, 3, 6, 7, 8, 9, 10, 13, 14]), (Some(3), 11), "weekdays only");
        assert_eq!(days(&[0, 1, 2, 3, 9, 10, 11]), (Some(1), 7), "one incident");
        assert_eq!(
            days(&[0, 1, 2, 3, 14, 15, 20]),
            (Some(1), 6),
            "a gap that ended 15 days ago is not recent"
        );
    }

    #[test]
    fn without_four_recent_gaps_the_last_four_count() {
        assert_eq!(days(&[0, 30, 60, 90, 121, 200]), (Some(30), 5));
        assert_eq!(days(&[0, 7, 21]), (Some(7), 3));
        assert_eq!((days(&[0, 7]), days(&[0]), days(&[])), ((None, 2), (None, 1), (None, 0)));
    }
}
