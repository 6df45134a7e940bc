//! What a stream decodes to.

use std::collections::HashMap;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use lopdf::{Dictionary, Object, Stream};

use super::body::{Body, Numbers};
use super::lexer::Value;

/// Bytes that a chain of filters may give. Plain Flate, by far the most common, is read as a stream without such a limit.
pub(super) const MOST: usize = 64 * 1024 * 1024;
/// Filters whose output is a picture: what they decode is no file.
const PICTURES: &[&[u8]] = &[b"DCTDecode", b"DCT", b"JPXDecode", b"CCITTFaxDecode", b"CCF", b"JBIG2Decode"];

/// A decoded stream.
pub(super) enum Decoded<'a> {
    /// As stored.
    Plain(&'a [u8]),
    /// A zlib stream, still to be read.
    Flate(&'a [u8]),
    /// Out of a chain of filters.
    Bytes(Vec<u8>),
    /// Nobody here can decode it.
    Broken(String),
}

impl Decoded<'_> {
    /// `is_strict`: data that are cut off are an error.
    pub(super) fn reader(&self, is_strict: bool) -> Box<dyn Read + '_> {
        match self {
            Self::Plain(bytes) => Box::new(*bytes),
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
            Self::Flate(bytes) => Box::new(Inflate::new(bytes, is_strict)),
            Self::Broken(_) => Box::new(io::empty()),
        }
    }

    /// The first bytes.
    pub(super) fn head(&self, most: u64) -> Vec<u8> {
        let mut head = Vec::new();
        let _ = self.reader(false).take(most).read_to_end(&mut head);
        head
    }
}

/// Applies the filters of a stream, up to the first that makes a picture.
/// `indirect` finds names and lists that are objects of their own, `numbers` does lengths.
pub(super) fn decode<'a>(dictionary: &Value, body: &'a Body<'_>, indirect: &HashMap<u32, Value>, numbers: &Numbers) -> Decoded<'a> {
    // Some readers take the short key of inline images; in others it names an external file.
    let short = dictionary.get("F").filter(|value| matches!(value, Value::Name(_) | Value::Array(_)));
    let is_twice = |key: &str| dictionary.all(key).nth(1).is_some();
    if is_twice("Filter") || is_twice("DecodeParms") || (short.is_some() && dictionary.get("Filter").is_some_and(|filter| Some(filter) != short)) {
        return Decoded::Broken("a stream says twice how it is encoded".into());
    }
    let filters = list(dictionary.get("Filter").or(short), indirect);
    let parameters = list(dictionary.get("DecodeParms").or_else(|| dictionary.get("DP")), indirect);
    let mut names: Vec<&[u8]> = Vec::new();
    for filter in &filters {
        match filter.name() {
            Some(name) if PICTURES.contains(&name) => break,
            Some(b"Crypt") => {}
            Some(name) => names.push(long(name)),
            None => return Decoded::Broken("the filter of a stream can not be found".into()),
        }
    }
    if parameters.iter().any(|it| is_unclear(it)) {
        return Decoded::Broken("the parameters of a filter can not be found".into());
    }
    let data = body.data(dictionary, numbers, names.first() == Some(&b"FlateDecode".as_slice()));
    let has_predictor = parameters.iter().any(|it| it.get("Predictor").is_some_and(|it| it.number() != Some(1)));
    match names.as_slice() {
        [] => Decoded::Plain(data),
        [b"FlateDecode"] if !has_predictor && is_zlib(data) => Decoded::Flate(data),
        _ => {
            let mut stored = Dictionary::new();
            stored.set("Filter", Object::Array(names.iter().map(|name| Object::Name(name.to_vec())).collect()));
            let converted = |value: &&Value| convert(value);
            stored.set("DecodeParms", Object::Array(parameters.iter().map(converted).collect()));
            match Stream::new(stored, data.to_vec()).decompressed_content_with_limit(MOST) {
                // Its decoders give nothing where they should say that they fail.
                Ok(bytes) if bytes.is_empty() && !data.trim_ascii().is_empty() => Decoded::Broken("nothing comes out of a stream".into()),
                Ok(bytes) => Decoded::Bytes(bytes),
                Err(error) => Decoded::Broken(format!("a stream can not be decoded: {error}")),
            }
        }
    }
}

/// Parameters that say how a decoder works (ISO 32000-1, tables 8 to 11).
const PARAMETERS: [&str; 5] = ["Predictor", "Colors", "BitsPerComponent", "Columns", "EarlyChange"];

/// Whether a dictionary has parameters of a filter that a file can have.
pub(super) fn is_parameters(dictionary: &Value) -> bool {
    PARAMETERS.iter().any(|key| dictionary.get(key).is_some()) && dictionary.get("Subtype").is_none()
}

/// Whether parameters, or one of them, stand where they are not found.
fn is_unclear(parameters: &Value) -> bool {
    let is_elsewhere = |value: &Value| matches!(value, Value::Reference(_));
    is_elsewhere(parameters) || PARAMETERS.iter().any(|key| parameters.all(key).any(is_elsewhere) || parameters.all(key).nth(1).is_some())
}

fn list<'v>(value: Option<&'v Value>, indirect: &'v HashMap<u32, Value>) -> Vec<&'v Value> {
    let resolved = |value: &'v Value| match value {
        Value::Reference(number) => indirect.get(number).unwrap_or(value),
        _ => value,
    };
    match value.map(resolved) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(resolved).collect(),
        Some(one) => vec![one],
    }
}

fn long(name: &[u8]) -> &[u8] {
    match name {
        b"Fl" => b"FlateDecode",
        b"AHx" => b"ASCIIHexDecode",
        b"A85" => b"ASCII85Decode",
        b"LZW" => b"LZWDecode",
        b"RL" => b"RunLengthDecode",
        other => other,
    }
}

/// Numbers of decode parameters; nothing else of them is asked for.
fn convert(value: &Value) -> Object {
    match value {
        Value::Dictionary(entries) => {
            let mut out = Dictionary::new();
            for (key, value) in entries {
                if let Value::Number(number) = value {
                    out.set(key.clone(), *number);
                }
            }
            Object::Dictionary(out)
        }
        _ => Object::Null,
    }
}

/// A zlib header (RFC 1950 §2.2).
fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [method, flags, ..] if method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

/// Reads deflate data behind a zlib header. Checksums are not asked for: wrong ones are common, and readers pass over them.
struct Inflate<'a> {
    rest: &'a [u8],
    decoder: Decompress,
    is_over: bool,
    /// Whether data without their end are an error, once everything in front of it is read. Else they end where the decoder
    /// gives up: that is what readers show, and pages that are cut off are common.
    is_strict: bool,
    is_whole: bool,
}

impl<'a> Inflate<'a> {
    fn new(data: &'a [u8], is_strict: bool) -> Self {
        Self { rest: data.get(2..).unwrap_or_default(), decoder: Decompress::new(false), is_over: false, is_strict, is_whole: false }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && !buffer.is_empty() {
            let (taken, given) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self.decoder.decompress(self.rest, buffer, FlushDecompress::None);
            let taken = usize::try_from(self.decoder.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(self.decoder.total_out() - given).unwrap_or(0);
            self.rest = self.rest.get(taken..).unwrap_or_default();
            self.is_whole = matches!(status, Ok(Status::StreamEnd));
            self.is_over = self.is_whole || status.is_err() || (taken == 0 && given == 0);
            if given > 0 {
                return Ok(given);
            }
        }
        if self.is_over && self.is_strict && !self.is_whole { Err(io::Error::other("a compressed stream is cut off")) } else { Ok(0) }
    }
}
