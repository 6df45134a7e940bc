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

/// Packages that are ZIP archives: whatever detects them may see no more than the archive.
const ZIPPED: &[&str] = &[
    "docx",
    "docm",
    "dotx",
    "dotm",
    "xlsx",
    "xlsm",
    "xlsb",
    "xltx",
    "xltm",
    "xlam",
    "pptx",
    "pptm",
    "ppsx",
    "ppsm",
    "potx",
    "potm",
    "ppam",
    "thmx",
    "vsdx",
    "vsdm",
    "vssx",
    "vstx",
    "odt",
    "ods",
    "odp",
    "odg",
    "odf",
    "odb",
    "ott",
    "ots",
    "otp",
    "otg",
    "odm",
    "sxw",
    "sxc",
    "sxi",
    "sxd",
    "epub",
    "jar",
    "war",
    "ear",
    "aar",
    "apk",
    "aab",
    "ipa",
    "xpi",
    "crx",
    "whl",
    "egg",
    "nupkg",
    "snupkg",
    "vsix",
    "xap",
    "appx",
    "msix",
    "appxbundle",
    "msixbundle",
    "kmz",
    "cbz",
    "xps",
    "oxps",
    "3mf",
    "sketch",
    "pages",
    "numbers",
    "key",
    "ora",
    "kra",
    "fla",
    "air",
    "mxl",
    "fbz",
    "fb2",
    "idml",
    "usdz",
    "npz",
    "pt",
    "pth",
    "keras",
    "mcpack",
    "mcworld",
    "zipx",
    "gpkg",
    "qgz",
    "twbx",
    "pbix",
    "pyz",
    "par",
    "xlsxz",
    "ggb",
    "mscz",
    "sb3",
    "scratch",
];

