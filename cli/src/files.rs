//! From what was named on the command line to a sorted list of files. What can not be read, or is left out, is told.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::args::Targets;
use crate::content::Content;
use crate::error::Error;

/// One thing to scan.
#[derive(Debug)]
pub(crate) struct Item {
    /// As it is shown.
    pub(crate) shown: String,
    /// Name that the server gets, in bytes: names need not be UTF-8.
    pub(crate) name: Vec<u8>,
    /// Bytes, as far as they are known before it is opened.
    pub(crate) size: u64,
    /// The content, or why there is none.
    pub(crate) content: Result<Content, Error>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In order.
    pub(crate) items: Vec<Item>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<(String, &'static str)>,
}

/// Looks at everything named. Blocks: standard input is read to its end.
pub(crate) fn find(targets: &Targets) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in &targets.paths {
        if path.as_os_str() == "-" {
            found.stdin(targets.name.as_deref())?;
        } else if path.is_dir() {
            found.folder(path, targets);
        } else {
            // A link that was named itself is followed.
            let metadata = std::fs::metadata(path);
            let pipe = metadata.as_ref().is_ok_and(|metadata| !metadata.is_file());
            found.file(path, metadata.map(|metadata| metadata.len()).map_err(|error| Error::io(path, &error)), targets.skip_empty && !pipe);
        }
    }
    if let Some(name) = &targets.name {
        match found.items.as_mut_slice() {
            [item] => item.name = name.clone().into_bytes(),
            items if items.iter().any(|item| item.shown == "-") => {}
            _ => return Err(Error::Said("`--name` is for standard input or a single file.".into())),
        }
    }
    if found.items.is_empty() {
        return Err(Error::Said("There is no file to scan.".into()));
    }
    Ok(found)
}

impl Found {
    fn stdin(&mut self, name: Option<&str>) -> Result<(), Error> {
        if self.items.iter().any(|item| item.shown == "-") {
            return Err(Error::Said("Standard input can be read once only.".into()));
        }
        let content = Content::stdin()?;
        let size = content.open()?.stamp().size;
        self.items.push(Item { shown: "-".into(), name: name.unwrap_or("stdin").as_bytes().to_vec(), size, content: Ok(content) });
        Ok(())
    }

    fn file(&mut self, path: &Path, size: Result<u64, Error>, skip_empty: bool) {
        use std::os::unix::ffi::OsStrExt;
        if skip_empty && matches!(size, Ok(0)) {
            self.skipped.push((path.to_string_lossy().into_owned(), "empty"));
            return;
        }
        self.items.push(Item {
            shown: path.to_string_lossy().into_owned(),
            name: path.file_name().unwrap_or(path.as_os_str()).as_bytes().to_vec(),
            size: size.as_ref().copied().unwrap_or_default(),
            content: size.map(|_| Content::Path(path.to_owned())),
        });
    }

    fn folder(&mut self, path: &Path, targets: &Targets) {
        for entry in WalkDir::new(path).follow_links(targets.follow_symlinks).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if entry.file_type().is_file() => {
                    let size = entry.metadata().map(|metadata| metadata.len()).map_err(|error| Error::Said(format!("{error}.")));
                    self.file(entry.path(), size, targets.skip_empty);
                }
                // The folder itself may be named by a link; what it holds is what was meant.
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) => {
                    let why = if entry.file_type().is_symlink() { "a symbolic link" } else { "no regular file" };
                    self.skipped.push((entry.path().to_string_lossy().into_owned(), why));
                }
                Err(error) => {
                    let path = error.path().unwrap_or(path).to_owned();
                    let failed = Error::Said(format!("`{}`: {}.", crate::printable(&path.to_string_lossy()), reason(&error)));
                    self.file(&path, Err(failed), false);
                }
            }
        }
    }
}

fn reason(error: &walkdir::Error) -> String {
    match (error.io_error(), error.loop_ancestor()) {
        (Some(io), _) => io.to_string(),
        (None, Some(ancestor)) => format!("a symbolic link leads back to `{}`", crate::printable(&ancestor.to_string_lossy())),
        (None, None) => "can not be read".to_owned(),
    }
}

/// Whether two paths name the same folder.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn targets(paths: &[&Path]) -> Targets {
        Targets { paths: paths.iter().map(|path| path.to_path_buf()).collect(), name: None, follow_symlinks: false, skip_empty: false }
    }

    fn shown(found: &Found, root: &Path) -> Vec<String> {
        found.items.iter().map(|item| item.shown.replace(&*root.to_string_lossy(), "")).collect()
    }

    #[test]
    fn folders_are_walked_in_order_and_links_are_left_out_and_told() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir_all(path.join("b/deep")).unwrap();
        for name in ["c.txt", "a.txt", "b/z", "b/deep/x", ".hidden"] {
            fs::write(path.join(name), name).unwrap();
        }
        fs::write(path.join("empty"), "").unwrap();
        std::os::unix::fs::symlink(path.join("a.txt"), path.join("link")).unwrap();
        std::os::unix::fs::symlink(path, path.join("b/loop")).unwrap();
        let found = find(&targets(&[path])).unwrap();
        assert_eq!(shown(&found, path), ["/.hidden", "/a.txt", "/b/deep/x", "/b/z", "/c.txt", "/empty"]);
        assert_eq!(found.skipped.len(), 2);
        let followed = find(&Targets { follow_symlinks: true, skip_empty: true, ..targets(&[path]) }).unwrap();
        let failed: Vec<_> = followed.items.iter().filter(|item| item.content.is_err()).collect();
        assert!(failed.len() == 1 && failed[0].content.as_ref().unwrap_err().to_string().contains("leads back"), "{followed:?}");
        assert!(shown(&followed, path).contains(&"/link".to_owned()) && !shown(&followed, path).contains(&"/empty".to_owned()));
        let linked = root.path().join("b/loop");
        assert!(shown(&find(&targets(&[&linked])).unwrap(), &linked).contains(&"/b/z".to_owned()));
        // A link that was named is followed.
        assert_eq!(find(&targets(&[&path.join("link")])).unwrap().items[0].size, 5);
    }

    #[test]
    fn what_is_missing_is_a_failure_of_its_own_and_nothing_is_no_success() {
        let root = tempfile::tempdir().unwrap();
        let found = find(&targets(&[&root.path().join("none")])).unwrap();
        assert!(found.items[0].content.as_ref().unwrap_err().to_string().contains("none"));
        assert!(find(&targets(&[root.path()])).unwrap_err().to_string().contains("no file to scan"));
        fs::write(root.path().join("a"), "a").unwrap();
        fs::write(root.path().join("b"), "b").unwrap();
        assert!(find(&Targets { name: Some("x".into()), ..targets(&[root.path()]) }).is_err());
    }
}
