//! Whether the configuration that was read last is in use: the families about reloads.

use prometheus::{Gauge, Registry};

use crate::time::{Timestamp, unix_seconds};

/// The families about reloads; a start counts as one.
#[derive(Debug)]
pub(super) struct Reloads {
    successful: Gauge,
    last_success: Gauge,
}

// === impl Reloads ===

impl Reloads {
    pub(super) fn new() -> Self {
        let gauge = |name: &str, help: &str| Gauge::new(name, help).expect("the family must be well-formed");
        Self {
            successful: gauge(
                "clumio_exporter_config_last_reload_successful",
                "1 if the configuration that was read last is in use, 0 if it was refused and the one before stays.",
            ),
            last_success: gauge(
                "clumio_exporter_config_last_reload_success_timestamp_seconds",
                "When the configuration that is in use was read.",
            ),
        }
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.successful.clone()))?;
        registry.register(Box::new(self.last_success.clone()))
    }

    /// A configuration was read: it is in use since then, or refused.
    pub(super) fn ended(&self, in_use_since: Option<Timestamp>) {
        self.successful.set(f64::from(in_use_since.is_some()));
        if let Some(at) = in_use_since {
            self.last_success.set(unix_seconds(at));
        }
    }
}
