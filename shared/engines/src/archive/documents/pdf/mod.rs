//! PDF: embedded files, JavaScript, forms, and streams that are files of a dangerous kind.
//!
//! What always holds: no cross-reference table is believed, every revision is looked at, and a file that says it is
//! a PDF must have objects. A PDF that is encrypted is read with the empty password (one that only restricts what
//! may be done has it) and with those of the request; if none fits it is code 15.

mod body;
mod filters;
mod lexer;
mod objects;
mod secured;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use memchr::memmem;
use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

use self::body::{Body, Numbers};
use self::filters::Decoded;
use self::lexer::Value;
use self::objects::{Object, UNNAMED};
use super::bytes::{display, name_or};
use super::{give_part, is_carrier};
use crate::archive::Extractor;
use crate::archive::sink::{self, Sink, Stop};

/// Bytes in which readers look for the signature.
const HEAD: usize = 1024;
/// Bytes of a stream that show what it is.
const PROBE: u64 = 1024;
/// Keys of the embedded files of a file specification (ISO 32000-1, table 44).
const FILE_KEYS: [&str; 5] = ["F", "UF", "DOS", "Mac", "Unix"];
/// Scripts that stand in dictionaries.
const SCRIPTS: usize = 10_000;
/// Texts that are objects of their own: each may be a script.
const TEXTS: usize = 200_000;

/// The extractor for PDF.
pub(super) struct Pdf;

impl Extractor for Pdf {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        // ZIP, OLE and RTF have their own places for what looks like a PDF.
        file_type.mime == "application/pdf" || memmem::find(content.get(..HEAD).unwrap_or(content), b"%PDF-").is_some()
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut found = Found::default();
        let (any, is_encrypted) = objects::search(content, &mut |object| found.object(object))?;
        if is_encrypted {
            found = Found::default();
            secured::objects(content, passwords, &mut |object| found.object(object))?;
        } else if !any && content.starts_with(b"%PDF-") {
            return Err(Stop::corrupt("the PDF has no objects"));
        }
        found.open_object_streams(sink)?;
        found.hand_over(sink)
    }
}

/// A stream, undecoded.
struct Stored<'c> {
    number: u32,
    dictionary: Value,
    body: Body<'c>,
}

/// What the objects of a file say, taken together.
#[derive(Default)]
struct Found<'c> {
    streams: Vec<Stored<'c>>,
    /// Streams that are embedded files, and their names.
    files: HashMap<u32, String>,
    /// Dictionaries that list streams of one embedded file, and its name.
    lists: BTreeMap<u32, String>,
    /// What dictionaries refer to that may be such lists.
    references: HashMap<u32, Vec<u32>>,
    /// Objects that are but a reference to another.
    aliases: HashMap<u32, Vec<u32>>,
    /// Numbers that are objects of their own: lengths may be given so.
    numbers: Numbers,
    /// Streams and texts that are JavaScript.
    scripts: HashSet<u32>,
    /// Streams that are forms (XFA).
    forms: HashSet<u32>,
    /// Names, lists of them, and parameters that are objects of their own: filters may be given so.
    indirect: HashMap<u32, Value>,
    /// JavaScript that stands where it is used.
    inline: Vec<Vec<u8>>,
    /// Texts that are objects of their own.
    texts: Vec<(u32, Vec<u8>)>,
}

