//! One gzip member out of two parts that are compressed at different times.
//!
//! Nearly all of a page changes with polls alone, and compressing it is most of what a page costs. So that part is
//! compressed once for each change. A deflate stream that is flushed ends with a whole byte and without a last block,
//! so that another stream can go on from there (RFC 1951, section 3.2.3), and the checksum of the whole follows from
//! those of the parts (RFC 1952).

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// No name, no time, and no word of which system wrote it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The beginning of a member.
#[derive(Debug)]
pub(super) struct Beginning {
    deflated: Vec<u8>,
    crc: Crc,
    /// For what follows: its tables are large, and filled when they are made.
    encoder: Mutex<DeflateEncoder<Vec<u8>>>,
}

// === impl Beginning ===

impl Beginning {
    /// The beginning of a member that holds `text` and more.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
        let mut deflate = || -> io::Result<Vec<u8>> {
            encoder.write_all(text)?;
            encoder.flush()?;
            let deflated = std::mem::take(encoder.get_mut());
            encoder.reset(Vec::new())?;
            Ok(deflated)
        };
        let deflated = deflate().expect("writing to memory must not fail");
        Self { deflated, crc: crc(text), encoder: Mutex::new(encoder) }
    }

    /// The whole member, which ends with `text`.
    pub(super) fn followed_by(&self, text: &[u8]) -> Vec<u8> {
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deflate = || -> io::Result<Vec<u8>> {
            encoder.write_all(text)?;
            encoder.reset(Vec::new())
        };
        let end = deflate().expect("writing to memory must not fail");
        let mut whole = Crc::new();
        whole.combine(&self.crc);
        whole.combine(&crc(text));
        let trailer = [whole.sum().to_le_bytes(), whole.amount().to_le_bytes()].concat();
        [&HEADER, self.deflated.as_slice(), &end, &trailer].concat()
    }
}

fn crc(text: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(text);
    crc
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;

    use super::*;

    #[test]
    fn two_parts_are_one_member() {
        let long = "clumio_up 1\n".repeat(50_000);
        for (beginning, end) in [("", ""), ("a", ""), ("", "b"), (&*long, "end\n"), ("start\n", &*long)] {
            let beginning_of_it = Beginning::of(beginning.as_bytes());
            // One after another.
            beginning_of_it.followed_by(b"something else");
            let member = beginning_of_it.followed_by(end.as_bytes());
            // It reads one member, checks its trailer, and leaves what comes after.
            let mut decoder = GzDecoder::new(member.as_slice());
            let mut text = String::new();
            decoder.read_to_string(&mut text).expect("it must be a member");
            assert!(text == format!("{beginning}{end}"));
            assert_eq!(decoder.into_inner(), b"");
        }
    }
}
