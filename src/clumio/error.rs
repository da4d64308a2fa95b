//! Why no page could be had.

use std::fmt;

/// What went wrong, as the value of the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// 401 or 403, or no token to send.
    Auth,
    /// 429.
    Throttled,
    /// No answer, or not all of it, within the request timeout.
    Timeout,
    /// No connection, or one that broke.
    Connect,
    /// 5xx.
    Server,
    /// Another 4xx.
    Rejected,
    /// An answer that is not a page of tasks, or pages that do not add up.
    Protocol,
}

/// A request, or a listing, that failed: what was asked, what came back, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    /// The status of the answer, if there was one other than 200.
    status: Option<u16>,
    message: String,
}

// === impl Reason ===

impl Reason {
    /// Every reason, in alphabetical order.
    pub const ALL: [Self; 7] = [
        Self::Auth,
        Self::Connect,
        Self::Protocol,
        Self::Rejected,
        Self::Server,
        Self::Throttled,
        Self::Timeout,
    ];

    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Connect => "connect",
            Self::Protocol => "protocol",
            Self::Rejected => "rejected",
            Self::Server => "server",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
        }
    }
}

// === impl Error ===

impl Error {
    /// An error for this reason; `message` is in lower case, with no full stop, and never has the token.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, status: None, message: message.into() }
    }

    /// The same error, of an answer with this HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// What went wrong.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether a smaller `limit` may help. The API documents neither its largest `limit` nor how it rejects one;
    /// 400 and 422 are the usual statuses for an invalid parameter.
    #[must_use]
    pub fn rejects_limit(&self) -> bool {
        matches!(self.status, Some(400 | 422))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
