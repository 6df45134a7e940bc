//! The stored key: one file, readable by its owner only, bound to one server. A key never goes to another one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What `login` keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Base URL that the key is for.
    pub(crate) url: String,
    /// The key, or the id of the session.
    pub(crate) apikey: String,
    /// Whether it is a session that `logout` ends on the server.
    pub(crate) session: bool,
}

/// `$XDG_CONFIG_HOME/portcullis/session.json`, or the same below `~/.config`.
pub(crate) fn path() -> Result<PathBuf, Error> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let config = config.ok_or_else(|| Error::Said("Neither `XDG_CONFIG_HOME` nor `HOME` names a folder for the key.".into()))?;
    Ok(config.join("portcullis").join("session.json"))
}

/// What was kept, if anything was.
pub(crate) fn load() -> Result<Option<Session>, Error> {
    path().map_or(Ok(None), |path| read(&path))
}

fn read(path: &Path) -> Result<Option<Session>, Error> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, &error)),
    };
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::Said(format!("`{}` can be read by others: run `chmod 600` on it, or `portcullis logout`.", path.display())));
    }
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    serde_json::from_str(&text).map(Some).map_err(|_| Error::Said(format!("`{}` is damaged: run `portcullis login` again.", path.display())))
}

/// Keeps it. The file never exists with other rights than its owner's.
pub(crate) fn store(path: &Path, session: &Session) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::io(path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let new = folder.join(format!(".session-{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let text = serde_json::to_string(session).map_err(|error| failed(error.into()))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&new);
        failed(error)
    })
}

/// Forgets it; whether there was one.
pub(crate) fn forget(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_for_its_owner_only_and_one_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcullis").join("session.json");
        let session = Session { url: "http://a".into(), apikey: "k".into(), session: true };
        assert_eq!(read(&path).unwrap(), None);
        store(&path, &session).unwrap();
        store(&path, &session).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(read(&path).unwrap(), Some(session));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("can be read by others"));
        assert!(forget(&path).unwrap() && !forget(&path).unwrap());
    }
}