/// The table. Sources: IANA media types, and what programs write in practice (Word saves RTF as `.doc`, …).
const FAMILIES: &[Family] = &[
    Family { mimes: &["application/pdf"], extensions: &["pdf"], also: &["ai", "fdf", "pdfa", "tmp"] },
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
            "image/avif-sequence",
            "image/heic",
            "image/heic-sequence",
            "image/heif",
            "image/heif-sequence",
            "image/vnd.microsoft.icon",
            "image/x-win-bitmap",
            "image/x-icns",
            "image/jp2",
            "image/jpx",
            "image/jxl",
            "image/jxr",
            "image/x-jng",
            "image/x-mng",
            "image/vnd.adobe.photoshop",
            "image/x-pcx",
            "image/vnd.ms-dds",
            "image/emf",
            "image/wmf",
            "image/x-canon-cr2",
            "image/x-nikon-nef",
            "image/x-sony-arw",
        ],
        extensions: &[
            "png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "dib", "tif", "tiff", "avif", "heic", "heif", "ico", "cur", "icns",
            "jp2", "jpx", "jxl", "jxr", "psd", "pcx", "dds", "emf", "wmf", "cr2", "nef", "arw",
        ],
        also: &[
            "thm", "dng", "svs", "heics", "heifs", "avifs", "jng", "mng", "jif", "jfi", "rle", "j2k", "jpf", "wdp", "hdp", "psb", "dcx", "ani",
            "sprite",
        ],
    },
    Family {
        mimes: &[
            "application/vnd.microsoft.portable-executable",
            "application/x-dosexec",
            "application/x-ms-ne-executable",
            "application/x-executable",
            "application/x-sharedlib",
            "application/x-object",
            "application/x-mach-binary",
            "application/x-msi",
        ],
        extensions: &[
            "exe", "dll", "sys", "scr", "com", "ocx", "cpl", "drv", "efi", "msi", "msp", "mst", "msm", "so", "dylib", "elf", "pyd", "node", "ax",
            "acm", "mui",
        ],
        also: &[
            "bin", "run", "appimage", "out", "o", "ko", "a", "lo", "obj", "xll", "winmd", "tsp", "fon", "ime", "pif", "bundle", "dbg", "debug",
            "cmd", "prg", "axf", "puff",
        ],
    },
    Family {
        mimes: &[
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
            "application/vnd.ms-word.document.macroEnabled.12",
            "application/vnd.ms-word.template.macroEnabled.12",
        ],
        extensions: &["docx", "docm", "dotx", "dotm"],
        also: &["doc", "dot", "zip", "asd", "wbk"],
    },
    Family {
        mimes: &[
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
            "application/vnd.ms-excel.sheet.macroEnabled.12",
            "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
            "application/vnd.ms-excel.template.macroEnabled.12",
            "application/vnd.ms-excel.addin.macroEnabled.12",
        ],
        extensions: &["xlsx", "xlsm", "xltx", "xltm", "xlsb", "xlam"],
        also: &["xls", "xlt", "zip"],
    },
    Family {
        mimes: &[
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
            "application/vnd.openxmlformats-officedocument.presentationml.template",
            "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
            "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
            "application/vnd.ms-powerpoint.template.macroEnabled.12",
            "application/vnd.ms-powerpoint.addin.macroEnabled.12",
        ],
        extensions: &["pptx", "pptm", "potx", "potm", "ppsx", "ppsm", "ppam"],
        also: &["ppt", "pps", "pot", "thmx", "zip"],
    },
    Family { mimes: &["application/msword", "application/rtf"], extensions: &["doc", "dot", "rtf", "wiz"], also: &["wbk", "asd"] },
    // Tables and pages of HTML are given the extension of Excel so often that text is not accused of it anyway.
    Family { mimes: &["application/vnd.ms-excel"], extensions: &["xls", "xlt", "xla"], also: &["xlm", "xlw", "csv"] },
    Family { mimes: &["application/vnd.ms-powerpoint"], extensions: &["ppt", "pps", "pot"], also: &["ppa"] },
    Family { mimes: &["application/vnd.ms-outlook", "application/vnd.ms-outlook-pst"], extensions: &["msg", "oft", "pst", "ost"], also: &["pab"] },
    Family { mimes: &["application/vnd.visio"], extensions: &["vsd", "vss", "vst"], also: &[] },
    Family {
        mimes: &[
            "application/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.presentation",
            "application/vnd.oasis.opendocument.graphics",
        ],
        extensions: &["odt", "ods", "odp", "odg", "ott", "ots", "otp"],
        also: &["zip", "otg", "odm", "fodt"],
    },
    Family {
        mimes: &["application/zip"],
        extensions: &["zip"],
        // What else a ZIP archive may be named stands in `ZIPPED`.
        also: &[
            "exe", "cbr", "bin", "dat", "pak", "pk3", "res", "hwpx", "jmod", "sym", "ja", "love", "wz", "webapp", "mmap", "p2r", "sdf", "lst",
            "ifczip", "oex", "wgt",
        ],
    },
    Family {
        mimes: &["application/java-archive", "application/vnd.android.package-archive", "application/x-xpinstall"],
        extensions: &["jar", "apk", "xpi", "war", "ear"],
        also: &["zip", "aar", "aab", "hpi", "jpi", "kar", "nar", "sar", "rar", "par", "jmod"],
    },
    Family { mimes: &["application/epub+zip"], extensions: &["epub"], also: &["zip", "ibooks", "kepub"] },
    Family {
        mimes: &[
            "application/vnd.rar",
            "application/x-7z-compressed",
            "application/vnd.ms-cab-compressed",
            "application/x-ace-compressed",
            "application/x-arj",
        ],
        extensions: &["rar", "7z", "cab", "ace", "arj"],
        also: &["cbr", "cb7", "cbz", "cba", "msu", "r00", "r01", "001", "rev", "zip", "exe", "wsp", "deskthemepack", "puz", "idx", "dll", "z01"],
    },
    Family {
        mimes: &[
            "application/gzip",
            "application/x-bzip2",
            "application/x-xz",
            "application/zstd",
            "application/x-lzma",
            "application/x-lz4",
            "application/x-lzip",
            "application/x-compress",
        ],
        extensions: &["gz", "tgz", "bz2", "tbz", "tbz2", "xz", "txz", "zst", "tzst", "lzma", "tlz", "lz4", "lz", "z"],
        also: &[
            "emz",
            "wmz",
            "svgz",
            "dia",
            "xcfgz",
            "bgz",
            "crate",
            "apk",
            "vmdk",
            "vbox-extpack",
            "xcf",
            "adz",
            "spl",
            "rda",
            "rds",
            "rdata",
            "nii",
            "blend",
            "sit",
            "tar",
            "taz",
            "tb2",
            "ipk",
            "gnumeric",
            "als",
            "vcf",
            "fas",
            "ova",
            "box",
            "npm",
            "unitypackage",
            "prproj",
            "dsx",
            "mgz",
            "hdr",
            "pcf",
            "man",
            "psf",
            "psfu",
        ],
    },
    Family {
        mimes: &["application/x-tar"],
        extensions: &["tar"],
        also: &["gem", "ova", "cbt", "box", "oci", "conda", "pt", "bak", "data", "ubi", "unr", "tgz", "gtar", "ustar"],
    },
    Family {
        mimes: &["application/x-iso9660-image"],
        extensions: &["iso"],
        also: &["img", "bin", "raw", "udf", "mdf", "cdr", "toast", "isz", "nrg"],
    },
    Family {
        mimes: &["font/ttf", "font/otf", "font/woff", "font/woff2", "font/collection", "application/vnd.ms-fontobject"],
        extensions: &["ttf", "otf", "woff", "woff2", "ttc", "eot"],
        also: &["dfont", "tte", "otc", "compositefont", "ufm", "odttf", "fntdata", "bin", "tt"],
    },
    Family {
        mimes: &["application/vnd.sqlite3"],
        extensions: &["sqlite", "sqlite3"],
        also: &["db", "db3", "s3db", "sl3", "gpkg", "mbtiles", "data", "dat"],
    },
    Family { mimes: &["application/java-vm"], extensions: &["class"], also: &["kotlin_module", "sig", "ct"] },
    Family {
        mimes: &[
            "audio/mpeg",
            "audio/aac",
            "audio/flac",
            "audio/ogg",
            "audio/opus",
            "audio/vnd.wave",
            "audio/mp4",
            "audio/x-m4a",
            "audio/x-aiff",
            "audio/basic",
            "audio/amr",
            "audio/midi",
            "video/mp4",
            "video/x-m4v",
            "application/mp4",
            "video/webm",
            "video/matroska",
            "audio/matroska",
            "video/x-msvideo",
            "video/quicktime",
            "video/mpeg",
            "video/mp2t",
            "video/ogg",
            "application/ogg",
            "video/x-ms-wmv",
            "audio/x-ms-wma",
            "application/vnd.ms-asf",
            "application/x-id3v2",
            "video/3gpp",
            "video/3gpp2",
            "video/x-flv",
        ],
        extensions: &[
            "mp3", "aac", "flac", "ogg", "oga", "ogv", "opus", "wav", "m4a", "mp4", "m4v", "webm", "mkv", "mka", "avi", "mov", "mpg", "mpeg", "wmv",
            "wma", "3gp", "3g2", "flv", "aif", "aiff", "amr", "mid", "midi", "vob", "m2ts", "mts",
        ],
        also: &[
            "m4b", "m4r", "f4v", "ogx", "asf", "bwf", "weba", "ts", "mp2", "mp1", "mpa", "mpe", "m1v", "m2v", "mpv", "m4p", "f4a", "aifc", "au",
            "snd", "rmi", "kar", "qt", "dvr-ms", "wtv", "mk3d", "spx", "ogm", "divx", "xvid", "dat", "mod", "tod", "bik", "m2t",
        ],
    },
];

