//! Flaws that can be put around the exporter from outside, to see that the model notices them.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the exporter as it is.
    None,
    /// New tasks are listed from the watermark on, not from an overlap before it.
    ForgetsOverlap,
    /// Nothing is found by its id.
    FindsNoId,
    /// A listing says that it has one row less than it has, where it has more than one page.
    CountsShort,
    /// A closed range has one row less than it has.
    AuditsShort,
    /// The state is written one save late.
    KeepsLate,
    /// A save that failed is taken as done.
    HidesFailedSaves,
}
