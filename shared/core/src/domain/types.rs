//! Types of files in rules: what is not let in, and what is let in without a scan.
//!
//! An entry is a category letter of Core's table (`E`), a MIME type (`application/pdf`, `image/*`) or an extension with
//! its dot (`.exe`). What always holds: a file is judged by what its content is; its name alone can only make
//! things worse (it can be refused for its extension), never better.

use serde::{Deserialize, Serialize};

use super::report::FileType;

/// Categories that are never skipped: archives, executables, disk images, mails, and what nobody recognised.
const NEVER_SKIPPED: &str = "AEIMZ";
/// Entries of one list, at most.
const MAX_ENTRIES: usize = 200;

/// The lists of a rule. All empty: every type is let in and scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypeLists {
    /// Only these are let in; empty = all. Of archives, what is in them counts as well; parts of documents do not.
    pub allow: Vec<String>,
    /// These are not let in, wherever they are.
    pub block: Vec<String>,
    /// These are not scanned, but for the hash lists, and let in. For types that can do no harm only.
    pub skip: Vec<String>,
}

/// What becomes of a content by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is scanned.
    Scan,
    /// It is let in without a scan.
    Skip,
    /// It is not let in, for this reason.
    Refuse(String),
}

impl TypeLists {
    /// Decides on a content. `name` is its own name, without folders that matter; `is_part`: it is a part of a document.
    pub fn rule_on(&self, file_type: &FileType, name: &str, is_part: bool) -> Ruling {
        let extension = name.rsplit(['/', '\\']).next().and_then(|name| name.trim_end_matches([' ', '.']).rsplit_once('.'));
        let extension = extension.map_or(String::new(), |(_, extension)| extension.to_lowercase());
        let what = &file_type.description;
        let is = |entry: &String| Entry::parse(entry).is_some_and(|entry| entry.is(file_type));
        let is_named = |entry: &String| Entry::parse(entry).is_some_and(|entry| entry == Entry::Extension(&extension));
        if let Some(entry) = self.block.iter().find(|entry| is(entry) || is_named(entry)) {
            return Ruling::Refuse(format!("the rule blocks `{entry}`, and this is {what}"));
        }
        // Types whose files may have any extension (text) are let in by it.
        let is_let_in = |entry: &String| is(entry) || (file_type.extensions.is_empty() && file_type.category == "T" && is_named(entry));
        if !self.allow.is_empty() && !is_part && !self.allow.iter().any(is_let_in) {
            return Ruling::Refuse(format!("the rule lets in certain types only, and this is {what}"));
        }
        let can_be_skipped = !NEVER_SKIPPED.contains(file_type.category.as_str()) && !file_type.category.is_empty();
        if can_be_skipped && self.skip.iter().any(is) { Ruling::Skip } else { Ruling::Scan }
    }

