//! Whether the configuration that was read last is in use: the families about reloads.

use std::sync::{Mutex, PoisonError};

use prometheus::{Gauge, Registry};

use crate::time::{Timestamp, unix_seconds};

/// The families about reloads; a start counts as one.
#[derive(Debug)]
pub(super) struct Reloads {
    successful: Gauge,
    last_success: Gauge,
    refused: Mutex<Refused>,
}

/// What was read last and is not in use.
#[derive(Debug, Default, Clone, Copy)]
struct Refused {
    /// All that is configured, at a reload.
    whole: bool,
    /// The file of TLS and login, which is read again by itself.
    web: bool,
}

// === impl Reloads ===

impl Reloads {
    pub(super) fn new() -> Self {
        let gauge = |name: &str, help: &str| Gauge::new(name, help).expect("the family must be well-formed");
        Self {
            successful: gauge(
                "clumio_exporter_config_last_reload_successful",
                "1 if the configuration that was read last is in use, 0 if it or the web config was refused and the one before stays.",
            ),
            last_success: gauge(
                "clumio_exporter_config_last_reload_success_timestamp_seconds",
                "When the configuration that is in use was read.",
            ),
            refused: Mutex::default(),
        }
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.successful.clone()))?;
        registry.register(Box::new(self.last_success.clone()))
    }

    /// A configuration was read: it is in use since then, or refused.
    pub(super) fn ended(&self, in_use_since: Option<Timestamp>) {
        let refused = Refused { whole: in_use_since.is_none(), web: false };
        self.publish(|before| *before = refused);
        if let Some(at) = in_use_since {
            self.last_success.set(unix_seconds(at));
        }
    }

    /// The file of TLS and login was read again by itself: it is in use, or refused.
    pub(super) fn web_config_read(&self, is_in_use: bool) {
        self.publish(|before| before.web = !is_in_use);
    }

    /// Whether something was read last that is not in use.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_any()
    }

    fn publish(&self, change: impl FnOnce(&mut Refused)) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut refused);
        self.successful.set(f64::from(!refused.is_any()));
    }
}

// === impl Refused ===

impl Refused {
    fn is_any(self) -> bool {
        self.whole || self.web
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_last_is_refused_until_that_is_read_again() {
        let reloads = Reloads::new();
        let told = || (reloads.is_refused(), reloads.successful.get());
        let now = Some(Timestamp::UNIX_EPOCH);
        reloads.ended(now);
        assert_eq!(told(), (false, 1.0));
        reloads.web_config_read(false);
        assert_eq!(told(), (true, 0.0));
        reloads.web_config_read(true);
        assert_eq!(told(), (false, 1.0));
        reloads.ended(None);
        reloads.web_config_read(true);
        assert_eq!(told(), (true, 0.0), "the rest of it waits for a reload");
        reloads.ended(now);
        assert_eq!(told(), (false, 1.0));
    }
}