impl<'c> Found<'c> {
    fn object(&mut self, object: Object<'c>) -> Result<(), Stop> {
        let Object { number, value, stream } = object;
        self.value(&value);
        match (stream, value) {
            (Some(body), dictionary) => self.streams.push(Stored { number, dictionary, body }),
            (None, Value::Text(text)) => self.texts.push((number, text)),
            (None, name @ Value::Name(_)) => self.keep(number, name),
            (None, Value::Array(items)) if items.len() <= 8 && items.iter().all(|item| item.name().is_some()) => {
                self.keep(number, Value::Array(items));
            }
            (None, Value::Number(length)) => self.numbers.entry(number).or_default().push(length),
            (None, Value::Reference(other)) => self.aliases.entry(number).or_default().push(other),
            (None, dictionary @ Value::Dictionary(_)) => {
                let references: Vec<u32> = FILE_KEYS.iter().flat_map(|key| dictionary.all(key)).filter_map(reference).collect();
                if filters::is_parameters(&dictionary) {
                    self.keep(number, dictionary);
                }
                if !references.is_empty() {
                    // Every revision counts.
                    self.references.entry(number).or_default().extend(references);
                }
            }
            _ => {}
        }
        if self.inline.len() > SCRIPTS {
            return Err(Stop::corrupt(format!("the PDF has more than {SCRIPTS} scripts")));
        }
        if self.texts.len() > TEXTS { Err(Stop::corrupt(format!("the PDF has more than {TEXTS} texts"))) } else { Ok(()) }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Dictionary(entries) => {
                for (key, inner) in entries {
                    match (key.as_slice(), inner) {
                        (b"EF", Value::Reference(number)) => drop(self.lists.insert(*number, file_name(value))),
                        (b"EF", Value::Dictionary(files)) => {
                            self.files.extend(files.iter().filter_map(|(_, file)| reference(file)).map(|number| (number, file_name(value))));
                        }
                        (b"JS", Value::Reference(number)) => drop(self.scripts.insert(*number)),
                        (b"JS", Value::Text(text)) => self.inline.push(text.clone()),
                        (b"XFA", Value::Reference(number)) => drop(self.forms.insert(*number)),
                        (b"XFA", Value::Array(parts)) => self.forms.extend(parts.iter().filter_map(reference)),
                        _ => {}
                    }
                    self.value(inner);
                }
            }
            _ => {}
        }
    }

    /// Objects may stand compressed in streams of their own; streams may not, so this is done once.
    fn open_object_streams(&mut self, sink: &mut dyn Sink) -> Result<(), Stop> {
        let streams = std::mem::take(&mut self.streams);
        for stream in &streams {
            if !stream.dictionary.is_name("Type", "ObjStm") && stream.dictionary.get("First").is_none() {
                continue;
            }
            let decoded = filters::decode(&stream.dictionary, &stream.body, &self.indirect, &self.numbers);
            if let Decoded::Broken(why) = decoded {
                return Err(Stop::corrupt(why));
            }
            // Through the ledger: a bomb in here is one of the submission.
            let (content, _) = sink.collect(0, &mut |to| sink::pump(&mut decoded.reader(false), to))?;
            objects::inside(&stream.dictionary, content.as_ref(), &mut |object| self.object(object))?;
        }
        self.streams = streams;
        Ok(())
    }

    fn hand_over(mut self, sink: &mut dyn Sink) -> Result<(), Stop> {
        self.follow();
        for (number, text) in self.inline.iter().enumerate() {
            give_part(sink, format!("javascript-{}.js", number + 1), &text_bytes(text))?;
        }
        for (number, text) in self.texts.iter().filter(|(number, _)| self.scripts.contains(number)) {
            give_part(sink, format!("javascript-object-{number}.js"), &text_bytes(text))?;
        }
        for stream in &self.streams {
            self.stream(stream, sink)?;
        }
        Ok(())
    }

    /// From what is named to what is meant: over lists of streams, and objects that are but references.
    fn follow(&mut self) {
        for (list, from) in self.reached(self.lists.keys()) {
            let name = self.lists.get(&from).cloned().unwrap_or_default();
            for stream in self.references.get(&list).into_iter().flatten() {
                self.files.entry(*stream).or_insert_with(|| name.clone());
            }
        }
        for (file, from) in self.reached(self.files.keys()) {
            let name = self.files.get(&from).cloned().unwrap_or_default();
            self.files.entry(file).or_insert(name);
        }
        let scripts = self.reached(self.scripts.iter());
        self.scripts.extend(scripts.into_keys());
        let forms = self.reached(self.forms.iter());
        self.forms.extend(forms.into_keys());
    }

    /// Every object that references lead to from these, these included, and from which of them.
    fn reached<'n>(&self, from: impl Iterator<Item = &'n u32>) -> HashMap<u32, u32> {
        let mut reached: HashMap<u32, u32> = from.map(|number| (*number, *number)).collect();
        let mut open: Vec<(u32, u32)> = reached.iter().map(|(number, from)| (*number, *from)).collect();
        while let Some((number, from)) = open.pop() {
            for other in self.aliases.get(&number).into_iter().flatten() {
                if let Entry::Vacant(place) = reached.entry(*other) {
                    place.insert(from);
                    open.push((*other, from));
                }
            }
        }
        reached
    }

    /// Keeps what filters may be given by. Of two of one number nobody knows which one counts.
    fn keep(&mut self, number: u32, value: Value) {
        match self.indirect.entry(number) {
            Entry::Vacant(place) => drop(place.insert(value)),
            Entry::Occupied(mut place) if *place.get() != value => drop(place.insert(Value::Other)),
            Entry::Occupied(_) => {}
        }
    }

    fn stream(&self, stream: &Stored<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
        let Stored { number, dictionary, body } = stream;
        // Without a sound number nobody can say what it is used for.
        let file = self.files.get(number).cloned();
        let is_file = file.is_some() || *number == UNNAMED || dictionary.is_name("Type", "EmbeddedFile");
        let is_script = self.scripts.contains(number);
        let is_form = self.forms.contains(number);
        let decoded = filters::decode(dictionary, body, &self.indirect, &self.numbers);
        let entry = if is_file {
            sink::Entry::new(name_or(&file.unwrap_or_default(), format!("file-{number}")), 0)
        } else if is_script {
            sink::Entry::new(format!("javascript-object-{number}.js"), 0).into_part()
        } else if is_form {
            sink::Entry::new(format!("form-{number}.xml"), 0).into_part()
        } else if let Some(kind) = danger(dictionary, &decoded.head(PROBE)) {
            let entry = sink::Entry::new(format!("stream-{number}"), 0);
            if kind == Danger::Part { entry.into_part() } else { entry }
        } else {
            // Other streams that do not decode are pages and pictures that nobody can see.
            return charge(&decoded, sink);
        };
        sink.count()?;
        if let Decoded::Broken(why) = &decoded {
            sink.blocked(entry, Code::Failed, why.clone());
            return Ok(());
        }
        sink.take_from(entry, &mut decoded.reader(is_file))?;
        Ok(())
    }
}

