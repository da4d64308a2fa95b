//! Answers that refuse: a status and the one error body that every resource of the API shares.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The API's own number for it, which is not the status.
    pub(super) code: u32,
    pub(super) message: String,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400: the request makes no sense.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 201, message)
    }

    /// 401, with the one code that the vendor's documents name for it.
    pub(super) fn unauthorised() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 402, "the access token is missing, invalid or expired")
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 205, format!("{what} was not found"))
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        json!({"errors": [{"error_code": self.code, "error_message": self.message}]})
    }
}
