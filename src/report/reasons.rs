//! Why a poll failed, in words, and what to do about it.

use crate::metrics::Failure;

/// What happened, and what to do about it: the table of the README.
pub(super) fn explained(failure: Failure) -> (&'static str, &'static str) {
    match failure.as_str() {
        "auth" => (
            "the API refused the token, or there is none",
            "Check that the token file is there and readable, and that the token has not expired, belongs to the region of \
             base_url, and may list tasks (of organizational_unit, if that is set).",
        ),
        "connect" => (
            "no connection to the API, or one that broke before an answer",
            "Check base_url, DNS, the firewall and the proxy; set ca_file if a certificate is not trusted.",
        ),
        "timeout" => (
            "no complete response in time, or a poll that hangs",
            "If it lasts, raise poll.request_timeout or lower poll.page_size. For one that hangs, check that token_file \
             can be read.",
        ),
        "throttled" => (
            "the API answered 429, too many requests",
            "Other callers of the organisation share its limit: lower poll.requests_per_second, or slow them down.",
        ),
        "server" => ("the API answered with a server error", "Wait; if it lasts, ask Clumio."),
        "rejected" => ("the API rejected a request", "Check base_url and organizational_unit."),
        "protocol" => (
            "an answer that is no page of tasks, or pages that do not add up",
            "Check base_url: a portal or a proxy may be answering. Raise limits.max_response_bytes if the log names it.",
        ),
        "state" => (
            "the numbers were read, but cannot be written to the state directory, so that counters do not advance",
            "Make room on its disk, and let the user that runs the exporter write there.",
        ),
        _ => ("a fault of the exporter", "Please report it, with the log."),
    }
}
