//! Every panel and annotation of the dashboard has data when a real Prometheus scrapes the real exporter.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clumio_exporter::simulator::Options;
use clumio_exporter::time::Timestamp;

use crate::harness::{ACCOUNT, Api, eventually};
use crate::queries::{Query, annotations, queries};
use crate::stack::{COMPRESSED, Pace, Stack};
use crate::state::tasks_per_day;

/// Rates over several scrapes.
const RATE_INTERVAL: &str = "10s";

/// How long may pass until all queries give something: two tasks of a kind must end, and be counted.
const WITHIN: Duration = Duration::from_mins(4);

fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// A token that says when it expires.
fn dated_token() -> String {
    let claims = format!("{{\"exp\":{}}}", Timestamp::now().as_second() + 86_400);
    format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
}

/// A busy account with late assets, whose token has an expiry and whose replica is audited.
async fn stack() -> Stack {
    let history = Duration::from_hours(12);
    let tasks_per_day = 2 * tasks_per_day(Timestamp::now());
    let api = Api::start(Options { history, tasks_per_day, ..Options::default() }).await;
    // Of many assets, some have no backup within ten seconds.
    let keys = format!(
        "{COMPRESSED}poll.audit_interval = \"2s\"\nassets.max_age = \"10s\"\n\
         web.external_url = \"https://monitoring.example.com/clumio\"\n"
    );
    let stack = Stack::start(api, &keys, Pace::FAST).await;
    let token = dated_token();
    stack.api.simulator.issue_token(token.as_str());
    stack.exporter().config.write_token(ACCOUNT, &token);
    stack
}

/// Whether a query gives a number, as Grafana would ask it.
async fn has_data(stack: &Stack, query: &Query) -> bool {
    let samples = if query.is_instant {
        stack.prometheus.query(&query.expression).await
    } else {
        let end = now();
        let answer = stack.prometheus.query_range(&query.expression, end - 5.0, end, 1.0).await;
        answer.unwrap_or_else(|error| panic!("{}: {error}", query.expression))
    };
    samples.iter().any(|sample| sample.values.iter().any(|(_, value)| value.is_finite()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_annotation_has_data() {
    let stack = stack().await;
    for query in queries(RATE_INTERVAL, "5m").into_iter().chain(annotations()) {
        let what = format!("{} has data: {}", query.panel, query.expression);
        eventually(&what, WITHIN, async || has_data(&stack, &query).await.then_some(())).await;
    }
}
