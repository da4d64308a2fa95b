//! Tokens that rotate, are refused, or are not there.

use std::path::Path;

use super::*;

fn options_with(api: &Api, path: &Path) -> Options {
    Options { token: TokenSource::File(path.into()), ..options(api) }
}

fn bearers(api: &Api) -> Vec<String> {
    let text =
        |seen: &Seen| seen.headers["authorization"].to_str().expect("the header must be text").to_owned();
    api.seen().iter().map(text).collect()
}

fn refusal(status: u16) -> Reply {
    reply(
        status,
        &[],
        json!({"errors": [{"error_code": 402, "error_message": "not authorised"}]}).to_string(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_sent_from_the_next_request_on() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").expect("the token must be written");
    let api = Api::start([empty_page(), empty_page()]).await;
    let client = client(&options_with(&api, &path), &Arc::default());
    client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    std::fs::write(&path, "the second\n".replace(' ', "-")).expect("the token must be written");
    client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    assert_eq!(bearers(&api), ["Bearer first", "Bearer the-second"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_read_again_and_sent_once_more_at_once() {
    for status in [401, 403] {
        let api = Api::start([refusal(status), empty_page()]).await;
        let (page, events) = ask(&api).await;
        page.expect("the second attempt must bring a page");
        assert_eq!(api.pauses(), [0]);
        assert_eq!(
            events,
            [
                Event::Request(Some(status)),
                Event::Retry(Reason::Auth),
                Event::Request(Some(200)),
                Event::Rows(0),
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_twice_fails_the_page() {
    let api = Api::start([refusal(401), refusal(403), empty_page()]).await;
    let (page, _) = ask(&api).await;
    let error = page.expect_err("the page must fail");
    assert_eq!(error.reason(), Reason::Auth);
    assert_eq!(
        error.to_string(),
        format!(
            "listing open tasks, page 1, of http://{}: answered with status 403 (error 402, \"not authorised\"), \
             tried 2 times; check that the token in the environment variable CARGO_PKG_NAME has not expired, \
             belongs to this base_url, and may list tasks (of the organizational_unit, if one is set)",
            api.address
        )
    );
    assert_eq!(api.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_token_is_read_again_only_once_for_a_page() {
    let replies = [refusal(401), reply(503, &[], ""), refusal(401), empty_page()];
    let api = Api::start(replies).await;
    let (page, _) = ask(&api).await;
    assert_eq!(page.expect_err("the page must fail").reason(), Reason::Auth);
    assert_eq!(api.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let api = Api::start([empty_page()]).await;
    let missing = Path::new("/nowhere/token");
    let (page, events) = ask_with(&options_with(&api, missing)).await;
    let error = page.expect_err("the page must fail");
    assert_eq!(error.reason(), Reason::Auth);
    let words = "cannot read the token file /nowhere/token: no such file";
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.to_string().ends_with("; check token_file or token_env of the account"), "{error}");
    assert!(events.is_empty() && api.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_expiry_of_the_token_can_be_asked_for() {
    let api = Api::start([]).await;
    let folder = tempfile::tempdir().expect("a folder must be had");
    let path = folder.path().join("token");
    let client = client(&options_with(&api, &path), &Arc::default());
    assert_eq!(client.token_expiry().await, None);
    // {"exp":1893456000}
    std::fs::write(&path, "e30.eyJleHAiOjE4OTM0NTYwMDB9.c2ln").expect("the token must be written");
    assert_eq!(client.token_expiry().await, Some(at("2030-01-01T00:00:00Z")));
}
