//! Frames between parent and worker: a length (32 bits, little endian), then JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest frame, in bytes: a report about a million entries has some hundred megabytes.
const MAX_BYTES: usize = 2 * 1024 * 1024 * 1024;

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the frame is too long")
}

/// A frame, ready to be written.
pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_BYTES {
        return Err(too_long());
    }
    let prefix = u32::try_from(length).map_err(|_| too_long())?.to_le_bytes();
    for (to, from) in frame.iter_mut().zip(prefix) {
        *to = from;
    }
    Ok(frame)
}

/// Writes one frame.
pub(super) fn write<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)?;
    to.flush()
}

/// Reads one frame; `None` when the other side has closed between frames.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match from.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = Vec::new();
    let length = u32::from_le_bytes(prefix);
    from.take(u64::from(length)).read_to_end(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Reads one frame; the end of the stream is an error.
pub(super) async fn read_async<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = from.read_u32_le().await? as usize;
    if length > MAX_BYTES {
        return Err(too_long());
    }
    let mut body = Vec::new();
    if from.take(length as u64).read_to_end(&mut body).await? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_on_either_side() {
        let mut bytes = Vec::new();
        write(&mut bytes, &vec!["a", "b"]).unwrap();
        write(&mut bytes, &Vec::<String>::new()).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read::<Vec<String>>(&mut from).unwrap().unwrap(), ["a", "b"]);
        assert_eq!(read_async::<Vec<String>>(&mut from).await.unwrap(), Vec::<String>::new());
        assert!(read::<Vec<String>>(&mut from).unwrap().is_none());
        assert!(read_async::<Vec<String>>(&mut &bytes[..6]).await.is_err());
    }
}
