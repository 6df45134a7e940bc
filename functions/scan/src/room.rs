//! A folder of one's own among those of other processes: several may share the scratch folder, and each has definitions of its
//! own, at its own time.
//!
//! Who lives in a room holds a lock on its file `lock`; the kernel lets go of it when the process ends, however it ends. What
//! always holds: a room is removed only when nobody lives there; rooms are made, and removed, by one process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

const LOCK: &str = "lock";

/// A room. It stays when this is dropped, for workers may still read there; who makes the next one removes it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    house: PathBuf,
    folder: PathBuf,
    held: Arc<Mutex<Option<File>>>,
}

impl Room {
    /// In a house; nothing is there yet.
    pub(crate) fn new(house: PathBuf) -> Self {
        Self { folder: house.join(format!("process-{}", Uuid::new_v4().simple())), house, held: Arc::default() }
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it, if it was not made yet, and removes what others left behind.
    pub(crate) async fn enter(&self) -> io::Result<()> {
        let room = self.clone();
        tokio::task::spawn_blocking(move || room.enter_blocking()).await.map_err(io::Error::other)?
    }

    fn enter_blocking(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.house)?;
        // A room that is being made has no lock yet, and would look left.
        let door = File::create(self.house.join(LOCK))?;
        door.lock()?;
        for entry in std::fs::read_dir(&self.house)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() && is_left(&path)? {
                // What can not be removed costs room, and nothing else.
                if let Err(error) = std::fs::remove_dir_all(&path) {
                    tracing::warn!(path = %path.display(), %error, "definitions of a process that is gone stay");
                }
            }
        }
        std::fs::create_dir_all(&self.folder)?;
        let file = File::create(self.folder.join(LOCK))?;
        file.lock()?;
        *held = Some(file);
        Ok(())
    }
}

fn is_left(room: &Path) -> io::Result<bool> {
    match File::open(room.join(LOCK)) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_enters_removes_what_nobody_lives_in() {
        let house = tempfile::tempdir().unwrap();
        // As an earlier version left it: no room has a lock there.
        std::fs::create_dir_all(house.path().join("set-old/yara")).unwrap();
        let (first, second) = (Room::new(house.path().to_owned()), Room::new(house.path().to_owned()));
        first.enter().await.unwrap();
        std::fs::create_dir_all(first.folder().join("set-1/yara")).unwrap();
        second.enter().await.unwrap();
        second.enter().await.unwrap();
        assert!(first.folder().join("set-1/yara").is_dir() && second.folder().is_dir(), "both live");
        assert!(!house.path().join("set-old").exists());
        let left = first.folder().to_owned();
        drop(first);
        assert!(left.is_dir(), "its workers may still read");
        Room::new(house.path().to_owned()).enter().await.unwrap();
        assert!(!left.exists() && second.folder().is_dir());
    }

    #[tokio::test]
    async fn rooms_that_are_made_side_by_side_all_stay() {
        let house = tempfile::tempdir().unwrap();
        let rooms: Vec<_> = (0..16).map(|_| Room::new(house.path().to_owned())).collect();
        futures::future::try_join_all(rooms.iter().map(Room::enter)).await.unwrap();
        assert!(rooms.iter().all(|room| room.folder().join(LOCK).is_file()));
    }

    /// Not in this process: it opens the lock with the others of its own.
    #[tokio::test]
    async fn a_room_of_a_process_that_was_killed_is_left() {
        let house = tempfile::tempdir().unwrap();
        let room = house.path().join("process-killed");
        std::fs::create_dir_all(&room).unwrap();
        let script = "exec 9>\"$0/lock\" && flock 9 && echo locked && exec sleep 60 >/dev/null";
        let mut process = tokio::process::Command::new("sh").args(["-c", script]).arg(&room).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = tokio::io::BufReader::new(process.stdout.take().unwrap());
        tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut said).await.unwrap();
        assert_eq!(said, "locked\n");
        Room::new(house.path().to_owned()).enter().await.unwrap();
        assert!(room.is_dir(), "it lives");
        process.kill().await.unwrap();
        Room::new(house.path().to_owned()).enter().await.unwrap();
        assert!(!room.exists());
    }
}
