//! Files in `data:` URIs of web pages, drawings and other text (RFC 2397), base64 only.
//!
//! What scripts put together while a page is shown is not found here.

use memchr::memchr_iter;
use portcullis_core::domain::report::FileType;

use super::{give, is_carrier, mail};
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// What stands in front of the comma and the data. Browsers do not mind its case, nor blanks around it.
const MARK: &[u8] = b"base64";
/// Bytes with blanks that are looked at for it.
const BEFORE: usize = 32;
/// Characters that show what the data are.
const PROBE: usize = 6 * 1024;

/// The extractor for `data:` URIs. Pictures and fonts, which most of them are, are left where they are.
pub(super) struct DataUri;

impl Extractor for DataUri {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        (file_type.category == "T" || file_type.mime == "image/svg+xml") && files(content).next().is_some()
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        for (number, text) in files(content).enumerate() {
            give(sink, format!("data-{}", number + 1), &mail::base64(text))?;
        }
        Ok(())
    }
}

/// The encoded data of each file that can do harm.
fn files(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr_iter(b',', content).filter(|comma| is_marked(content.get(..*comma).unwrap_or_default())).filter_map(|comma| {
        let rest = content.get(comma + 1..)?;
        let is_data = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n' | b' ' | b'\t');
        let text = rest.get(..rest.iter().take_while(|byte| is_data(byte)).count())?;
        is_carrier(&mail::base64(text.get(..PROBE).unwrap_or(text))).then_some(text)
    })
}

/// Whether a URI says that base64 follows.
fn is_marked(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(BEFORE)..).unwrap_or_default().trim_ascii_end();
    let Some((parameters, word)) = near.len().checked_sub(MARK.len()).map(|at| near.split_at(at)) else { return false };
    word.eq_ignore_ascii_case(MARK) && parameters.trim_ascii_end().ends_with(b";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_in_every_way_browsers_take() {
        for text in ["data:;base64", "data:x/y;a=b;BASE64", "data:x/y; base64 ", ";base64\t"] {
            assert!(is_marked(text.as_bytes()), "{text:?}");
        }
        for text in ["base64", "data:x/base64", "a, b64", "", ";base6"] {
            assert!(!is_marked(text.as_bytes()), "{text:?}");
        }
    }
}
