//! Bytes of a container that its extractor did not read.
//!
//! The engines have seen them as part of the container. What always holds: if they could be something by
//! themselves (anything but padding), they are a child, so that an archive in them is found and opened.

use std::ops::Range;

use super::sink::{Entry, Sink, Stop};

/// Hands `content[range]` over as a child of this name, unless it is empty or padding (one byte repeated, as tools pad).
pub(crate) fn take(content: &[u8], range: Range<usize>, name: &str, sink: &mut dyn Sink) -> Result<(), Stop> {
    let bytes = content.get(range).unwrap_or_default();
    if is_padding(bytes) {
        return Ok(());
    }
    sink.count()?;
    sink.take_bytes(Entry::new(name, bytes.len() as u64), bytes)?;
    Ok(())
}

/// Everything from `end` on.
pub(crate) fn behind(content: &[u8], end: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
    take(content, end.min(content.len())..content.len(), "[data behind the archive]", sink)
}

/// Everything in front of `start`.
pub(crate) fn before(content: &[u8], start: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
    take(content, 0..start.min(content.len()), "[data before the archive]", sink)
}

/// What lies between ranges that were read, up to `end`.
pub(crate) fn between(content: &[u8], mut read: Vec<Range<usize>>, end: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
    read.sort_unstable_by_key(|range| (range.start, range.end));
    let mut at = 0;
    for range in read {
        if range.start > at {
            take(content, at..range.start.min(end), "[data between the entries]", sink)?;
        }
        at = at.max(range.end);
    }
    if at < end { take(content, at..end, "[data between the entries]", sink) } else { Ok(()) }
}

fn is_padding(bytes: &[u8]) -> bool {
    match bytes.first() {
        None => true,
        Some(first) => matches!(first, 0 | 0x1a | 0x20 | 0xff | b'\n') && bytes.iter().all(|byte| byte == first),
    }
}
