//! What the observer is told of requests that finish, and of waits on purpose.

use tokio::time::timeout;

use super::*;

/// What tells a client that gets on from one that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Finished,
    Waits(Duration),
}

#[derive(Default)]
struct Signs(Mutex<Vec<Sign>>);

impl Observer for Signs {
    fn request(&self, _: Option<u16>, _: Duration) {}
    fn retry(&self, _: Reason) {}
    fn rows(&self, _: u64) {}
    fn defect(&self, _: Defect) {}

    fn finished(&self) {
        self.0.lock().expect("no test panics here").push(Sign::Finished);
    }

    fn waits(&self, at_most: Duration) {
        self.0.lock().expect("no test panics here").push(Sign::Waits(at_most));
    }
}

impl Signs {
    fn taken(&self) -> Vec<Sign> {
        std::mem::take(&mut *self.0.lock().expect("no test panics here"))
    }
}

/// A client with a turn each ten seconds.
fn watched(api: &Api) -> (Client, Arc<Signs>) {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { requests_per_second: 0.1, ..options(api) };
    let http = Transports::new().client(None, &options.base_url, options.request_timeout);
    let http = http.expect("the transport must be made");
    let signs = Arc::<Signs>::default();
    let client = Client::new(&options, http, Arc::new(Noon), Arc::clone(&signs) as _);
    (client.expect("the client must be made"), signs)
}

#[tokio::test(start_paused = true)]
async fn turns_and_retries_are_told_with_their_length_and_answers_as_they_come() {
    let api = Api::start([reply(503, &[("retry-after", "7")], ""), empty_page()]).await;
    let (client, signs) = watched(&api);
    client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    let second = |seconds| Sign::Waits(Duration::from_secs(seconds));
    let seen = signs.taken();
    assert_eq!(seen[..3], [second(0), Sign::Finished, second(7)]);
    assert!(matches!(seen[3], Sign::Waits(turn) if turn <= Duration::from_secs(3)), "{seen:?}");
    assert_eq!(seen[4..], [Sign::Finished]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_finishes_a_request_and_a_caller_that_gives_up_does_not() {
    let api = Api::start([hanging(), hanging()]).await;
    let (client, signs) = watched(&api);
    let page = client.page(&Filter::Open, 1, 100);
    assert!(timeout(Duration::from_secs(29), page).await.is_err());
    assert_eq!(signs.taken(), [Sign::Waits(Duration::ZERO)]);
    let page = client.page(&Filter::Open, 1, 100);
    assert!(timeout(Duration::from_millis(30_500), page).await.is_err());
    assert_eq!(signs.taken()[1], Sign::Finished);
}