/// What a chain of filters gave is charged, whether it becomes a child or not: making it took time, also where it failed.
fn charge(decoded: &Decoded<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    match decoded {
        Decoded::Bytes(bytes) => sink.collect(0, &mut |to| std::io::Write::write_all(to, bytes)).map(drop),
        _ => sink.check_time(),
    }
}

/// What a stream may be.
#[derive(PartialEq)]
enum Danger {
    File,
    /// PostScript is what maps of characters are written in: most documents have some.
    Part,
}

/// Whether the content of a stream is a file that does harm. Fonts and pictures are looked at for signatures only:
/// they are many, and their formats are taken for documents.
fn danger(dictionary: &Value, head: &[u8]) -> Option<Danger> {
    let is_media = dictionary.get("Length1").is_some() || dictionary.is_name("Subtype", "Image") || dictionary.is_name("Type", "Metadata");
    let signatures: [&[u8]; 7] = [b"MZ", b"PK\x03\x04", b"\x7fELF", b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf", b"#!/"];
    // What pages begin with: most streams are such, and no file begins so.
    let is_page = head.first().is_some_and(u8::is_ascii_digit) || [&b"q\n"[..], b"q ", b"BT"].iter().any(|it| head.starts_with(it));
    let found = if is_page {
        false
    } else if is_media {
        signatures.iter().any(|it| head.starts_with(it))
    } else {
        is_carrier(head)
    };
    found.then(|| if head.starts_with(b"%!") { Danger::Part } else { Danger::File })
}

fn reference(value: &Value) -> Option<u32> {
    match value {
        Value::Reference(number) => Some(*number),
        _ => None,
    }
}

/// The name in a file specification (ISO 32000-1, §7.11.3).
fn file_name(specification: &Value) -> String {
    let name = ["UF", "F", "Unix", "DOS", "Mac"].iter().find_map(|key| match specification.get(key) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    });
    name.map(|name| display(&text_bytes(name))).unwrap_or_default()
}

/// A text string (§7.9.2.2): UTF-16 becomes UTF-8.
fn text_bytes(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(units) = text.strip_prefix(b"\xfe\xff") else { return Cow::Borrowed(text) };
    let units = units.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
    let decoded: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(decoded.into_bytes())
}
