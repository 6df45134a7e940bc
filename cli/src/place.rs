//! Where `watch` puts files: never over another one, and into the clean folder only exactly the bytes that were judged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::content::{Stamp, digest};

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is there now.
    There(PathBuf),
    /// It is not what was judged any more.
    Changed,
}

/// Takes a clean file into `folder`. A copy: whoever still holds the original open can write to it, and never to the copy.
/// The copy gets its name only when its digest is the judged one; the original goes only if it did not change.
pub(crate) fn clean(path: &Path, stamp: Stamp, sha256: &str, folder: &Path) -> io::Result<Placed> {
    let mut source = File::open(path)?;
    let metadata = source.metadata()?;
    if Stamp::of(&metadata) != stamp {
        return Ok(Placed::Changed);
    }
    let copy = Copy::of(&mut source, folder)?;
    let is = digest(&mut File::open(&copy.path)?)?;
    if is != sha256 || !unchanged(path, stamp) {
        return Ok(Placed::Changed);
    }
    fs::set_permissions(&copy.path, fs::Permissions::from_mode(metadata.permissions().mode() & 0o666))?;
    let there = copy.name(path)?;
    remove(path, stamp, folder)?;
    Ok(Placed::There(there))
}

/// Takes a blocked file into `folder`.
pub(crate) fn blocked(path: &Path, stamp: Stamp, folder: &Path) -> io::Result<Placed> {
    if !unchanged(path, stamp) {
        return Ok(Placed::Changed);
    }
    let there = match named(path, folder, |to| fs::hard_link(path, to)) {
        Ok(there) => there,
        // Another file system, or one without links.
        Err(_) => Copy::of(&mut File::open(path)?, folder)?.name(path)?,
    };
    remove(path, stamp, folder)?;
    Ok(Placed::There(there))
}

/// Removes the original once what is in `folder` is on the disk. Under a name of its own first: whatever took its place in
/// this moment, or was written to it, is another content, and comes back.
fn remove(path: &Path, stamp: Stamp, folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    let home = path.parent().unwrap_or(Path::new("."));
    let aside = home.join(format!(".portcullis-{}-{}", std::process::id(), next()));
    fs::rename(path, &aside)?;
    if !unchanged(&aside, stamp) {
        named(path, home, |to| fs::hard_link(&aside, to))?;
    }
    fs::remove_file(&aside)
}

fn unchanged(path: &Path, stamp: Stamp) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == stamp)
}

/// The first of `name`, `name.1`, `name.2` … that is free.
fn named(path: &Path, folder: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for n in 0_u32.. {
        let mut free = name.to_owned();
        if n > 0 {
            free.push(format!(".{n}"));
        }
        let to = folder.join(free);
        match make(&to) {
            Ok(()) => return Ok(to),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A copy under a hidden name, for its owner only; gone when it gets no other.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn of(source: &mut File, folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!(".portcullis-{}-{}", std::process::id(), next()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let copy = Self { path };
        let mut piece = vec![0; 128 * 1024];
        loop {
            match source.read(&mut piece)? {
                0 => break,
                read => file.write_all(piece.get(..read).unwrap_or_default())?,
            }
        }
        file.sync_all()?;
        Ok(copy)
    }

    fn name(self, like: &Path) -> io::Result<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        named(like, folder, |to| fs::hard_link(&self.path, to))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn next() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folders {
        _root: tempfile::TempDir,
        file: PathBuf,
        clean: PathBuf,
    }

    fn folders(content: &str) -> (Folders, Stamp, String) {
        let root = tempfile::tempdir().unwrap();
        let (file, clean) = (root.path().join("a.txt"), root.path().join("clean"));
        fs::create_dir(&clean).unwrap();
        fs::write(&file, content).unwrap();
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        let sha = digest(&mut content.as_bytes()).unwrap();
        (Folders { _root: root, file, clean }, stamp, sha)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_written_over_and_what_is_taken_is_gone_from_here() {
        let (folders, stamp, sha) = folders("good");
        fs::write(folders.clean.join("a.txt"), "older").unwrap();
        let there = folders.clean.join("a.txt.1");
        assert_eq!(clean(&folders.file, stamp, &sha, &folders.clean).unwrap(), Placed::There(there.clone()));
        assert_eq!(fs::read(there).unwrap(), b"good");
        assert_eq!(fs::read(folders.clean.join("a.txt")).unwrap(), b"older");
        assert!(!folders.file.exists());
        assert_eq!(names(&folders.clean), ["a.txt", "a.txt.1"]);
    }

    #[test]
    fn other_bytes_than_the_judged_ones_never_get_a_name_in_the_clean_folder() {
        // Another digest, though the stamp is the same.
        let (folders, stamp, _) = folders("evil");
        let judged = digest(&mut &b"good"[..]).unwrap();
        assert_eq!(clean(&folders.file, stamp, &judged, &folders.clean).unwrap(), Placed::Changed);
        assert!(folders.file.exists() && names(&folders.clean).is_empty());
        // Another stamp, though the digest is the same.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&folders.file, "good").unwrap();
        assert_eq!(clean(&folders.file, stamp, &judged, &folders.clean).unwrap(), Placed::Changed);
        assert!(folders.file.exists() && names(&folders.clean).is_empty());
    }

    #[test]
    fn what_was_open_for_writing_can_not_change_the_copy() {
        let (folders, stamp, sha) = folders("good");
        let mut writer = OpenOptions::new().append(true).open(&folders.file).unwrap();
        clean(&folders.file, stamp, &sha, &folders.clean).unwrap();
        writer.write_all(b" turned evil").unwrap();
        assert_eq!(fs::read(folders.clean.join("a.txt")).unwrap(), b"good");
    }

    #[test]
    fn what_took_the_place_of_a_file_is_not_removed() {
        let (folders, stamp, _) = folders("old");
        fs::remove_file(&folders.file).unwrap();
        fs::write(&folders.file, "new content").unwrap();
        remove(&folders.file, stamp, &folders.clean).unwrap();
        assert_eq!(fs::read(&folders.file).unwrap(), b"new content");
        assert_eq!(names(folders.file.parent().unwrap()), ["a.txt", "clean"]);
    }

    #[test]
    fn blocked_files_are_moved_without_writing_over() {
        let (folders, stamp, _) = folders("bad");
        fs::write(folders.clean.join("a.txt"), "older").unwrap();
        assert_eq!(blocked(&folders.file, stamp, &folders.clean).unwrap(), Placed::There(folders.clean.join("a.txt.1")));
        assert!(!folders.file.exists() && fs::read(folders.clean.join("a.txt")).unwrap() == b"older");
    }
}
