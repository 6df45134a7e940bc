//! Bytes to analyse: in memory when small, mapped when large. The one place of the crate with `unsafe`.
//!
//! What always holds: a mapping is read-only, and files this crate creates have no name in any directory.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use memmap2::Mmap;

/// Contents up to this many bytes stay in memory; larger ones go to an unnamed file.
pub(crate) const IN_MEMORY_BYTES: usize = 1024 * 1024;

/// A whole content.
pub(crate) enum Content {
    /// In memory.
    Memory(Vec<u8>),
    /// Mapped from a file.
    Mapped(Mmap),
}

impl Content {
    /// Opens and maps a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is not a regular file", path.display())));
        }
        Self::map(&file)
    }

    fn map(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::Memory(Vec::new()));
        }
        // SAFETY: the mapping is private to this analysis and read-only. The file is either unnamed and
        // ours, or the job's, which by contract does not change while the job runs. Should somebody
        // truncate it all the same, the process gets SIGBUS: a worker dies and its job is reported as
        // such; bytes that change under the scanners can not make them read outside the mapping.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(file)? };
        Ok(Self::Mapped(map))
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Collects a content of unknown size: in memory first, in an unnamed file once it grows.
pub(crate) struct Spool<'a> {
    scratch: &'a Path,
    memory: Vec<u8>,
    file: Option<File>,
}

impl<'a> Spool<'a> {
    /// An empty spool that spills into `scratch`.
    pub(crate) fn new(scratch: &'a Path) -> Self {
        Self { scratch, memory: Vec::new(), file: None }
    }

    /// The content, once everything is written.
    pub(crate) fn finish(self) -> io::Result<Content> {
        match self.file {
            Some(file) => Content::map(&file),
            None => Ok(Content::Memory(self.memory)),
        }
    }
}

impl Write for Spool<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            return file.write(bytes);
        }
        if self.memory.len() + bytes.len() > IN_MEMORY_BYTES {
            let mut file = tempfile::tempfile_in(self.scratch)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            file.write_all(bytes)?;
            self.file = Some(file);
        } else {
            self.memory.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_contents_leave_memory_and_no_name() {
        let scratch = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(scratch.path());
        let bytes = vec![7_u8; IN_MEMORY_BYTES / 2 + 1];
        spool.write_all(&bytes).unwrap();
        spool.write_all(&bytes).unwrap();
        let content = spool.finish().unwrap();
        assert!(matches!(content, Content::Mapped(_)));
        assert_eq!(content.as_ref().len(), 2 * bytes.len());
        assert!(content.as_ref().iter().all(|b| *b == 7));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn empty_files_and_directories() {
        let scratch = tempfile::tempdir().unwrap();
        let empty = scratch.path().join("empty");
        File::create(&empty).unwrap();
        assert!(Content::open(&empty).unwrap().as_ref().is_empty());
        assert!(Content::open(scratch.path()).is_err());
    }
}
