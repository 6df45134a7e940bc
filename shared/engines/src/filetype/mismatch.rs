//! Whether a name says something else than the content.
//!
//! Only claims that can be checked are checked: the extension must stand in [`FAMILIES`], and so must
//! the detected type. What always holds: text is never accused (any text may have any name), an unknown
//! extension claims nothing, and neither does a missing one.

use portcullis_core::domain::report::FileType;

use crate::names;

/// Types whose extensions are used for one another without anything being wrong.
struct Family {
    /// MIME types, as `detect` gives them.
    mimes: &'static [&'static str],
    /// Extensions that claim to be of this family.
    extensions: &'static [&'static str],
    /// Further extensions that contents of this family legitimately have.
    also: &'static [&'static str],
}

/// The table. Sources: IANA media types, and what programs write in practice (Word saves RTF as `.doc`, …).
const FAMILIES: &[Family] = &[
    Family { mimes: &["application/pdf"], extensions: &["pdf"], also: &["ai", "fdf"] },
    Family {
        mimes: &[
            "image/png",
            "image/apng",
            "image/jpeg",
            "image/gif",
            "image/webp",
            "image/bmp",
            "image/tiff",
            "image/avif",
            "image/heic",
            "image/heif",
            "image/vnd.microsoft.icon",
            "image/x-win-bitmap",
            "image/jp2",
            "image/jxl",
            "image/vnd.adobe.photoshop",
        ],
        extensions: &[
            "png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "dib", "tif", "tiff", "avif", "heic", "heif", "ico", "cur", "jp2",
            "jxl", "psd",
        ],
        also: &["thm", "nef", "cr2", "dng", "arw", "svs"],
    },
    Family {
        mimes: &[
            "application/vnd.microsoft.portable-executable",
            "application/x-dosexec",
            "application/x-ms-ne-executable",
            "application/x-executable",
            "application/x-sharedlib",
            "application/x-mach-binary",
            "application/x-msi",
        ],
        extensions: &[
            "exe", "dll", "sys", "scr", "com", "ocx", "cpl", "drv", "efi", "msi", "msp", "mst", "so", "dylib", "elf", "pyd", "node", "ax", "acm",
            "mui",
        ],
        also: &["bin", "run", "appimage", "out", "o", "ko", "a"],
    },
    Family {
        mimes: &["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/vnd.ms-word.document.macroEnabled.12"],
        extensions: &["docx", "docm", "dotx", "dotm"],
        also: &["doc", "dot"],
    },
    Family {
        mimes: &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroEnabled.12"],
        extensions: &["xlsx", "xlsm", "xltx", "xltm", "xlsb", "xlam"],
        also: &["xls", "xlt"],
    },
    Family {
        mimes: &[
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
        ],
        extensions: &["pptx", "pptm", "potx", "potm", "ppsx", "ppsm", "ppam"],
        also: &["ppt", "pps", "pot", "thmx"],
    },
    Family { mimes: &["application/msword", "application/rtf"], extensions: &["doc", "dot", "rtf", "wiz"], also: &[] },
    Family { mimes: &["application/vnd.ms-excel"], extensions: &["xls", "xlt", "xla"], also: &["xlm", "csv"] },
    Family { mimes: &["application/vnd.ms-powerpoint"], extensions: &["ppt", "pps", "pot"], also: &["ppa"] },
    Family { mimes: &["application/vnd.ms-outlook"], extensions: &["msg", "oft", "pst", "ost"], also: &[] },
    Family {
        mimes: &[
            "application/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.presentation",
            "application/vnd.oasis.opendocument.graphics",
        ],
        extensions: &["odt", "ods", "odp", "odg", "ott", "ots", "otp"],
        also: &[],
    },
    Family {
        mimes: &[
            "application/vnd.rar",
            "application/x-7z-compressed",
            "application/vnd.ms-cab-compressed",
            "application/x-ace-compressed",
            "application/x-arj",
        ],
        extensions: &["rar", "7z", "cab", "ace", "arj"],
        also: &["cbr", "cb7", "msu", "r00", "001", "rev"],
    },
    Family { mimes: &["application/gzip"], extensions: &["gz", "tgz"], also: &["emz", "wmz", "svgz", "dia", "xcfgz", "bgz"] },
    Family {
        mimes: &[
            "audio/mpeg",
            "audio/aac",
            "audio/flac",
            "audio/ogg",
            "audio/opus",
            "audio/vnd.wave",
            "audio/mp4",
            "video/mp4",
            "application/mp4",
            "video/webm",
            "video/matroska",
            "audio/matroska",
            "video/x-msvideo",
            "video/quicktime",
            "video/mpeg",
            "video/ogg",
            "application/ogg",
            "video/x-ms-wmv",
            "audio/x-ms-wma",
            "application/vnd.ms-asf",
            "application/x-id3v2",
            "video/3gpp",
            "video/x-flv",
        ],
        extensions: &[
            "mp3", "aac", "flac", "ogg", "oga", "ogv", "opus", "wav", "m4a", "mp4", "m4v", "webm", "mkv", "mka", "avi", "mov", "mpg", "mpeg", "wmv",
            "wma", "3gp", "flv",
        ],
        also: &["m4b", "m4r", "f4v", "ogx", "asf", "bwf", "weba"],
    },
];

