//! What the client writes to the log, and what it never writes.

use std::sync::LazyLock;

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// One more subscriber in the process, which takes nothing. While there is but one, `tracing` judges a place in the
/// code that is met for the first time by the thread that meets it, and a thread of another test, which has no
/// subscriber, turns that place off for all of them.
static BESIDE: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// What is logged on this thread, from the finest level on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

fn row(row: &Value) -> Reply {
    ok(&json!({"limit": 100, "total_count": 1, "_embedded": {"items": [row, row]}}))
}

#[tokio::test(start_paused = true)]
async fn a_defect_is_logged_once_a_kind_with_the_id_alone() {
    let (log, _guard) = Log::start();
    let id = format!("7\n{}", "7".repeat(100));
    let no_status = json!({"id": id, "primary_entity": {"value": "private"}});
    let bad_time = json!({"id": "8", "status": "failed", "end_timestamp": "private"});
    let api = Api::start([row(&no_status), row(&no_status), row(&bad_time)]).await;
    let client = client(&options(&api), &Arc::default());
    for number in 1..=3 {
        client.page(&Filter::Open, number, 100).await.expect("the page must be read");
    }
    let warnings = log.lines("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains(&format!(r#"defect="no_status" id="7\n{}""#, "7".repeat(62))),
        "{warnings:?}"
    );
    assert!(warnings[1].contains(r#"defect="bad_timestamp" id="8""#), "{warnings:?}");
    assert!(!log.text().contains("private"));
}

#[tokio::test(start_paused = true)]
async fn names_of_assets_are_in_no_log_and_no_error_though_a_page_breaks_off() {
    let (log, _guard) = Log::start();
    let entity = json!({"type": "volume", "id": "id-1", "value": "private"});
    let whole =
        json!({"_embedded": {"items": [{"primary_entity": entity, "parent_entity": entity}]}}).to_string();
    let broken = &whole[..whole.len() - 3];
    for body in [broken, &whole, r#"["private"]"#, r#"{"limit": "private"}"#] {
        let api = Api::start((0..8).map(|_| reply(200, &[], body.to_owned()))).await;
        let client = client(&options(&api), &Arc::default());
        let error = client.page(&Filter::Open, 1, 100).await.expect_err("it must be no page");
        assert!(!error.to_string().contains("private"), "{error}");
    }
    assert!(log.text().contains("broken JSON"), "{}", log.text());
    assert!(!log.text().contains("private"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn the_token_is_in_no_log_at_any_level() {
    let (log, _guard) = Log::start();
    let folder = tempfile::tempdir().expect("a folder must be had");
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret").expect("the token must be written");
    let api = Api::start([reply(401, &[], "s3cret"), reply(502, &[], ""), empty_page(), empty_page()]).await;
    let options = Options { token: TokenSource::File(path.clone()), ..options(&api) };
    let client = client(&options, &Arc::default());
    client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    std::fs::write(&path, "Bearer s3cret").expect("the token must be written");
    client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    assert_eq!(api.seen()[3].headers["authorization"], "Bearer s3cret");
    assert!(log.text().contains("trying again"), "{}", log.text());
    assert!(log.text().contains("the one read before is used"), "{}", log.text());
    assert!(!log.text().contains("s3cret"), "{}", log.text());
}

// === impl Log ===

impl Log {
    fn start() -> (Self, DefaultGuard) {
        LazyLock::force(&BESIDE);
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panics here")).into_owned()
    }

    /// The client's own lines of this level.
    fn lines(&self, level: &str) -> Vec<String> {
        let text = self.text();
        let ours =
            text.lines().filter(|line| line.contains(level) && line.contains("clumio_exporter::clumio"));
        ours.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics here").extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
