//! Documents and mails that hold other contents.
//!
//! What always holds: everything a document carries in a form that the engines do not see in its own bytes
//! (compressed, encoded, scattered over sectors) becomes a child; a document that claims a format and does not
//! keep to it is not clean. Readers of these formats forgive much, so the parsers here forgive as much: where
//! two readings are possible, both are children.

mod bytes;
mod datauri;
mod form;
mod lzfu;
mod mail;
mod ole;
mod parts;
mod pdf;
mod rtf;
mod tnef;
mod uuencode;

pub(crate) use self::parts::is_part;

use super::Format;
use super::sink::{Entry, Sink, Stop};
use crate::filetype;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "OLE2 (doc, xls, ppt, msg, msi)",
        reads: "all streams; OLE packages, embedded documents and messages, Outlook attachments and bodies, PowerPoint objects",
        extractor: &ole::Ole,
    },
    Format { name: "Protected ODF", reads: "whether a password is needed (then 15)", extractor: &parts::ProtectedOdf },
    Format {
        name: "E-mail (eml, mbox, mht)",
        reads: "all parts and bodies: base64, quoted-printable, uuencode; nested messages",
        extractor: &mail::Mail,
    },
    Format { name: "TNEF (winmail.dat)", reads: "attachments, bodies, nested messages", extractor: &tnef::Tnef },
    Format {
        name: "PDF",
        reads: "embedded files, JavaScript, forms, streams that are programs, scripts, archives or documents; every revision",
        extractor: &pdf::Pdf,
    },
    Format { name: "RTF", reads: "embedded objects and packages", extractor: &rtf::Rtf },
    Format { name: "uuencode", reads: "files in text", extractor: &uuencode::Uuencode },
    Format { name: "data: URIs", reads: "files of dangerous kinds in base64; not what scripts put together", extractor: &datauri::DataUri },
    Format { name: "multipart/form-data", reads: "uploads that a client wrapped", extractor: &form::Form },
];

/// Hands over one child that lies in memory.
fn give(sink: &mut dyn Sink, name: impl Into<String>, bytes: &[u8]) -> Result<(), Stop> {
    sink.count()?;
    sink.take_bytes(Entry::new(name, bytes.len() as u64), bytes)?;
    Ok(())
}

/// The same for what belongs to the document itself: scanned like everything, listed only if there is something to tell.
fn give_part(sink: &mut dyn Sink, name: impl Into<String>, bytes: &[u8]) -> Result<(), Stop> {
    sink.count()?;
    sink.take_bytes(Entry::new(name, bytes.len() as u64).into_part(), bytes)?;
    Ok(())
}

/// Whether a content that begins like this can do harm, or hold something that can, once it is a file by itself.
fn is_carrier(head: &[u8]) -> bool {
    let found = filetype::detect(head);
    let is_script = matches!(found.category.as_str(), "T") && !matches!(found.mime.as_str(), "text/plain" | "application/xml" | "application/json");
    is_script
        || matches!(found.category.as_str(), "A" | "D" | "E" | "I" | "M" | "P")
        || filetype::is_eicar(head)
        || [&b"MZ"[..], b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"L\0\0\0\x01\x14\x02\0"].iter().any(|magic| head.starts_with(magic))
}

/// Whether a line of `text` begins with `what`, without regard to case.
fn has_line(text: &[u8], what: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what)))
}
