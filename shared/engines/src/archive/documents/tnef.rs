//! TNEF, the `winmail.dat` that Outlook puts around attachments ([MS-OXTNEF]).
//!
//! Own code: the crate for it refuses files whose checksum is wrong, which Outlook opens, and reads neither long
//! names nor nested messages.

use portcullis_core::domain::report::FileType;

use super::bytes::{Bytes, display, name_or, utf16, utf16_display};
use super::{give, give_part, lzfu};
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

const MAGIC: &[u8] = &0x223e_9f78_u32.to_le_bytes();
/// Attributes ([MS-OXTNEF] §2.1.3.2).
const RENDER_DATA: u32 = 0x0006_9002;
const TITLE: u32 = 0x0001_8010;
const DATA: u32 = 0x0006_800f;
const PROPERTIES: u32 = 0x0006_9003;
const ATTACHMENT: u32 = 0x0006_9005;
const BODY: u32 = 0x0002_800c;

/// The extractor for TNEF.
pub(super) struct Tnef;

impl Extractor for Tnef {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(MAGIC)
    }

    fn covers(&self, content: &[u8], file_type: &FileType) -> bool {
        self.recognises(content, file_type)
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut bytes = Bytes::new(content);
        bytes.take(6);
        let mut attachment = Attachment::default();
        let mut number = 0;
        // Whoever stored it may have added a line break.
        while !bytes.rest().iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
            let (Some(_level), Some(id), Some(length)) = (bytes.u8(), bytes.u32(), bytes.length()) else {
                attachment.give(&mut number, sink)?;
                return Err(Stop::corrupt("an attribute is cut off"));
            };
            let is_whole = length <= bytes.rest().len();
            let data = bytes.take_most(length);
            bytes.take(2);
            match id {
                RENDER_DATA => std::mem::take(&mut attachment).give(&mut number, sink)?,
                TITLE => attachment.title = display(data),
                DATA => attachment.contents.push(data),
                ATTACHMENT => attachment.read(properties(data)?),
                PROPERTIES => bodies(&properties(data)?, sink)?,
                BODY => give_part(sink, "body.txt", data)?,
                _ => {}
            }
            if !is_whole {
                attachment.give(&mut number, sink)?;
                return Err(Stop::corrupt("an attribute is cut off"));
            }
        }
        attachment.give(&mut number, sink)
    }
}

#[derive(Default)]
struct Attachment<'a> {
    title: String,
    long: Option<String>,
    contents: Vec<&'a [u8]>,
    objects: Vec<&'a [u8]>,
}

impl<'a> Attachment<'a> {
    fn read(&mut self, properties: Vec<Property<'a>>) {
        for property in properties {
            match property.id {
                0x3707 => self.long = Some(property.text()),
                0x3704 | 0x3001 if self.long.is_none() => self.long = Some(property.text()),
                // An object begins with the identifier of its interface.
                0x3701 if property.kind == 0x0d => self.objects.push(property.value.get(16..).unwrap_or_default()),
                0x3701 => self.contents.push(property.value),
                _ => {}
            }
        }
    }

    fn give(self, number: &mut usize, sink: &mut dyn Sink) -> Result<(), Stop> {
        let name = self.long.filter(|name| !name.trim().is_empty()).unwrap_or(self.title);
        for data in self.contents {
            *number += 1;
            give(sink, name_or(&name, format!("attachment-{number}")), data)?;
        }
        for object in self.objects {
            *number += 1;
            let extension = if object.starts_with(MAGIC) { "tnef" } else { "ole" };
            give(sink, format!("{}.{extension}", name_or(&name, format!("attachment-{number}"))), object)?;
        }
        Ok(())
    }
}

/// A MAPI property.
struct Property<'a> {
    kind: u16,
    id: u16,
    value: &'a [u8],
}

impl Property<'_> {
    fn text(&self) -> String {
        if self.kind == 0x1f { utf16_display(self.value) } else { display(self.value) }
    }
}

fn bodies(properties: &[Property<'_>], sink: &mut dyn Sink) -> Result<(), Stop> {
    for property in properties {
        match (property.id, property.kind) {
            (0x1000, 0x1f) => give_part(sink, "body.txt", utf16(property.value).as_bytes())?,
            (0x1000, _) => give_part(sink, "body.txt", property.value)?,
            (0x1013, 0x1f) => give_part(sink, "body.html", utf16(property.value).as_bytes())?,
            (0x1013, _) => give_part(sink, "body.html", property.value)?,
            (0x1009, _) => match lzfu::decompress(property.value) {
                Some(rtf) => give(sink, "body.rtf", &rtf)?,
                None => return Err(Stop::corrupt("the body can not be decompressed")),
            },
            _ => {}
        }
    }
    Ok(())
}

/// The property list ([MS-OXTNEF] §2.1.3.4). A list that breaks off could hide what follows: it is an error.
fn properties(data: &[u8]) -> Result<Vec<Property<'_>>, Stop> {
    let mut bytes = Bytes::new(data);
    let mut found = Vec::new();
    let mut read = || {
        let count = bytes.u32()?;
        for _ in 0..count {
            let (kind, id) = (bytes.u16()?, bytes.u16()?);
            if id >= 0x8000 {
                bytes.take(16)?;
                if bytes.u32()? == 0 {
                    bytes.take(4)?;
                } else {
                    let length = bytes.length()?;
                    bytes.take(padded(length)?)?;
                }
            }
            let base = kind & 0x0fff;
            let is_variable = matches!(base, 0x0d | 0x1e | 0x1f | 0x102);
            let values = if is_variable || kind & 0x1000 != 0 { bytes.u32()? } else { 1 };
            for _ in 0..values {
                let length = match base {
                    _ if is_variable => bytes.length()?,
                    0x05 | 0x06 | 0x07 | 0x14 | 0x40 => 8,
                    0x48 => 16,
                    0x01 => 0,
                    _ => 4,
                };
                let value = bytes.take(length)?;
                bytes.take_most(padded(length)? - length);
                if !value.is_empty() {
                    found.push(Property { kind: base, id, value });
                }
                if length == 0 && !is_variable {
                    break;
                }
            }
        }
        Some(())
    };
    read().ok_or_else(|| Stop::corrupt("the properties of a message or attachment are damaged"))?;
    Ok(found)
}

fn padded(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(4)
}
