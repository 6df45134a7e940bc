//! Names and strings of a PDF, without its structure: hostile files have none that readers agree on.
//!
//! What always holds: content streams, pictures and fonts are passed over; object streams are inflated (they are where
//! compressed files keep their actions), and so are streams that turn out to be scripts. Everything is bounded.

use std::collections::HashMap;
use std::io::Read;
use std::time::Instant;

use memchr::memmem;

/// Bytes inflated of one stream, and of all.
const MAX_STREAM: u64 = 8 * 1024 * 1024;
const MAX_ALL: usize = 512 * 1024 * 1024;
/// Strings kept of each kind.
const MAX_STRINGS: usize = 10_000;
/// Bytes of a dictionary in front of a stream that are looked at.
const DICTIONARY: usize = 4 * 1024;
/// Names that nobody writes with escapes but to hide them.
const TELLING: &[&str] = &[
    "JS",
    "JavaScript",
    "OpenAction",
    "AA",
    "Launch",
    "EmbeddedFile",
    "EmbeddedFiles",
    "RichMedia",
    "XFA",
    "URI",
    "GoToE",
    "GoToR",
    "SubmitForm",
    "Action",
    "Names",
    "ObjStm",
];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    names: HashMap<String, usize>,
    /// Telling names with letters written as `#xx`.
    pub(super) hidden_names: usize,
    /// Source code of scripts.
    pub(super) scripts: Vec<String>,
    /// Values of `/F` and `/UF`.
    pub(super) files: Vec<String>,
    /// Values of `/P` and `/D` of launch actions.
    pub(super) parameters: Vec<String>,
    /// Values of `/URI`.
    pub(super) uris: Vec<String>,
    /// Whether an action that runs by itself is one that opens an address.
    pub(super) automatic_uri: bool,
    /// Most filters of one stream.
    pub(super) longest_chain: usize,
    /// Whether a bound was hit: there is more than was read.
    pub(super) is_cut: bool,
}

impl Tokens {
    /// How often a name occurs.
    pub(super) fn count(&self, name: &str) -> usize {
        self.names.get(name).copied().unwrap_or(0)
    }
}

/// Reads a whole file.
pub(super) fn read(content: &[u8], deadline: Instant) -> Tokens {
    let mut tokens = Tokens::default();
    let mut streams: Vec<(&[u8], &[u8])> = Vec::new();
    let mut rest = content;
    // Objects first: whether there are scripts at all decides whether other streams are worth inflating.
    while let Some(at) = memmem::find(rest, b"stream") {
        let (before, after) = rest.split_at(at);
        lex(before, &mut tokens);
        let data = after.get(b"stream".len()..).unwrap_or_default();
        if before.ends_with(b"end") {
            rest = data;
            continue;
        }
        let data = data.strip_prefix(b"\r\n").or_else(|| data.strip_prefix(b"\n")).or_else(|| data.strip_prefix(b"\r")).unwrap_or(data);
        let end = memmem::find(data, b"endstream").unwrap_or(data.len());
        let (data, after) = data.split_at(end);
        let dictionary = before.get(before.len().saturating_sub(DICTIONARY)..).unwrap_or(before);
        let dictionary = memmem::rfind(dictionary, b"obj").and_then(|at| dictionary.get(at..)).unwrap_or(dictionary);
        streams.push((dictionary, data));
        rest = after.strip_prefix(b"endstream").unwrap_or(after);
    }
    lex(rest, &mut tokens);

    let mut inflated = 0;
    let mut others = Vec::new();
    for (dictionary, data) in streams {
        let mut own = Tokens::default();
        lex(dictionary, &mut own);
        let filters = ["FlateDecode", "Fl", "ASCIIHexDecode", "AHx", "ASCII85Decode", "A85", "LZWDecode", "LZW", "RunLengthDecode", "RL"];
        tokens.longest_chain = tokens.longest_chain.max(filters.iter().map(|filter| own.count(filter)).sum());
        if own.count("ObjStm") > 0 {
            if inflated >= MAX_ALL || Instant::now() >= deadline {
                tokens.is_cut = true;
                continue;
            }
            let body = inflate(data, &own);
            inflated += body.len();
            tokens.is_cut |= body.len() as u64 >= MAX_STREAM;
            lex(&body, &mut tokens);
        } else if !["Image", "Length1", "Length2", "XRef", "Metadata", "Type1C", "CIDFontType0C", "OpenType"].iter().any(|name| own.count(name) > 0) {
            others.push((data, own));
        }
    }
    if tokens.count("JS") + tokens.count("JavaScript") + tokens.count("XFA") > 0 {
        for (data, own) in others {
            if inflated >= MAX_ALL || Instant::now() >= deadline || tokens.scripts.len() >= MAX_STRINGS {
                tokens.is_cut = true;
                break;
            }
            let body = inflate(data, &own);
            inflated += body.len();
            if is_script(&body) {
                tokens.scripts.push(text(&body));
            }
        }
    }
    tokens
}

