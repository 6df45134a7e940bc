//! Bytes of a container that its extractor did not read.
//!
//! The engines have seen them as part of the container. What always holds: if they could be something by
//! themselves (anything but padding), they are a child, so that an archive in them is found and opened.

use std::ops::Range;

use super::registry;
use super::sink::{Entry, Sink, Stop};

/// Hands `content[range]` over as a child of this name, unless it is empty or padding (one byte repeated, as tools pad).
pub(crate) fn take(content: &[u8], range: Range<usize>, name: &str, sink: &mut dyn Sink) -> Result<(), Stop> {
    let bytes = content.get(range).unwrap_or_default();
    // The whole content is no remainder of itself.
    if is_padding(bytes) || bytes.len() == content.len() {
        return Ok(());
    }
    // Padding in front hides the beginning of what follows, unless it belongs to it (a disk image).
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = if zeros > 0 && !registry::opens(bytes) { bytes.get(zeros..).unwrap_or_default() } else { bytes };
    sink.count()?;
    sink.take_bytes(Entry::new(name, bytes.len() as u64), bytes)?;
    Ok(())
}

/// Everything from `end` on.
pub(crate) fn behind(content: &[u8], end: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
    take(content, end.min(content.len())..content.len(), "[data behind the archive]", sink)
}

/// What of `within` none of these ranges covers.
pub(crate) fn gaps(mut read: Vec<Range<usize>>, within: Range<usize>) -> Vec<Range<usize>> {
    read.sort_unstable_by_key(|range| (range.start, range.end));
    let mut gaps = Vec::new();
    let mut at = within.start;
    for range in &read {
        if range.start > at {
            gaps.push(at..range.start.min(within.end));
        }
        at = at.max(range.end);
    }
    gaps.push(at..within.end);
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// Whether bytes are what tools pad with.
pub(crate) fn is_padding(bytes: &[u8]) -> bool {
    match bytes.first() {
        None => true,
        Some(first) => matches!(first, 0 | 0x1a | 0x20 | 0xff | b'\n') && bytes.iter().all(|byte| byte == first),
    }
}
