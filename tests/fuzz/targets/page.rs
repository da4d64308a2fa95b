//! The body of an answer of the API: it is a page or an error, and costs memory in proportion to its length.

#![no_main]

use clumio_exporter::clumio::fuzzing;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// How much a reading may allocate at once, in bytes: so much, and so many times the body. The most has a page of
/// rows that are an id each, nine bytes that become two words and a shared text, in a list that doubles.
const FIXED: usize = 64 << 10;
const TIMES: usize = 64;

fuzz_target!(|body: &[u8]| {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    fuzzing::page(body);
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(peak <= FIXED + TIMES * body.len(), "{peak} bytes for a body of {}", body.len());
    fuzzing::page_as_a_tree(body);
    fuzzing::page_with_a_name(body);
});
