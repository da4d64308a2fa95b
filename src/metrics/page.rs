//! The rendered page, plain and compressed, and when it is rendered anew.
//!
//! A page is rendered when somebody scrapes it and it is a second old; scrapes in between share it. The part that comes
//! from polls, which is nearly all of it, is rendered and compressed once for each published change. What nobody asks for
//! compressed is not compressed. The text is one piece, so that it is sent by one write: a second small one would wait for
//! the client's delayed acknowledgement.
//!
//! A page is written over the last one, in its memory, unless that is still being sent. Fresh memory would take longer to
//! map and fill than what changes takes to render, and of a thousand accounts a second page would be 16 MB.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::gzip::Beginning;

/// How old a page may get before a scrape renders it anew.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Room for what does not come from polls. There is more of it where accounts are many, and then it is a small part.
const ROOM: usize = 16 << 10;

/// A page, in both forms in which it is served.
#[derive(Debug)]
pub struct Page {
    plain: Bytes,
    /// How much of it comes from polls, of which state, and that compressed.
    polled: usize,
    version: u64,
    beginning: Arc<OnceLock<Beginning>>,
    gzip: OnceLock<Bytes>,
    rendered: Instant,
}

/// The last page; none while it is written over.
#[derive(Debug, Default)]
pub(super) struct Cache {
    page: ArcSwapOption<Page>,
    /// Held by who renders.
    rendering: Mutex<()>,
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

    /// The part of the text that comes from polls, in the same memory unless others have the page or are being sent it.
    fn into_polled(page: Arc<Self>) -> String {
        let polled = page.polled;
        let mut memory = match Arc::try_unwrap(page) {
            Ok(page) => Vec::from(page.plain),
            Err(page) => page.plain.to_vec(),
        };
        memory.truncate(polled);
        String::from_utf8(memory).expect("a page must be UTF-8")
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

    /// Whether rendering takes microseconds: nothing that comes from polls has changed since the last page, and the rest of
    /// that was short.
    pub(super) fn is_soon_rendered(&self, changes: &AtomicU64, compressed: bool) -> bool {
        self.page.load().as_ref().is_some_and(|last| {
            last.version == changes.load(Ordering::Acquire)
                && last.plain.len() - last.polled <= ROOM
                && (!compressed || last.beginning.get().is_some())
        })
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
        let _rendering = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = self.fresh(now) {
            return page;
        }
        let version = changes.load(Ordering::Acquire);
        let (mut text, beginning) = match self.page.swap(None) {
            Some(last) if last.version == version => {
                let beginning = Arc::clone(&last.beginning);
                (Page::into_polled(last), beginning)
            }
            last => {
                let mut text = emptied(last);
                polled(&mut text);
                (text, Arc::default())
            }
        };
        let polled = text.len();
        live(&mut text);
        let (plain, gzip) = (Bytes::from(text), OnceLock::new());
        let page = Arc::new(Page { plain, polled, version, beginning, gzip, rendered: now });
        self.page.store(Some(Arc::clone(&page)));
        page
    }
}

/// An empty text, in the memory of a page that is not shared any more.
fn emptied(page: Option<Arc<Page>>) -> String {
    let page = page.and_then(Arc::into_inner).filter(|page| page.plain.is_unique());
    let mut memory = page.map_or_else(Vec::new, |page| page.plain.into());
    memory.clear();
    String::from_utf8(memory).expect("an empty text must be UTF-8")
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
    fn what_only_goes_on_is_rendered_soon_and_what_polls_changed_or_is_to_be_compressed_is_not() {
        let (cache, changes, start) = (Cache::default(), AtomicU64::new(0), Instant::now());
        let is_soon_rendered = |compressed| cache.is_soon_rendered(&changes, compressed);
        assert!(!is_soon_rendered(false), "nothing is rendered yet");
        let page =
            cache.render(start, &changes, |into| into.push_str("polled "), |into| into.push_str("live"));
        assert!(is_soon_rendered(false) && !is_soon_rendered(true));
        page.gzip();
        assert!(is_soon_rendered(true));
        changes.store(1, Ordering::Release);
        assert!(!is_soon_rendered(false) && !is_soon_rendered(true));
        let long = "x".repeat(ROOM + 1);
        let later = start + FRESH_FOR;
        cache.render(later, &changes, |into| into.push_str("polled "), |into| into.push_str(&long));
        assert!(!is_soon_rendered(false), "much of it goes on");
    }

    #[test]
    fn a_page_that_is_still_being_sent_is_not_written_over() {
        let (cache, changes, start) = (Cache::default(), AtomicU64::new(0), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let page = |seconds, live: &str| {
            cache
                .render(at(seconds), &changes, |into| into.push_str("polled "), |into| into.push_str(live))
                .plain()
        };
        let first = page(0, "one and more");
        let second = page(1, "two and more");
        assert_eq!((&first[..], &second[..]), (&b"polled one and more"[..], &b"polled two and more"[..]));
        let place = second.as_ptr();
        drop(second);
        let third = page(2, "3");
        assert_eq!((&third[..], third.as_ptr()), (&b"polled 3"[..], place), "it is written over the second");
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
