//! Objects of PDF as they are written (ISO 32000-1, §7.2 and §7.3), read without a cross-reference table.

/// Arrays and dictionaries within one another. Deeper ones can not be told where they end.
const DEPTH: usize = 48;

/// An object. What nobody asks for (numbers in arrays, booleans) is left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Dictionary(Vec<(Vec<u8>, Value)>),
    Array(Vec<Value>),
    Name(Vec<u8>),
    Text(Vec<u8>),
    Number(i64),
    Reference(u32),
    Other,
}

impl Value {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.all(key).next()
    }

    /// All values of a key: where a dictionary has it twice, some readers take the first one, others the last.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &Self> {
        let entries = match self {
            Self::Dictionary(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter(move |(name, _)| name == key.as_bytes()).map(|(_, value)| value)
    }

    pub(super) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_name(&self, key: &str, name: &str) -> bool {
        self.all(key).any(|value| value.name() == Some(name.as_bytes()))
    }

    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// A place in a content.
pub(super) struct Lexer<'a> {
    content: &'a [u8],
    pub(super) at: usize,
    /// Whether something was nested too deeply: what was read is then not what readers see.
    pub(super) is_lost: bool,
    /// Whether a dictionary ended at a word, rather than by its bracket. Some readers pass over words.
    pub(super) is_unclosed: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(content: &'a [u8], at: usize) -> Self {
        Self { content, at, is_lost: false, is_unclosed: false }
    }

    fn rest(&self) -> &'a [u8] {
        self.content.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.content.get(self.at).copied()
    }

    /// White space and comments.
    pub(super) fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'%' {
                self.at += memchr::memchr2(b'\n', b'\r', self.rest()).unwrap_or(self.rest().len());
            } else if is_space(byte) {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    /// Whether this keyword follows; then it is skipped.
    pub(super) fn keyword(&mut self, word: &[u8]) -> bool {
        self.skip();
        let follows = self.rest().starts_with(word);
        if follows {
            self.at += word.len();
        }
        follows
    }

    /// Whether a dictionary follows.
    pub(super) fn is_at_dictionary(&self) -> bool {
        let mut ahead = Lexer::new(self.content, self.at);
        ahead.keyword(b"<<")
    }

    /// The next object. `None` at what is none; the place is then behind what was read.
    pub(super) fn value(&mut self) -> Option<Value> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        if depth > DEPTH {
            self.is_lost = true;
            return None;
        }
        match self.peek()? {
            b'<' if self.rest().starts_with(b"<<") => Some(self.dictionary(depth)),
            b'<' => Some(Value::Text(self.hexadecimal())),
            b'(' => Some(Value::Text(self.literal())),
            b'/' => Some(Value::Name(self.name())),
            b'[' => Some(self.array(depth)),
            b'0'..=b'9' | b'+' | b'-' | b'.' => Some(self.number()),
            _ => {
                let length = self.rest().iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let word = self.rest().get(..length).unwrap_or_default();
                if matches!(word, b"true" | b"false" | b"null") {
                    self.at += length;
                    return Some(Value::Other);
                }
                None
            }
        }
    }

    fn dictionary(&mut self, depth: usize) -> Value {
        self.at += 2;
        let mut entries = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                Some(b'/') => {
                    let key = self.name();
                    // A value that is missing or odd costs itself only.
                    match self.nested(depth + 1) {
                        Some(value) => entries.push((key, value)),
                        None if self.is_end() => {
                            self.is_unclosed = true;
                            break;
                        }
                        None => self.at += 1,
                    }
                }
                Some(b'>') => {
                    self.at += if self.rest().starts_with(b">>") { 2 } else { 1 };
                    break;
                }
                None => break,
                _ if self.is_end() => {
                    self.is_unclosed = true;
                    break;
                }
                // What does not belong here.
                _ => {
                    if self.nested(depth + 1).is_none() {
                        self.at += 1;
                    }
                }
            }
        }
        Value::Dictionary(entries)
    }

    /// Whether the object is over, though it was not closed: each byte is then read once.
    fn is_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(b"endobj") || rest.starts_with(b"stream") || rest.starts_with(b"obj") || rest.starts_with(b"xref")
    }

    fn array(&mut self, depth: usize) -> Value {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b'>') | None => break,
                _ if self.is_end() => break,
                _ => match self.nested(depth + 1) {
                    Some(Value::Number(_)) => {}
                    Some(value) => items.push(value),
                    None => self.at += 1,
                },
            }
        }
        Value::Array(items)
    }

    fn name(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut name = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| is_regular(*byte)) {
            self.at += 1;
            let hex = self.rest().get(..2).filter(|digits| byte == b'#' && digits.iter().all(u8::is_ascii_hexdigit));
            match hex {
                Some(digits) => {
                    name.push(digits.iter().fold(0, |value, digit| value << 4 | nibble(*digit)));
                    self.at += 2;
                }
                None => name.push(byte),
            }
        }
        name
    }

    fn number(&mut self) -> Value {
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = digits(self.rest());
        let start = self.at;
        let length = self.rest().iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.')).count();
        self.at += length;
        let text = self.content.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        if first == length && first > 0 {
            // `12 0 R`
            let mut ahead = Lexer::new(self.content, self.at);
            ahead.skip();
            let generation = digits(ahead.rest());
            ahead.at += generation;
            if generation > 0 && generation < 8 && ahead.keyword(b"R") && !ahead.peek().is_some_and(is_regular) {
                self.at = ahead.at;
                return text.parse().map_or(Value::Other, Value::Reference);
            }
        }
        text.split('.').next().and_then(|text| text.parse().ok()).map_or(Value::Other, Value::Number)
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        self.at += 1;
        let end = memchr::memchr(b'>', self.rest()).unwrap_or(self.rest().len());
        let digits: Vec<u8> = self.rest().get(..end).unwrap_or_default().iter().copied().filter(u8::is_ascii_hexdigit).map(nibble).collect();
        self.at = (self.at + end + 1).min(self.content.len());
        digits.chunks(2).map(|pair| pair.first().map_or(0, |high| high << 4) | pair.get(1).copied().unwrap_or(0)).collect()
    }

    fn literal(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut text = Vec::new();
        let mut open = 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => open += 1,
                b')' => {
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                b'\\' => {
                    self.escape(&mut text);
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        text
    }

    fn escape(&mut self, text: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        match byte {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'\r' if self.peek() == Some(b'\n') => self.at += 1,
            b'\r' | b'\n' => {}
            b'0'..=b'7' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().filter(|byte| matches!(byte, b'0'..=b'7')) else { break };
                    value = value << 3 | u32::from(digit - b'0');
                    self.at += 1;
                }
                text.push(value.to_le_bytes()[0]);
            }
            other => text.push(other),
        }
    }
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |digit| digit.to_le_bytes()[0])
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

