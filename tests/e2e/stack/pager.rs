//! What reaches whoever is on call: a webhook that keeps every notification.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use clumio_exporter::time::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Labels;

/// Receives the notifications of one Alertmanager.
pub struct Pager {
    pub url: String,
    notifications: Arc<Mutex<Vec<Notification>>>,
    _serving: DropGuard,
}

/// One alert of one notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub labels: Labels,
    pub is_firing: bool,
    /// The annotation `link`; empty without one.
    pub link: String,
    /// When the alert began; a second notification of the same alert has the same instant.
    pub starts_at: Timestamp,
    pub received: Timestamp,
}

// === impl Pager ===

impl Pager {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port must be had");
        let url = format!("http://{}/", listener.local_addr().expect("it must have an address"));
        let notifications = Arc::<Mutex<Vec<Notification>>>::default();
        let sink = Arc::clone(&notifications);
        let receive = async move |body: String| {
            sink.lock().expect("no reader must panic").extend(read(&body));
        };
        let stop = CancellationToken::new();
        let served = axum::serve(listener, Router::new().route("/", post(receive)))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(served.into_future());
        Self { url, notifications, _serving: stop.drop_guard() }
    }

    /// What was received so far.
    pub fn notifications(&self) -> Vec<Notification> {
        self.notifications.lock().expect("no reader must panic").clone()
    }
}

fn read(body: &str) -> Vec<Notification> {
    let body: Value = serde_json::from_str(body).expect("a notification must be JSON");
    let alerts = body["alerts"].as_array().expect("a notification must have alerts");
    alerts.iter().map(Notification::of).collect()
}

// === impl Notification ===

impl Notification {
    fn of(alert: &Value) -> Self {
        let starts_at = alert["startsAt"].as_str().expect("an alert must have a start");
        Self {
            labels: serde_json::from_value(alert["labels"].clone()).expect("an alert must have labels"),
            is_firing: alert["status"] == "firing",
            link: alert["annotations"]["link"].as_str().unwrap_or_default().to_owned(),
            starts_at: starts_at.parse().expect("a start must be an instant"),
            received: Timestamp::now(),
        }
    }
}
