//! Faults of the API that break an assumption of the exporter, to see that the model notices wrong numbers.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Listings of new tasks begin a minute later than requested.
    ForgetsOverlap,
    /// Nothing is found by its id.
    FindsNoId,
    /// A listing of more than one page counts one row less than it has and ends one row early.
    CountsShort,
    /// The count of a closed range is one row short.
    AuditsShort,
}