/// Extensions that claim a type whose contents are plain text or have no signature: anything recognised as another family is a lie.
const TEXT_CLAIMS: &[&str] = &["txt", "csv", "log", "md", "json", "xml", "ini", "html", "htm", "eml", "svg"];

fn family_of(mime: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.mimes.contains(&mime))
}

/// All extensions of the family of a MIME type; empty if it has none.
pub(super) fn extensions_of(mime: &str) -> &'static [&'static str] {
    family_of(mime).map_or(&[], |family| family.extensions)
}

/// What is wrong with the name, in one sentence; `None` if nothing is.
pub fn find(name: &str, file_type: &FileType) -> Option<String> {
    let extension = names::extension(name);
    let family = family_of(&file_type.mime)?;
    let own =
        family.extensions.contains(&extension.as_str()) || family.also.contains(&extension.as_str()) || file_type.extensions.contains(&extension);
    if extension.is_empty() || own {
        return None;
    }
    let claims = FAMILIES.iter().any(|other| other.extensions.contains(&extension.as_str())) || TEXT_CLAIMS.contains(&extension.as_str());
    claims.then(|| format!("the name ends in `.{extension}`, the content is {}", file_type.description))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filetype::named;

    fn wrong(name: &str, mime: &str) -> bool {
        find(name, &named(mime, "x", &[], "Z")).is_some()
    }

    #[test]
    fn executables_behind_documents_and_images_are_found() {
        for name in ["invoice.pdf", "photo.JPG", "a/b/letter.docx", "notes.txt", "page.html", "x.zip.png"] {
            assert!(wrong(name, "application/vnd.microsoft.portable-executable"), "{name}");
            assert!(wrong(name, "application/x-executable"), "{name}");
        }
    }

    #[test]
    fn legitimate_names_are_left_alone() {
        for (name, mime) in [
            ("a.jpeg", "image/jpeg"),
            ("a.jpg", "image/png"),
            ("letter.doc", "application/rtf"),
            ("letter.doc", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("setup.exe", "application/x-dosexec"),
            ("libm.so.6", "application/x-sharedlib"),
            ("ls", "application/x-executable"),
            ("a.unknown", "application/pdf"),
            ("a.xyz", "application/x-executable"),
            ("a.pdf", "application/octet-stream"),
            ("a.pdf", "text/plain"),
            ("a.jpg", "text/html"),
            ("a.tgz", "application/gzip"),
            ("a.mp4", "audio/mp4"),
        ] {
            assert!(!wrong(name, mime), "{name} {mime}");
        }
    }

    #[test]
    fn an_extension_belongs_to_one_family() {
        for (n, family) in FAMILIES.iter().enumerate() {
            for other in &FAMILIES[n + 1..] {
                assert!(family.extensions.iter().all(|e| !other.extensions.contains(e)));
                assert!(family.mimes.iter().all(|m| !other.mimes.contains(m)));
            }
            assert!(family.extensions.iter().all(|e| !TEXT_CLAIMS.contains(e)));
        }
    }
}
