//! How one attempt at a page can fail: what each failure is called, what may follow it, what the user is told.

use std::fmt;
use std::time::Duration;

use super::{Reason, retry};
use crate::config::TokenSource;

/// Why an attempt brought no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no token to send; why.
    NoToken(String),
    /// No connection, or one that broke before the head of an answer; why.
    Unreachable(String),
    /// The request timeout, which this is, passed.
    TimedOut(Duration),
    /// An answer with another status than 200.
    Status {
        status: u16,
        /// What its body says, if that can be shown.
        said: Option<String>,
        /// Its `Retry-After`.
        asked: Option<Duration>,
    },
    /// The body ended early or could not be decompressed; why.
    Broken(String),
    /// The body has more bytes than this.
    TooLarge(u64),
    /// The body is not JSON; what it is.
    NotJson(String),
    /// The body is JSON, but no page; why.
    NotAPage(String),
}

/// What may follow a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the answer would be the same.
    GiveUp,
    /// Once, an attempt with the token read again.
    NewToken,
    /// A few attempts more, each after a wait.
    Again,
}

// === impl Fault ===

impl Fault {
    /// The fault of a request that got no answer. The URL is left out: the ids in it can fill a screen.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            // The kernel's own timeout on a silent connection.
            return Self::Unreachable("the connection timed out".into());
        }
        Self::Unreachable(causes(&error.without_url()))
    }

    /// The fault of a body that broke off.
    pub(super) fn broken(error: reqwest::Error) -> Self {
        Self::Broken(causes(&error.without_url()))
    }

    /// The value of the label `reason`.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::NoToken(_) => Reason::Auth,
            Self::Unreachable(_) => Reason::Connect,
            Self::TimedOut(_) => Reason::Timeout,
            Self::Status { status, .. } => retry::reason(*status),
            Self::Broken(_) | Self::TooLarge(_) | Self::NotJson(_) | Self::NotAPage(_) => Reason::Protocol,
        }
    }

    /// What may follow. A body that is damaged can come whole the next time; one that is whole and wrong will
    /// be as wrong.
    pub(super) fn next(&self) -> Next {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Broken(_) | Self::NotJson(_) => Next::Again,
            Self::Status { status, .. } if retry::is_transient(*status) => Next::Again,
            Self::Status { status: 401 | 403, .. } => Next::NewToken,
            Self::Status { .. } | Self::NoToken(_) | Self::TooLarge(_) | Self::NotAPage(_) => Next::GiveUp,
        }
    }

    /// How long the server asked to be left alone.
    pub(super) fn asked(&self) -> Option<Duration> {
        match self {
            Self::Status { asked, .. } => *asked,
            _ => None,
        }
    }

    /// What the user can do about it; empty where nothing but waiting helps.
    pub(super) fn remedy(&self, token: &TokenSource) -> String {
        match self {
            Self::NoToken(_) => "; check token_file or token_env of the account".into(),
            Self::Unreachable(_) => {
                "; check base_url, the network and the proxy, and ca_file if a certificate is not trusted"
                    .into()
            }
            Self::TimedOut(_) => {
                "; if the API is well, raise poll.request_timeout or lower poll.page_size".into()
            }
            Self::TooLarge(_) => "; raise it or lower poll.page_size".into(),
            Self::NotJson(_) | Self::NotAPage(_) => "; check base_url".into(),
            Self::Status { status, .. } => match retry::reason(*status) {
                Reason::Auth => format!(
                    "; check that {token} has not expired, belongs to this base_url, and may list tasks \
                     (of the organizational_unit, if one is set)"
                ),
                Reason::Throttled => "; lower poll.requests_per_second if it lasts".into(),
                Reason::Rejected => "; check base_url and organizational_unit".into(),
                _ => String::new(),
            },
            Self::Broken(_) => String::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken(why) => f.write_str(why),
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
            Self::TimedOut(after) => write!(f, "no whole answer within {after:?}"),
            Self::Status { status: 300..=399, .. } => {
                f.write_str("answered with a redirect, which is never followed: check base_url")
            }
            Self::Status { status, said, .. } => {
                write!(f, "answered with status {status}")?;
                said.iter().try_for_each(|said| write!(f, " ({said})"))
            }
            Self::Broken(why) => write!(f, "the answer broke off: {why}"),
            Self::TooLarge(bytes) => {
                write!(f, "the answer is larger than limits.max_response_bytes, which is {bytes} bytes")
            }
            Self::NotJson(what) => write!(f, "the answer is not JSON: {what}"),
            Self::NotAPage(why) => write!(f, "the answer is not a page of tasks: {why}"),
        }
    }
}

/// An error with what caused it, outermost first, without repetition.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
