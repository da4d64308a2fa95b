//! Which assets a page lists.

use super::samples::AssetState;

/// Which assets are listed, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// The account; none: all.
    pub account: Option<String>,
    /// The category of the tasks.
    pub category: Option<String>,
    /// The type of the assets, as in metrics.
    pub asset_type: Option<String>,
    /// Their condition.
    pub condition: Option<AssetCondition>,
    /// Whether they are failing.
    pub is_failing: Option<bool>,
    /// Text in the name or id, regardless of case.
    pub text: Option<String>,
    /// What they are sorted by.
    pub order: AssetOrder,
    /// Whether the order is reversed.
    pub is_descending: bool,
    /// Rows to skip.
    pub offset: usize,
    /// Rows to return at most.
    pub limit: usize,
}

/// The condition that a filter selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetCondition {
    /// This state.
    Is(AssetState),
    /// Failing, whatever the state is.
    Failing,
    /// Overdue or silent.
    Late,
    /// Failing, overdue or silent.
    Unprotected,
}

/// What assets can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AssetOrder {
    /// The worst first, and of those the ones that have been unprotected for longest.
    #[default]
    Attention,
    /// The account.
    Account,
    /// The name.
    Name,
    /// The type.
    AssetType,
    /// The state.
    State,
    /// Since when they are failing.
    FailingSince,
    /// The last completion.
    Completed,
    /// When they become late.
    Due,
}
