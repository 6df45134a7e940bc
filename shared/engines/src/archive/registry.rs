//! All formats, and what is to be done with a content.

use portcullis_core::domain::report::FileType;

use super::{Format, Sink, Stop, cab, carried, closed, cpio, documents, iso, rar, sevenz, streams, tar, unix, zip};
use crate::engine::guarded;

/// All formats, by family. Every one that recognises a content opens it, in this order.
const FAMILIES: &[&[Format]] = &[
    zip::FORMATS,
    streams::FORMATS,
    tar::FORMATS,
    unix::FORMATS,
    cpio::FORMATS,
    sevenz::FORMATS,
    rar::FORMATS,
    cab::FORMATS,
    iso::FORMATS,
    carried::FORMATS,
    documents::FORMATS,
];

pub(crate) fn formats() -> impl Iterator<Item = &'static Format> {
    FAMILIES.iter().copied().flatten()
}

/// Whether some format opens a content.
pub(super) fn opens(content: &[u8]) -> bool {
    let file_type = crate::filetype::detect(content);
    formats().any(|format| format.extractor.recognises(content, &file_type))
}

/// Whether a content is an archive, a disk image or a mail by its type. Without an extractor, what is in it has not been looked at.
fn is_container(file_type: &FileType) -> bool {
    matches!(file_type.category.as_str(), "A" | "I" | "M")
}

/// The extractors that open one content. Mostly one; a content that is two things at once has two.
pub(crate) struct Opening {
    formats: Vec<&'static Format>,
}

impl Opening {
    /// Runs them all, each on its own: one that fails, or panics, does not keep the others from what they find.
    pub(crate) fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut result = Ok(());
        for format in &self.formats {
            let panicked = || Err(Stop::corrupt(format!("the extractor for {} panicked", format.name)));
            let found = guarded(|| format.extractor.extract(content, passwords, sink)).unwrap_or_else(panicked);
            if let Err(Stop::Limit(..)) = found {
                return found;
            }
            result = Stop::worse(result, found);
        }
        result
    }
}

/// What is to be done with a content.
pub(crate) enum Plan {
    /// It holds no other contents.
    Nothing,
    /// It is to be opened; something else about it is not looked into, for the reason in the second place.
    Open(Opening, Option<String>),
    /// It, or something in it, holds contents that are not looked into, for this reason.
    Unopened(String),
    /// Nobody knows: what decides this panicked.
    Unknown,
}

/// What is to be done with a content. With extraction off, archives are told apart as well: they stay closed.
pub(crate) fn plan(content: &[u8], file_type: &FileType, enabled: bool) -> Plan {
    guarded(|| {
        crate::hooks::trigger_plan(content);
        let formats: Vec<_> = formats().filter(|format| format.extractor.recognises(content, file_type)).collect();
        if !formats.is_empty() && !enabled {
            return Plan::Unopened("archives are not opened under this rule".into());
        }
        let is_covered = formats.iter().any(|format| format.extractor.covers(content, file_type));
        let closed = if is_container(file_type) && !is_covered {
            Some(format!("contents of this format can not be looked into: {}", file_type.description))
        } else if let Some(what) = closed::find(content).filter(|_| formats.is_empty()) {
            Some(format!("contents of this format can not be looked into: {what}"))
        } else {
            carried::find(content, file_type).map(|what| format!("the file carries an archive that can not be looked into: {what}"))
        };
        match (formats.is_empty(), closed) {
            (false, closed) => Plan::Open(Opening { formats }, closed),
            (true, Some(why)) => Plan::Unopened(why),
            (true, None) => Plan::Nothing,
        }
    })
    .unwrap_or(Plan::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recognised as a container and blocked as 23, and why it is not opened.
    const CLOSED: &[(&str, &str)] = &[
        ("UDF", "a file may lie in several places of the image, which the library for it does not follow"),
        ("ARJ, ACE, LHA, ZOO, ARC", "the libraries for them are young, and hardly tested on damaged archives"),
        (
            "Disk images (DMG, HFS, APFS, VHD, VMDK, QCOW2, WIM; discs in High Sierra or as raw sectors)",
            "file systems inside; no library that is tested on hostile ones",
        ),
        ("CHM, StuffIt, BinHex, SIS, KWAJ; NSIS and Inno Setup installers", "no sound library"),
        ("lzip, lzop, compress (`.Z`), Brotli, bzip3", "rare, or without a signature"),
    ];

    #[test]
    fn the_readme_shows_the_formats() {
        let readme = include_str!("../../../../README.md");
        let opened = formats().map(|format| format!("| {} | {} |", format.name, format.reads));
        let closed = CLOSED.iter().map(|(name, why)| format!("| {name} | not opened: {why} |"));
        let table: Vec<String> = opened.chain(closed).collect();
        assert!(readme.contains(&table.join("\n")), "the README's table is to be:\n{}", table.join("\n"));
    }
}