/// Undoes the filters that compress or spell; what can not be undone stays as it is.
fn inflate(data: &[u8], dictionary: &Tokens) -> Vec<u8> {
    let mut body = data.to_vec();
    if dictionary.count("ASCIIHexDecode") + dictionary.count("AHx") > 0 {
        body = hex_string(&body).0;
    }
    if dictionary.count("ASCII85Decode") + dictionary.count("A85") > 0 {
        body = ascii85(&body);
    }
    if dictionary.count("FlateDecode") + dictionary.count("Fl") > 0 {
        let mut out = Vec::new();
        // What comes out in front of a fault counts.
        let _ = flate2::read::ZlibDecoder::new(body.as_slice()).take(MAX_STREAM).read_to_end(&mut out);
        body = out;
    }
    body
}

fn ascii85(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut word, mut count) = (0_u32, 0);
    for byte in data.iter().copied() {
        match byte {
            b'z' if count == 0 => out.extend([0; 4]),
            b'!'..=b'u' => {
                word = word.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                count += 1;
                if count == 5 {
                    out.extend(word.to_be_bytes());
                    (word, count) = (0, 0);
                }
            }
            b'~' => break,
            _ => {}
        }
    }
    if count > 1 {
        for _ in count..5 {
            word = word.wrapping_mul(85).wrapping_add(84);
        }
        out.extend(word.to_be_bytes().iter().take(count - 1));
    }
    out
}

/// Text with the words of a program, rather than of a page.
fn is_script(body: &[u8]) -> bool {
    let head = body.get(..256 * 1024).unwrap_or(body);
    let has = |word: &[u8]| memmem::find(head, word).is_some();
    let printable = head.iter().filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()).count() * 10 > head.len() * 9;
    let words: [&[u8]; 9] = [b"function", b"eval", b"var ", b"unescape", b"app.", b"this.", b"String.", b"event.", b"Collab."];
    printable && words.iter().filter(|word| has(word)).count() >= 2
}

/// PDF text: UTF-16 with a mark, or bytes.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => {
            char::decode_utf16(rest.as_chunks::<2>().0.iter().map(|p| u16::from_be_bytes(*p))).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        _ => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

fn lex(body: &[u8], tokens: &mut Tokens) {
    let mut at = 0;
    let mut key = String::new();
    // How many names ago an action was named that runs by itself.
    let mut since_automatic = usize::MAX;
    while let Some(byte) = body.get(at).copied() {
        at += 1;
        match byte {
            b'%' => at += memchr::memchr2(b'\n', b'\r', body.get(at..).unwrap_or_default()).unwrap_or(body.len()),
            b'/' => {
                let (name, hidden, length) = name(body.get(at..).unwrap_or_default());
                at += length;
                tokens.hidden_names += usize::from(hidden && TELLING.contains(&name.as_str()));
                // `/OpenAction << /Type /Action /S /URI`
                since_automatic = if name == "OpenAction" { 0 } else { since_automatic.saturating_add(1) };
                tokens.automatic_uri |= name == "URI" && key == "S" && since_automatic <= 4;
                if tokens.names.len() < 100_000 {
                    *tokens.names.entry(name.clone()).or_default() += 1;
                }
                key = name;
            }
            b'(' => {
                let (string, length) = literal(body.get(at..).unwrap_or_default());
                at += length;
                keep(tokens, &key, &string);
            }
            b'<' if body.get(at) == Some(&b'<') => at += 1,
            b'<' => {
                let (string, length) = hex_string(body.get(at..).unwrap_or_default());
                at += length;
                keep(tokens, &key, &string);
            }
            _ => {}
        }
    }
}

