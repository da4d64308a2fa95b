//! Who may ask, and what they may see: both can change while the simulator runs, as when a token is rotated, or
//! loses its rights on a part of the account.
//!
//! It is about answers and not about the world: a row that may not be seen is as true as before.

use super::task::Task;

/// Which tasks are shown. What is not shown is in no listing, in no `total_count`, and found by no look-up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    categories: Vec<String>,
    parents: Vec<String>,
}

/// What decides over a request.
#[derive(Debug)]
pub(super) struct Access {
    tokens: Vec<String>,
    view: View,
}

// === impl View ===

impl View {
    /// All that is listed.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// The same without the tasks of a category.
    #[must_use]
    pub fn without_category(mut self, category: impl Into<String>) -> Self {
        self.categories.push(category.into());
        self
    }

    /// The same without the tasks whose parent entity has this value, such as `example.com`. Organizational
    /// units are made of such parents: this is a token without rights on the unit of that one.
    #[must_use]
    pub fn without_parent(mut self, value: impl Into<String>) -> Self {
        self.parents.push(value.into());
        self
    }

    /// Whether it shows all tasks, so that none has to be looked at.
    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it shows this one.
    pub(super) fn shows(&self, task: &Task) -> bool {
        let parent = task.subject.parent.as_deref();
        !self.categories.iter().any(|category| *category == task.kind.category)
            && parent.is_none_or(|parent| !self.parents.contains(&parent.value))
    }
}

// === impl Access ===

impl Access {
    /// For this token, to everything.
    pub(super) fn new(token: &str) -> Self {
        Self { tokens: vec![token.to_owned()], view: View::everything() }
    }

    pub(super) fn issue(&mut self, token: String) {
        self.tokens.push(token);
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.tokens.retain(|other| other != token);
    }

    /// Whether the token is right.
    pub(super) fn accepts(&self, token: &str) -> bool {
        self.tokens.iter().any(|other| other == token)
    }

    pub(super) fn set_view(&mut self, view: View) {
        self.view = view;
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::task::{Entity, Subject};
    use super::*;
    use crate::time::Timestamp;

    fn task(category: &'static str, parent: Option<&str>) -> Task {
        let entity = |value: &str| Entity { id: String::new(), entity_type: "x", value: value.to_owned() };
        let parent = parent.map(|value| Arc::new(entity(value)));
        let subject = Subject { primary: None, parent };
        Task::new(1, Timestamp::UNIX_EPOCH).kind(category, "x").subject(subject)
    }

    #[test]
    fn a_view_shows_what_it_does_not_leave_out() {
        let view = View::everything().without_category("restore").without_parent("example.com");
        let shown = |category, parent| view.shows(&task(category, parent));
        assert!(shown("backup", None) && shown("backup", Some("example.org")));
        assert!(!shown("restore", None) && !shown("backup", Some("example.com")));
        assert!(!view.is_everything() && View::everything().is_everything());
    }

    #[test]
    fn several_tokens_can_be_right_until_they_are_revoked() {
        let mut access = Access::new("old");
        access.issue("new".to_owned());
        assert!(access.accepts("old") && access.accepts("new") && !access.accepts(""));
        access.revoke("old");
        assert!(!access.accepts("old") && access.accepts("new"));
    }
}
