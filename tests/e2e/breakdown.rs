//! Trying out alerts: an asset that fails on request is named within two polls, and gone within two after it recovered.

use std::time::Duration;

use clumio_exporter::simulator::Options;

use crate::harness::{ACCOUNT, Api, Exporter, FAST, eventually, http};
use crate::page::Page;
use crate::process::{Process, binary};

const FAMILY: &str = "clumio_failing_asset_since_timestamp_seconds";

async fn post(url: &str) -> String {
    let answer = http().post(url).send().await.expect("it must be answered");
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.expect("the answer must be whole")
}

/// The id in an answer, such as `aws_ebs_volume vol-1 (id 7) fails`.
fn id(answer: &str) -> String {
    let id = answer.split_once("(id ").and_then(|(_, rest)| rest.split_once(')'));
    id.map(|(id, _)| id.to_owned()).expect("the answer must name the asset")
}

#[tokio::test]
async fn an_asset_that_fails_on_request_is_named_and_recovers() {
    let api = Api::start(Options { tasks_per_day: 300, ..Options::default() }).await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    let broken = id(&post(&format!("{}/simulator/fail?asset_type=aws_ebs_volume", api.url())).await);
    let is_named = |page: &Page| page.families(&[FAMILY]).keys().any(|series| series.contains(&broken));
    // The task takes two seconds; then it is in the second poll at the latest.
    let before = exporter.scrape().await.successes(ACCOUNT);
    let named = exporter.until("the asset is named", is_named).await;
    assert!(named.successes(ACCOUNT) - before <= 5.0);
    let asset = exporter.get(&format!("/asset?account={ACCOUNT}&id={broken}")).await;
    assert!(asset.text().await.expect("it must be whole").contains("Failing for"));
    let listed = exporter.get("/api/v1/assets?state=failing&limit=1000").await.text().await;
    assert!(listed.expect("it must be whole").contains(&broken));
    assert_eq!(id(&post(&format!("{}/simulator/recover", api.url())).await), broken);
    exporter.until("the asset is gone", |page| !is_named(page)).await;
}

#[tokio::test]
async fn the_demo_prints_the_command_that_makes_an_asset_fail() {
    let process = Process::start(binary(&["demo", "--web.listen-address", "127.0.0.1:0"]));
    let url = |log: &str| {
        let line = log.lines().find(|line| line.contains("simulator/fail"))?;
        line.split('\'').nth(1).map(str::to_owned)
    };
    let url = process.says("the command is printed", url).await;
    let broken = eventually("the simulated API answers", Duration::from_mins(1), async || {
        let answer = http().post(&url).send().await.ok()?;
        Some(id(&answer.text().await.ok()?))
    });
    assert!(!broken.await.is_empty());
}
