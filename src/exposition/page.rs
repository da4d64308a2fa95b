//! The rendered page, plain and compressed, and when it is rendered anew.
//!
//! A page is rendered when somebody scrapes it and it is a second old; scrapes in between copy it. The part that
//! comes from polls, which is nearly all of it, is rendered once for each published change.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::sync::Arc;

/// How old a page may get before a scrape renders it anew.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A page, in both forms in which it is served.
#[derive(Debug)]
pub struct Page {
    /// The text.
    pub plain: Box<[u8]>,
    /// The text as one gzip member (RFC 1952): some clients stop after the first.
    pub gzip: Box<[u8]>,
    rendered: Instant,
}

/// The last page, and the part of it that comes from polls.
#[derive(Debug, Default)]
pub(super) struct Cache {
    page: ArcSwapOption<Page>,
    polled: Mutex<Option<(u64, Vec<u8>)>>,
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
        polled: impl FnOnce(&mut Vec<u8>),
        live: impl FnOnce(&mut Vec<u8>),
    ) -> Arc<Page> {
        // Those who scrape together wait for one rendering instead of each doing its own.
        let mut cached = self.polled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(page) = self.fresh(now) {
            return page;
        }
        let version = changes.load(Ordering::Acquire);
        let (_, text) = match cached.take() {
            Some(current) if current.0 == version => cached.insert(current),
            _ => {
                let mut text = Vec::new();
                polled(&mut text);
                cached.insert((version, text))
            }
        };
        let mut plain = text.clone();
        live(&mut plain);
        let page = Arc::new(Page { gzip: compress(&plain), plain: plain.into(), rendered: now });
        self.page.store(Some(Arc::clone(&page)));
        page
    }
}

fn compress(text: &[u8]) -> Box<[u8]> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.expect("writing to memory must not fail").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(cache: &Cache, now: Instant, changes: &AtomicU64, text: &str) -> String {
        let polled = |into: &mut Vec<u8>| into.extend(text.as_bytes());
        let page = cache.render(now, changes, polled, |into| into.extend(b"live"));
        String::from_utf8_lossy(&page.plain).into_owned()
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
}