pub(super) fn is_regular(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Value {
        Lexer::new(text, 0).value().unwrap()
    }

    #[test]
    fn objects_are_read_as_written() {
        let found = read(b"<< /Type /Emb#65dded /Length 12 0 R /N 5 /F (a\\(b\\)\\101\\\n) /UF <6162 6> % x >>\n /A [1 2 0 R << /K null >>] >>");
        assert!(found.is_name("Type", "Embedded"));
        assert_eq!(found.get("Length"), Some(&Value::Reference(12)));
        assert_eq!(found.get("N").and_then(Value::number), Some(5));
        assert_eq!(found.get("F"), Some(&Value::Text(b"a(b)A".into())));
        assert_eq!(found.get("UF"), Some(&Value::Text(b"ab`".into())));
        assert_eq!(found.get("A"), Some(&Value::Array(vec![Value::Reference(2), Value::Dictionary(vec![(b"K".into(), Value::Other)])])));
    }

    #[test]
    fn damaged_objects_end() {
        let nested = b"[".repeat(100_000);
        let mut lexer = Lexer::new(&nested, 0);
        lexer.value();
        assert!(lexer.is_lost);
        for text in [&b"<< /A"[..], b"<< /A <<", b"(((", b"<41", b"[ 1 0", b"<< >", b"<< /A /B endobj", b"/", b"<</A)>>"] {
            let mut lexer = Lexer::new(text, 0);
            lexer.value();
            assert!(lexer.at <= text.len() + 1, "{text:?}");
        }
    }
}
