//! `[log]`: what is logged, and how.

use super::table::Table;
use super::values::word;

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// How a line is written.
    pub format: LogFormat,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs somebody's attention.
    Error,
    /// What may need it soon.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

// === impl Log ===

impl Log {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let log = Self {
            level: table.or("level", LogLevel::Info, word(&LogLevel::ALL, LogLevel::as_str)),
            format: table.or("format", LogFormat::Logfmt, word(&LogFormat::ALL, LogFormat::as_str)),
        };
        table.close();
        log
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// Every level, the most important first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level as the configuration writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

// === impl LogFormat ===

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Logfmt, Self::Json];

    /// The format as the configuration writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
    }
}
