//! Outages: the page stays, says how old it is, and recovers; an account never disturbs another.

use std::sync::Arc;

use clumio_exporter::http::{self, Front, Gate, Site};
use clumio_exporter::metrics::Exposition;
use clumio_exporter::simulator::{Fault, Faults};
use clumio_exporter::store::{Explorer, Store};

use crate::harness::{ACCOUNT, Api, Config, Exporter, FAST, http};
use crate::process::TOKEN;
use crate::truth::FAMILIES;

async fn assert_well(exporter: &Exporter) {
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(exporter.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_numbers_stay_while_the_api_is_down() {
    let mut api = Api::resting().await;
    let exporter = Exporter::following(&api, FAST).await;
    let before = exporter.polls(ACCOUNT, 1).await;
    assert!(before.is_up(ACCOUNT));

    api.down().await;
    let during =
        exporter.until("the outage is noticed", |page| page.failures(ACCOUNT, "connect") > 0.0).await;
    assert!(!during.is_up(ACCOUNT));
    assert_eq!(during.families(&FAMILIES), before.families(&FAMILIES));
    let age = "clumio_exporter_last_success_timestamp_seconds";
    let (last, first) = (during.of(age, ACCOUNT), before.of(age, ACCOUNT));
    assert!(last.is_some() && last >= first);
    assert_well(&exporter).await;

    api.up().await;
    let after = exporter.until("it recovers", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(after.families(&FAMILIES), before.families(&FAMILIES));
    assert!(after.of(age, ACCOUNT) > last);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_told_and_a_new_one_in_the_file_is_taken_without_a_restart() {
    let api = Api::resting().await;
    let exporter = Exporter::start(Config::new(FAST).account(ACCOUNT, &api.url(), "an-old-token")).await;
    let page = exporter.until("the refusal is noticed", |page| page.failures(ACCOUNT, "auth") > 0.0).await;
    assert!(!page.is_up(ACCOUNT));
    assert_well(&exporter).await;
    exporter.config.write_token(ACCOUNT, TOKEN);
    exporter.until("the new token is taken", |page| page.is_up(ACCOUNT)).await;
    let log = exporter.stop().await.stderr;
    assert!(log.contains("check that the token file") && !log.contains("an-old-token"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_fails_disturbs_no_other() {
    let api = Api::resting().await;
    let config = Config::following(&api, FAST).with_accounts_that_fail(&api).await;
    let exporter = Exporter::start(config).await;
    let page = exporter
        .until("both have failed and the third has not", |page| {
            page.failures("refused", "auth") > 1.0
                && page.failures("unreachable", "connect") > 0.0
                && page.successes(ACCOUNT) > 2.0
        })
        .await;
    assert!(page.is_up(ACCOUNT) && !page.is_up("refused") && !page.is_up("unreachable"));
    let failed: f64 = ["auth", "connect", "timeout", "protocol", "server"]
        .map(|reason| page.failures(ACCOUNT, reason))
        .iter()
        .sum();
    assert!(failed < 1.0, "{failed} polls of the good account failed");
    assert!(!page.families(&FAMILIES).keys().any(|series| !series.contains("account=\"prod\"")));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_the_page_answer_at_once_though_the_api_never_does() {
    let api = Api::resting().await;
    api.simulator.set_faults(Faults::none().with(Fault::Stall, 1.0));
    let exporter = Exporter::following(&api, FAST).await;
    assert_well(&exporter).await;
    let page = exporter.scrape().await;
    assert!(!page.is_up(ACCOUNT));
    assert!(page.families(&FAMILIES).is_empty(), "nothing half-read is published");
    let page = exporter.until("the poll times out", |page| page.failures(ACCOUNT, "timeout") > 0.0).await;
    assert!(page.families(&FAMILIES).is_empty());
    assert_well(&exporter).await;
    exporter.stop().await;
}

fn no_accounts() -> Explorer {
    Explorer::new(Store::in_memory().expect("the store must open"), Vec::new())
}

/// In this process, because no client can hold a request of the real one for long enough.
#[tokio::test(flavor = "multi_thread")]
async fn more_scrapes_than_allowed_get_503_but_for_pages_and_health() {
    let listener = http::listen("127.0.0.1:0").expect("a free port must be had");
    let address = listener.local_addr().expect("it must have an address");
    let site = Site {
        exposition: Arc::new(Exposition::new()),
        external_url: None,
        telemetry_path: "/metrics".to_owned(),
        max_requests: 0,
        explorer: Arc::new(no_accounts),
        health: Arc::new(|| Ok(())),
        reload: None,
    };
    let serving = tokio::spawn(http::serve(listener, Front::new(site, Gate::new()), std::future::pending()));
    let http = http();
    let status = async |path: &str| {
        let answer = http.get(format!("http://{address}{path}")).send().await;
        answer.expect("it must be answered").status().as_u16()
    };
    assert_eq!([status("/metrics").await, status("/").await, status("/no").await], [503, 200, 404]);
    assert_eq!([status("/-/healthy").await, status("/-/ready").await], [200; 2]);
    serving.abort();
}

/// In this process, because nothing that a test can do to the real one makes its pollers hang for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn health_fails_with_what_is_wrong() {
    let listener = http::listen("127.0.0.1:0").expect("a free port must be had");
    let address = listener.local_addr().expect("it must have an address");
    let site = Site {
        exposition: Arc::new(Exposition::new()),
        external_url: None,
        telemetry_path: "/metrics".to_owned(),
        max_requests: 1,
        explorer: Arc::new(no_accounts),
        health: Arc::new(|| Err("the poller of account \"prod\" has not got on".to_owned())),
        reload: None,
    };
    let serving = tokio::spawn(http::serve(listener, Front::new(site, Gate::new()), std::future::pending()));
    let answer = http().get(format!("http://{address}/-/healthy")).send().await.expect("it must answer");
    assert_eq!(answer.status(), 500);
    let text = answer.text().await.expect("the answer must be whole");
    assert_eq!(text, "the poller of account \"prod\" has not got on\n");
    serving.abort();
}
