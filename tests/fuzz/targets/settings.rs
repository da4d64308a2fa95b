//! A config file and variables: they are settings within their bounds, or problems that name what is wrong.

#![no_main]

use clumio_exporter::config::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzzing::load(input));