/// Extensions that claim text: anything that is recognised as another family is a lie.
const TEXT_CLAIMS: &[&str] = &[
    "txt", "csv", "tsv", "log", "md", "rst", "json", "xml", "xsl", "xsd", "ini", "cfg", "conf", "yaml", "yml", "toml", "html", "htm", "xhtml", "css",
    "js", "vbs", "ps1", "bat", "sh", "py", "php", "pl", "rb", "sql", "eml", "mht", "mhtml", "ics", "vcf", "svg", "url", "reg", "c", "h", "cpp",
    "java", "rs", "go",
];

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
    let own = family.extensions.contains(&extension.as_str())
        || family.also.contains(&extension.as_str())
        || file_type.extensions.contains(&extension)
        || (file_type.mime == "application/zip" && ZIPPED.contains(&extension.as_str()));
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
            ("a.docx", "application/zip"),
            ("a.whl", "application/zip"),
            ("a.epub", "application/zip"),
            ("a.zip", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("a.jar", "application/zip"),
            ("a.scr", "application/vnd.microsoft.portable-executable"),
            ("a.sys", "application/vnd.microsoft.portable-executable"),
            ("a.dll", "application/vnd.microsoft.portable-executable"),
            ("a.jpe", "image/jpeg"),
            ("a.jfif", "image/jpeg"),
            ("a.tif", "image/tiff"),
            ("a.htm", "text/html"),
            ("a.log", "text/csv"),
            ("a.txt", "application/json"),
            ("a.csv", "text/plain"),
            ("a.rdf", "application/xml"),
            ("a.xslt", "application/xml"),
            ("a.mpeg", "video/mpeg"),
            ("a.mpg", "video/mpeg"),
            ("a.ogg", "audio/opus"),
            ("a.tar.xz", "application/x-xz"),
            ("man.1.gz", "application/gzip"),
            ("a.svgz", "application/gzip"),
            ("a.crate", "application/gzip"),
            ("a.gem", "application/x-tar"),
            ("a.docm", "application/vnd.ms-word.document.macroEnabled.12"),
            ("a.otf", "font/ttf"),
            ("data.db", "application/vnd.sqlite3"),
            ("favicon.ico", "image/png"),
            ("a.exe", "text/plain"),
        ] {
            assert!(!wrong(name, mime), "{name} {mime}");
        }
    }

    #[test]
    fn other_lies_are_found() {
        for (name, mime) in [
            ("a.docx", "application/x-7z-compressed"),
            ("a.zip", "application/gzip"),
            ("a.jpg", "application/zip"),
            ("a.txt", "application/zip"),
            ("a.pdf", "application/zip"),
            ("a.xlsx", "application/vnd.ms-word.document.macroEnabled.12"),
            ("a.mp3", "application/pdf"),
            ("a.pdf", "application/rtf"),
            ("a.js", "application/x-executable"),
            ("a.png", "video/mp4"),
            ("a.woff", "application/java-vm"),
        ] {
            assert!(wrong(name, mime), "{name} {mime}");
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