    /// Whether every entry says something that can be done.
    ///
    /// # Errors
    /// What is wrong, with the list and the entry.
    pub fn validate(&self) -> Result<(), String> {
        for (list, entries) in [("allow", &self.allow), ("block", &self.block), ("skip", &self.skip)] {
            if entries.len() > MAX_ENTRIES {
                return Err(format!("`types.{list}` has {} entries, more than {MAX_ENTRIES}", entries.len()));
            }
            if let Some(wrong) = entries.iter().find(|entry| Entry::parse(entry).is_none()) {
                return Err(format!("`types.{list}`: `{wrong}` is no category letter, MIME type or extension with its dot"));
            }
        }
        let unfit = |entry: &&String| match Entry::parse(entry) {
            Some(Entry::Category(letter)) => NEVER_SKIPPED.contains(letter),
            Some(Entry::Mime("application", "*" | "octet-stream")) => true,
            _ => false,
        };
        match self.skip.iter().find(unfit) {
            Some(entry) => Err(format!("`types.skip`: files of `{entry}` can do harm and are always scanned")),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry<'a> {
    Category(&'a str),
    /// Type and subtype; `*` is any subtype.
    Mime(&'a str, &'a str),
    Extension(&'a str),
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let token =
            |part: &str| !part.is_empty() && part.len() <= 100 && part.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && b != b'/');
        if let Some(extension) = text.strip_prefix('.') {
            return (token(extension) && !extension.contains('.')).then_some(Self::Extension(extension));
        }
        if let Some((kind, subtype)) = text.split_once('/') {
            return (token(kind) && token(subtype) && kind != "*").then_some(Self::Mime(kind, subtype));
        }
        (text.len() == 1 && text.bytes().all(|b| b.is_ascii_uppercase())).then_some(Self::Category(text))
    }

    /// Whether a content of this type is meant.
    fn is(self, file_type: &FileType) -> bool {
        match self {
            Self::Category(letter) => file_type.category == letter,
            Self::Mime(kind, subtype) => {
                file_type.mime.split_once('/').is_some_and(|(own_kind, own)| own_kind == kind && (subtype == "*" || own == subtype))
            }
            Self::Extension(extension) => file_type.extensions.iter().any(|own| own == extension),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(allow: &[&str], block: &[&str], skip: &[&str]) -> TypeLists {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        TypeLists { allow: list(allow), block: list(block), skip: list(skip) }
    }

    fn of(mime: &str, category: &str, extensions: &[&str]) -> FileType {
        let extensions = extensions.iter().map(|extension| (*extension).to_owned()).collect();
        FileType { mime: mime.into(), description: format!("a file of {mime}"), extensions, category: category.into() }
    }

    #[test]
    fn content_decides_and_a_name_can_only_make_it_worse() {
        let (pdf, exe) = (of("application/pdf", "P", &["pdf"]), of("application/x-dosexec", "E", &["exe", "dll"]));
        let only_pdf = lists(&[".pdf"], &[], &[]);
        assert_eq!(only_pdf.rule_on(&pdf, "a.pdf", false), Ruling::Scan);
        assert!(matches!(only_pdf.rule_on(&exe, "a.pdf", false), Ruling::Refuse(why) if why.contains("x-dosexec")));
        let no_exe = lists(&[], &["E", ".js"], &[]);
        assert!(matches!(no_exe.rule_on(&exe, "a.pdf", false), Ruling::Refuse(_)));
        assert!(matches!(no_exe.rule_on(&pdf, "x/a.JS", false), Ruling::Refuse(_)), "refused for its name");
        assert!(matches!(no_exe.rule_on(&exe, "a.bin", true), Ruling::Refuse(_)), "also in a document");
        assert_eq!(no_exe.rule_on(&pdf, "a.pdf", false), Ruling::Scan);
    }

    #[test]
    fn text_is_let_in_by_its_extension_and_parts_of_documents_are_not_asked() {
        let text = of("text/plain", "T", &[]);
        let only = lists(&[".txt", "D"], &[], &[]);
        assert_eq!(only.rule_on(&text, "a.txt", false), Ruling::Scan);
        assert!(matches!(only.rule_on(&text, "a.sh", false), Ruling::Refuse(_)));
        assert_eq!(only.rule_on(&of("image/png", "G", &["png"]), "word/media/a.png", true), Ruling::Scan);
        assert!(matches!(only.rule_on(&of("application/octet-stream", "Z", &[]), "a.txt", false), Ruling::Refuse(_)));
    }

    #[test]
    fn what_can_do_harm_is_never_skipped() {
        let images = lists(&[], &[".svg"], &["image/*"]);
        assert_eq!(images.validate(), Ok(()));
        assert_eq!(images.rule_on(&of("image/png", "G", &["png"]), "a.png", false), Ruling::Skip);
        assert!(matches!(images.rule_on(&of("image/svg+xml", "G", &["svg"]), "a.svg", false), Ruling::Refuse(_)), "the block list comes first");
        for category in ["A", "E", "I", "M", "Z", ""] {
            assert_eq!(images.rule_on(&of("image/odd", category, &[]), "a.png", false), Ruling::Scan, "{category}");
        }
        for unfit in ["E", "A", "Z", "application/*", "application/octet-stream"] {
            assert!(lists(&[], &[], &[unfit]).validate().unwrap_err().contains(unfit), "{unfit}");
        }
    }

    #[test]
    fn entries_that_mean_nothing_are_named() {
        for wrong in ["pdf", "", "EX", "e", "/", "*/*", "image/", ".", ".tar.gz", "Image/png"] {
            assert!(lists(&[wrong], &[], &[]).validate().unwrap_err().contains(&format!("`{wrong}`")), "{wrong}");
        }
        assert_eq!(lists(&["E", "image/*", "application/vnd.ms-excel", ".7z"], &[], &[]).validate(), Ok(()));
    }
}
