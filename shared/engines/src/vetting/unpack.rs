//! Rule files out of a ZIP. Its names are text: contents are written under numbers, into one folder.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zip::ZipArchive;

use super::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, UnpackedRules};
use crate::definitions::has_extension;
use crate::engine::guarded;
use crate::names;

/// Entries of whatever kind that are looked at.
const MAX_ENTRIES: usize = 50_000;
/// Longest path, in bytes.
const LONGEST_PATH: usize = 200;

/// Writes the rule files of an archive into `into`, each under its number.
pub(crate) fn unpack(archive: &Path, into: &Path) -> UnpackedRules {
    let mut unpacked = UnpackedRules::default();
    let result = guarded(|| run(archive, into, &mut unpacked)).unwrap_or_else(|| Err("the archive makes its reader fail".into()));
    unpacked.error = result.err();
    unpacked
}

fn run(archive: &Path, into: &Path, unpacked: &mut UnpackedRules) -> Result<(), String> {
    let file = File::open(archive).map_err(|e| format!("the archive could not be read: {e}"))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(|e| format!("the content is no ZIP archive: {e}"))?;
    if archive.len() > MAX_ENTRIES {
        return Err(format!("the archive has more than {MAX_ENTRIES} entries"));
    }
    let mut total = 0;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(|e| format!("entry {number} of the archive can not be read: {e}"))?;
        let name = entry.name().map_or_else(|_| String::from("?"), Cow::into_owned);
        if entry.is_dir() || !has_extension(Path::new(&name), &["yar", "yara"]) {
            continue;
        }
        let shown = names::clean(&name);
        if entry.is_symlink() || !is_usable(&name) {
            unpacked.left_out.push(format!("`{shown}` has no usable name, or is a link."));
            continue;
        }
        if unpacked.files.iter().any(|(known, _)| *known == name) {
            unpacked.left_out.push(format!("`{shown}` stands twice in the archive; only the first is used."));
            continue;
        }
        if unpacked.files.len() >= MAX_FILES {
            return Err(format!("the archive has more than {MAX_FILES} rule files"));
        }
        let mut to = File::create_new(into.join(number.to_string())).map_err(|e| format!("a rule file could not be stored: {e}"))?;
        let limit = MAX_FILE_BYTES.min(MAX_TOTAL_BYTES - total);
        let written = io::copy(&mut entry.by_ref().take(limit + 1), &mut to).map_err(|e| format!("`{shown}` can not be read: {e}"))?;
        total += written;
        if total > MAX_TOTAL_BYTES {
            return Err(format!("the rule files of the archive have more than {MAX_TOTAL_BYTES} bytes"));
        }
        if written > MAX_FILE_BYTES {
            unpacked.left_out.push(format!("`{shown}` is larger than {MAX_FILE_BYTES} bytes."));
        } else {
            unpacked.files.push((name, number));
        }
    }
    Ok(())
}

/// Whether a name is a plain relative path that can be shown as it is.
pub fn is_usable(name: &str) -> bool {
    let parts = || name.split('/');
    name.len() <= LONGEST_PATH
        && names::clean(name) == name
        && !name.contains('\\')
        && parts().all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8]) -> (UnpackedRules, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (path, into) = (dir.path().join("zip"), dir.path().join("into"));
        std::fs::create_dir(&into).unwrap();
        std::fs::write(&path, bytes).unwrap();
        (unpack(&path, &into), dir)
    }

    #[test]
    fn rule_files_come_out_under_numbers_and_nothing_else_does() {
        let (got, dir) = unpacked(&archive(&[("repo/readme.md", b"x"), ("repo/a.yar", b"A"), ("repo/sub/b.YARA", b"B")]));
        assert_eq!(got.files, [("repo/a.yar".to_owned(), 1), ("repo/sub/b.YARA".to_owned(), 2)]);
        assert_eq!((got.error, got.left_out.len()), (None, 0));
        assert_eq!(std::fs::read(dir.path().join("into/2")).unwrap(), b"B");
        assert_eq!(std::fs::read_dir(dir.path().join("into")).unwrap().count(), 2);
    }

    #[test]
    fn tricks_with_paths_are_left_out_and_named() {
        let tricks = ["../up.yar", "/etc/abs.yar", "a/../../b.yar", "a\\..\\b.yar", "./here.yar", "new\nline.yar", "a//b.yar"];
        let entries: Vec<(&str, &[u8])> = tricks.iter().map(|name| (*name, &b"x"[..])).chain([("good.yar", &b"x"[..])]).collect();
        let (got, dir) = unpacked(&archive(&entries));
        assert_eq!(got.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["good.yar"]);
        assert_eq!(got.left_out.len(), tricks.len(), "{:?}", got.left_out);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing beside the folder");
    }

    #[test]
    fn links_are_left_out() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("link.yar", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let (got, _dir) = unpacked(&writer.finish().unwrap().into_inner());
        assert_eq!((got.files.len(), got.left_out.len()), (0, 1));
    }

    #[test]
    fn a_bomb_ends_at_the_limits() {
        let zeros = vec![b' '; 9 * 1024 * 1024];
        let (one, _dir) = unpacked(&archive(&[("bomb.yar", &zeros), ("good.yar", b"x")]));
        assert_eq!((one.files.len(), one.left_out.len(), one.error), (1, 1, None));
        let names: Vec<String> = (0..9).map(|n| format!("{n}.yar")).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), zeros.as_slice())).collect();
        let (many, _dir) = unpacked(&archive(&entries));
        assert!(many.error.unwrap().contains("more than 67108864 bytes"));
    }

    #[test]
    fn what_is_no_archive_or_a_broken_one_is_an_error() {
        assert!(unpacked(b"<html>404</html>").0.error.is_some());
        let mut broken = archive(&[("a.yar", &b"rule a { condition: false } ".repeat(100))]);
        for byte in broken.iter_mut().skip(40).take(12) {
            *byte ^= 0xff;
        }
        assert!(unpacked(&broken).0.error.is_some());
    }
}
