//! Where a listing of tasks continues.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::super::assets::TaskKey;

/// The place of a task in a listing, which is ordered by time (newest first), account and id.
///
/// Written as `TIME~ACCOUNT~ID`, with the time in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPosition {
    pub(super) time: i64,
    pub(super) account: String,
    pub(super) id: TaskKey,
}

// === impl TaskPosition ===

impl Ord for TaskPosition {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = other.time.cmp(&self.time);
        by_time.then_with(|| self.account.cmp(&other.account)).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for TaskPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TaskPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            TaskKey::Number(id) => write!(f, "{}~{}~{id}", self.time, self.account),
            TaskKey::Text(id) => write!(f, "{}~{}~{id}", self.time, self.account),
        }
    }
}

impl FromStr for TaskPosition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '~');
        let (time, account, id) = (parts.next(), parts.next(), parts.next());
        let time = time.and_then(|time| time.parse().ok());
        let (Some(time), Some(account), Some(id)) = (time, account, id) else {
            return Err("not a position that a listing of tasks has returned");
        };
        let number = id.parse::<i64>().ok().filter(|number| number.to_string() == id);
        let id = number.map_or_else(|| TaskKey::Text(id.into()), TaskKey::Number);
        Ok(Self { time, account: account.to_owned(), id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for text in ["1800000000000000~prod~40000123", "-5~a.b_c-d~x~y", "0~prod~007"] {
            let position: TaskPosition = text.parse().expect("it must be read");
            assert_eq!(position.to_string(), text);
        }
        for text in ["", "x~prod~1", "1~prod"] {
            assert!(text.parse::<TaskPosition>().is_err(), "{text}");
        }
    }

    #[test]
    fn newer_tasks_come_first_then_the_account_then_the_greater_id() {
        let positions: Vec<TaskPosition> = ["9~b~1", "8~a~2", "8~a~1", "8~b~3", "7~a~9"]
            .map(|text| text.parse().expect("it must be read"))
            .to_vec();
        assert!(positions.is_sorted());
    }
}