fn keep(tokens: &mut Tokens, key: &str, string: &[u8]) {
    let list = match key {
        "JS" => &mut tokens.scripts,
        "F" | "UF" => &mut tokens.files,
        "P" | "D" => &mut tokens.parameters,
        "URI" => &mut tokens.uris,
        _ => return,
    };
    if list.len() < MAX_STRINGS {
        list.push(text(string));
    }
}

/// A name with its escapes undone, whether a letter or digit was escaped, and how long it was.
fn name(body: &[u8]) -> (String, bool, usize) {
    let length = body.iter().take(512).take_while(|b| !b.is_ascii_whitespace() && !b"\0()<>[]{}/%".contains(b)).count();
    let (mut out, mut hidden, mut at) = (String::new(), false, 0);
    while at < length {
        let byte = body.get(at).copied().unwrap_or_default();
        let escaped = (byte == b'#').then(|| body.get(at + 1..at + 3)).flatten().and_then(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        if let Some(value) = escaped {
            hidden |= value.is_ascii_alphanumeric();
            out.push(char::from(value));
            at += 3;
        } else {
            out.push(char::from(byte));
            at += 1;
        }
    }
    (out, hidden, length)
}

/// A literal string behind its bracket (ISO 32000-2 §7.3.4.2), and how long it was.
fn literal(body: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut depth, mut at) = (Vec::new(), 1_usize, 0);
    while let Some(byte) = body.get(at).copied() {
        at += 1;
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            b'\\' => {
                let next = body.get(at).copied().unwrap_or_default();
                at += 1;
                match next {
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    b'\r' | b'\n' => {}
                    b'0'..=b'7' => {
                        let digits = body.get(at - 1..).unwrap_or_default();
                        let count = digits.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                        let value = digits.iter().take(count).fold(0_u16, |v, b| v * 8 + u16::from(b - b'0'));
                        out.push(value.to_le_bytes()[0]);
                        at += count - 1;
                    }
                    other => out.push(other),
                }
                continue;
            }
            _ => {}
        }
        out.push(byte);
    }
    (out, at)
}

/// A hexadecimal string behind its bracket, and how long it was.
fn hex_string(body: &[u8]) -> (Vec<u8>, usize) {
    let length = memchr::memchr(b'>', body).map_or(body.len(), |at| at + 1);
    let digits = body.get(..length).unwrap_or(body).iter().filter_map(|b| char::from(*b).to_digit(16)).collect::<Vec<_>>();
    let value = |pair: &[u32]| u8::try_from(pair.first().unwrap_or(&0) * 16 + pair.get(1).unwrap_or(&0)).unwrap_or(0);
    (digits.chunks(2).map(value).collect(), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strings() {
        assert_eq!(name(b"J#61va#53cript/X"), ("JavaScript".into(), true, 14));
        assert_eq!(name(b"A#20B "), ("A B".into(), false, 5));
        assert_eq!(name(b"A#zz#4"), ("A#zz#4".into(), false, 6));
        assert_eq!(literal(b"a(b)\\)\\101\\\nc)d"), (b"a(b))Ac".to_vec(), 14));
        assert_eq!(literal(b"never closed").0, b"never closed");
        assert_eq!(hex_string(b"48 65 6C6c 6F>x"), (b"Hello".to_vec(), 14));
        assert_eq!(ascii85(b"87cURD]i,\"Ebo80~>"), b"Hello World!");
        assert_eq!(text(b"\xfe\xff\0a\0b"), "ab");
    }

    #[test]
    fn contents_of_streams_and_comments_are_no_names() {
        let pdf = b"%PDF-1.4 /Launch\n1 0 obj <</Length 9>>\nstream\n/Launch (\nendstream endobj 2 0 obj /AA endobj";
        let tokens = read(pdf, Instant::now());
        assert_eq!((tokens.count("Launch"), tokens.count("AA"), tokens.count("Length")), (0, 1, 1));
    }
}
