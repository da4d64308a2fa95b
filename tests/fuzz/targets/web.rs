//! A web config: it is what its text says, or problems that name what is wrong, and costs memory in proportion to its
//! length.

#![no_main]

use clumio_exporter::config::fuzzing;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// How much a reading may allocate at once, in bytes: so much, and so many times the text. The most have anchors in
/// anchors: the parser keeps what is in one, and so what is in the innermost as often as there are levels, 64 at most.
const FIXED: usize = 256 << 10;
const TIMES: usize = 64 * 64;

fuzz_target!(|text: &[u8]| {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    fuzzing::read_web_config(text);
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(peak <= FIXED + TIMES * text.len(), "{peak} bytes for a web config of {}", text.len());
});
