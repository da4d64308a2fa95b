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

/// The usual interval of an asset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UsualInterval {
    /// In microseconds; none with fewer than three completions.
    pub(super) usual: Option<i64>,
    /// How many completions it depends on.
    pub(super) completions: usize,
    /// Whether completions before these cannot change it.
    pub(super) is_settled: bool,
}

/// The usual interval of completions, of which `ends` are the ends, newest first.
///
/// It is the second-longest gap, which tolerates weekends, backup windows, one incident and bursts of runs on demand.
pub(super) fn usual(ends: &[i64]) -> UsualInterval {
    let Some(newest) = ends.first() else { return UsualInterval::default() };
    let is_recent = |pair: &&[i64]| pair[0] > newest.saturating_sub(RECENT);
    let recent = ends.windows(2).take_while(is_recent).count();
    let counted = recent.max(LEAST_GAPS).min(ends.len() - 1);
    let mut gaps: Vec<i64> =
        ends[..=counted].windows(2).map(|pair| pair[0].saturating_sub(pair[1])).collect();
    gaps.sort_unstable();
    let usual = (ends.len() >= LEAST_COMPLETIONS).then(|| gaps[gaps.len() - 2]);
    // One more would make a gap that ends with the last of them.
    let is_settled = counted >= LEAST_GAPS && ends[counted] <= newest.saturating_sub(RECENT);
    UsualInterval { usual, completions: counted + 1, is_settled }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// The usual interval of completions so many days ago, in days.
    fn days(ago: &[i64]) -> (Option<i64>, usize) {
        let ends: Vec<i64> = ago.iter().map(|ago| -ago * DAY).collect();
        let interval = usual(&ends);
        (interval.usual.map(|usual| usual / DAY), interval.completions)
    }

    #[test]
    fn a_settled_interval_does_not_depend_on_older_completions() {
        let of = |ago: &[i64]| usual(&ago.iter().map(|ago| -ago * DAY).collect::<Vec<_>>());
        for ago in [&[0, 1, 2, 3, 4][..], &[0, 4, 8, 12], &[0, 7, 14], &[0, 14, 15, 16], &[0, 10, 12, 13, 14]]
        {
            assert!(!of(ago).is_settled, "{ago:?}");
        }
        for ago in
            [&[0, 7, 14, 21, 28][..], &[0, 1, 2, 3, 15], &[0, 1, 2, 3, 4, 14, 16], &[0, 20, 21, 22, 23, 99]]
        {
            let settled = of(ago);
            assert!(settled.is_settled, "{ago:?}");
            for older in ago[settled.completions - 1]..60 {
                let mut more = [ago, &[older]].concat();
                more.sort_unstable();
                assert_eq!(of(&more), settled, "{older} before {ago:?}");
            }
        }
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
