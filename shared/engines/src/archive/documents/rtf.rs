//! Objects in RTF (RTF specification 1.9.1, "Objects"; [MS-OLEDS] §2.2 for what is in them).
//!
//! Word skips blanks, control words and whole groups between the digits of an object, and malware is full of
//! them. Where it is not certain whether digits in an inner group count, the object is read both ways.

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::bytes::{Bytes, display, name_or};
use super::ole::{MAGIC, Package, package};
use super::{give, give_part, is_carrier};
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// Objects within objects.
const DEPTH: usize = 8;
/// Digits that a run outside of objects has at least to be looked at.
const RUN: usize = 512;

/// The extractor for RTF.
pub(super) struct Rtf;

impl Extractor for Rtf {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        // Word asks for no more than this.
        content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start().starts_with(b"{\\rt")
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut reader = Reader { sink, number: 0, depth: 0, objects: Vec::new(), run: Hex::default() };
        reader.read(content)?;
        reader.end_run()?;
        while let Some(object) = reader.objects.pop() {
            reader.object(&object)?;
        }
        Ok(())
    }
}

/// Bytes from hexadecimal digits.
#[derive(Clone, Default, PartialEq, Eq)]
struct Hex {
    bytes: Vec<u8>,
    half: Option<u8>,
}

impl Hex {
    fn digit(&mut self, digit: u8) {
        match self.half.take() {
            Some(high) => self.bytes.push(high << 4 | digit),
            None => self.half = Some(digit),
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.half = None;
        self.bytes.extend_from_slice(bytes);
    }
}

/// Data of an object that is being read.
struct Object {
    /// Number of groups around it.
    depth: usize,
    /// With the digits in inner groups.
    all: Hex,
    /// Without them, once there are any.
    own: Option<Hex>,
}

struct Reader<'s> {
    sink: &'s mut dyn Sink,
    number: usize,
    depth: usize,
    objects: Vec<Object>,
    run: Hex,
}

impl Reader<'_> {
    fn read(&mut self, content: &[u8]) -> Result<(), Stop> {
        let mut at = 0;
        while let Some(byte) = content.get(at) {
            at += 1;
            match byte {
                b'{' => {
                    self.end_run()?;
                    self.depth += 1;
                }
                b'}' => {
                    self.end_run()?;
                    while self.objects.last().is_some_and(|object| object.depth >= self.depth) {
                        if let Some(object) = self.objects.pop() {
                            self.object(&object)?;
                        }
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                b'\\' => at = self.control(content, at)?,
                _ => match char::from(*byte).to_digit(16) {
                    Some(digit) => self.digit(digit.to_le_bytes()[0]),
                    None if byte.is_ascii_whitespace() || !self.objects.is_empty() => {}
                    None => self.end_run()?,
                },
            }
        }
        Ok(())
    }

    /// A control word or symbol; gives where it ends.
    fn control(&mut self, content: &[u8], at: usize) -> Result<usize, Stop> {
        let rest = content.get(at..).unwrap_or_default();
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).take(64).count();
        if letters == 0 {
            // `\'hh` is a character, in an object as well: its digits are none of the data.
            return Ok(at + if rest.first() == Some(&b'\'') { 3.min(rest.len()) } else { 1.min(rest.len()) });
        }
        let word = rest.get(..letters).unwrap_or_default();
        let mut end = letters;
        if rest.get(end) == Some(&b'-') {
            end += 1;
        }
        let digits = rest.get(end..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).take(20).count();
        let value = std::str::from_utf8(rest.get(end..end + digits).unwrap_or_default()).ok().and_then(|digits| digits.parse::<usize>().ok());
        end += digits;
        if rest.get(end) == Some(&b' ') {
            end += 1;
        }
        match word {
            b"objdata" if self.objects.len() >= DEPTH => return Err(Stop::corrupt("the objects of the text are nested too deeply")),
            b"objdata" => {
                self.end_run()?;
                self.objects.push(Object { depth: self.depth, all: Hex::default(), own: None });
            }
            b"bin" if rest.get(letters) != Some(&b'-') => {
                let bytes = rest.get(end..).unwrap_or_default();
                let bytes = bytes.get(..value.unwrap_or(0)).unwrap_or(bytes);
                self.raw(bytes);
                end += bytes.len();
            }
            _ => {}
        }
        Ok(at + end)
    }

    fn digit(&mut self, digit: u8) {
        let depth = self.depth;
        for object in &mut self.objects {
            if depth > object.depth && object.own.is_none() {
                object.own = Some(object.all.clone());
            } else if let (true, Some(own)) = (depth == object.depth, &mut object.own) {
                own.digit(digit);
            }
            object.all.digit(digit);
        }
        if self.objects.is_empty() {
            self.run.digit(digit);
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        match self.objects.last_mut() {
            Some(object) => {
                object.all.raw(bytes);
                if let Some(own) = &mut object.own {
                    own.raw(bytes);
                }
            }
            None => self.run.raw(bytes),
        }
    }

    /// Digits outside of objects: pictures, mostly; the store of a theme; whatever somebody hides.
    fn end_run(&mut self) -> Result<(), Stop> {
        let run = std::mem::take(&mut self.run).bytes;
        if run.len() >= RUN / 2 && is_carrier(run.get(..4096).unwrap_or(&run)) {
            self.number += 1;
            give_part(self.sink, format!("data-{}", self.number), &run)?;
        }
        Ok(())
    }

    fn object(&mut self, object: &Object) -> Result<(), Stop> {
        self.bytes(&object.all.bytes)?;
        match &object.own {
            Some(own) if *own != object.all => self.bytes(&own.bytes),
            _ => Ok(()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let number = self.number;
        if let Some((class, data)) = native(bytes) {
            match package(data) {
                Some(Package { name, data, is_whole }) => {
                    give(self.sink, name_or(&name, format!("object-{number}.package")), data)?;
                    if is_whole {
                        return Ok(());
                    }
                }
                None if data.is_empty() || data.starts_with(MAGIC) => {}
                None => give(self.sink, format!("object-{number}.{}", name_or(&display(class).replace('.', "-"), "native")), data)?,
            }
        }
        give_part(self.sink, format!("object-{number}.bin"), bytes)?;
        // Headers are malformed on purpose, and Word finds the storage all the same.
        if let Some(at) = memmem::find(bytes, MAGIC) {
            give(self.sink, format!("object-{number}.ole"), bytes.get(at..).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Class and data of an embedded OLE 1.0 object ([MS-OLEDS] §2.2.5).
fn native(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut bytes = Bytes::new(bytes);
    let _version = bytes.u32()?;
    (bytes.u32()? == 2).then_some(())?;
    let length = bytes.length()?;
    let class = bytes.take(length)?;
    for _ in 0..2 {
        let length = bytes.length()?;
        bytes.take(length)?;
    }
    let length = bytes.length()?;
    Some((class, bytes.take_most(length)))
}
