//! Files in `data:` URIs of web pages, drawings and other text (RFC 2397), base64 only.
//!
//! What scripts put together while a page is shown is not found here.

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::{give, is_carrier, mail};
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// What stands in front of the data.
const MARK: &[u8] = b";base64,";
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
    memmem::find_iter(content, MARK).filter_map(|at| {
        let rest = content.get(at + MARK.len()..)?;
        let is_data = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n' | b' ' | b'\t');
        let text = rest.get(..rest.iter().take_while(|byte| is_data(byte)).count())?;
        is_carrier(&mail::base64(text.get(..PROBE).unwrap_or(text))).then_some(text)
    })
}
