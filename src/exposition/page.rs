//! The rendered page, plain and compressed, and when it is rendered anew.
//!
//! A page is rendered when somebody scrapes it and it is a second old; scrapes in between share it. The part that comes
//! from polls, which is nearly all of it, is rendered and compressed once for each published change. What nobody asks for
//! compressed is not compressed. The text is one piece, so that it is sent by one write: a second small one would wait for
//! the client's delayed acknowledgement.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::gzip::Beginning;

/// How old a page may get before a scrape renders it anew.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A page, in both forms in which it is served.
#[derive(Debug)]
pub struct Page {
    plain: Bytes,
    /// How much of it comes from polls, and that compressed.
    polled: usize,
    beginning: Arc<OnceLock<Beginning>>,
    gzip: OnceLock<Bytes>,
    rendered: Instant,
}

/// The last page, and the part of it that comes from polls.
#[derive(Debug, Default)]
pub(super) struct Cache {
    page: ArcSwapOption<Page>,
    polled: Mutex<Option<Polled>>,
}

/// The part that comes from polls: how a page begins.
#[derive(Debug)]
struct Polled {
    version: u64,
    /// Shared with the last page.
    text: Bytes,
    compressed: Arc<OnceLock<Beginning>>,
}

// === impl Page ===

impl Page {
    /// The text.
    #[must_use]
    pub fn plain(&self) -> Bytes {
        self.plain.clone()
    }

    /// The text as one gzip member (RFC 1952): some clients stop after the first. The first call compresses it, which can
    /// take milliseconds.
    pub fn gzip(&self) -> Bytes {
        let compress = || {
            let (polled, live) = self.plain.split_at(self.polled);
            self.beginning.get_or_init(|| Beginning::of(polled)).followed_by(live).into()
        };
        self.gzip.get_or_init(compress).clone()
    }

    /// Whether the text was compressed already.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.gzip.get().is_some()
    }
}

// === impl Cache ===

impl Cache {
    /// The last page, if it is younger than a second at `now`.
    pub(super) fn fresh(&self, now: Instant) -> Option<Arc<Page>> {
        let page = self.page.load_full()?;
        (now.saturating_duration_since(page.rendered) < FRESH_FOR).then_some(page)
    }

    /// A fresh page: the last one, or a new one out of `polled`, which is asked for only if `changes` has moved,
    /// and `live`.
    pub(super) fn render(
        &self,
        now: Instant,
        changes: &AtomicU64,
        polled: impl FnOnce(&mut String),
        live: impl FnOnce(&mut String),
    ) -> Arc<Page> {
        // Those who scrape together wait for one rendering instead of each doing its own.
        let mut cached = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = self.fresh(now) {
            return page;
        }
        let version = changes.load(Ordering::Acquire);
        let polled = match cached.take() {
            Some(current) if current.version == version => cached.insert(current),
            _ => cached.insert(Polled { version, text: text(polled).into(), compressed: Arc::default() }),
        };
        let plain = Bytes::from([&polled.text, text(live).as_bytes()].concat());
        polled.text = plain.slice(..polled.text.len());
        let (length, beginning) = (polled.text.len(), Arc::clone(&polled.compressed));
        let page = Arc::new(Page { plain, polled: length, beginning, gzip: OnceLock::new(), rendered: now });
        self.page.store(Some(Arc::clone(&page)));
        page
    }
}

fn text(render: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    render(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(cache: &Cache, now: Instant, changes: &AtomicU64, text: &str) -> String {
        let polled = |into: &mut String| into.push_str(text);
        let page = cache.render(now, changes, polled, |into| into.push_str("live"));
        String::from_utf8_lossy(&page.plain()).into_owned()
    }

    #[test]
    fn a_page_is_rendered_at_most_once_a_second_and_its_polled_part_once_for_a_change() {
        let (cache, changes, start) = (Cache::default(), AtomicU64::new(0), Instant::now());
        assert!(cache.fresh(start).is_none());
        assert_eq!(render(&cache, start, &changes, "one "), "one live");
        changes.store(1, Ordering::Release);
        let soon = start + Duration::from_millis(999);
        assert!(cache.fresh(soon).is_some());
        assert_eq!(render(&cache, soon, &changes, "two "), "one live");
        let later = start + Duration::from_secs(1);
        assert!(cache.fresh(later).is_none());
        assert_eq!(render(&cache, later, &changes, "two "), "two live");
        let unchanged = later + Duration::from_secs(9);
        assert_eq!(render(&cache, unchanged, &changes, "three "), "two live");
    }
    #[test]
    fn a_scrape_of_a_fresh_page_allocates_nothing() {
        let (cache, now) = (Cache::default(), Instant::now());
        render(&cache, now, &AtomicU64::new(0), "polled ");
        let scrape = || cache.fresh(now).map(|page| (page.plain(), page.gzip()));
        // The first one makes the bytes shareable.
        assert!(scrape().is_some());
        assert_eq!(allocation_counter::measure(|| drop(scrape())).count_total, 0);
    }
}
