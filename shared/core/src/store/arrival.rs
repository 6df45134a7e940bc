//! Bodies on their way into S3, of any length, with bounded memory.
//!
//! What always holds: nothing is an object before its whole body arrived with a length that is permitted, and
//! [`Arrival::publish`] was called; what ends otherwise leaves nothing behind. Pieces are held while they are sent, so what
//! fails for a moment is sent again, and a client that pauses keeps no connection to S3 waiting.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

use super::multipart::{Draft, MAX_PIECES, PIECE, Piece};
use super::objects::Objects;
use super::{Source, StoreError};

/// How long a body may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As announced; anything else is an error.
    Exactly(u64),
    /// Not announced; what is longer is [`ArrivalError::TooLarge`].
    AtMost(u64),
}

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// The client broke off, was too slow, or is cut off.
    #[error("the body can not be read")]
    Body(#[source] Source),
    /// It has not the announced length.
    #[error("the body has not the announced length")]
    Length,
    /// It is longer than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It has no bytes.
    #[error("the body is empty")]
    Empty,
    /// S3 refuses or fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A body that arrived whole and is no object yet.
#[derive(Debug)]
#[must_use = "it is published or discarded"]
pub struct Arrival {
    objects: Objects,
    bucket: String,
    key: String,
    size: u64,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Memory(Bytes),
    Pieces(Draft, Vec<Piece>),
}

impl Objects {
    /// Takes a body in: a small one into memory, a larger one in pieces into S3. At most two pieces ([`PIECE`]) are held.
    ///
    /// # Errors
    /// See [`ArrivalError`]; nothing is left behind.
    pub async fn receive<S, E>(&self, bucket: &str, key: &str, body: S, length: Length) -> Result<Arrival, ArrivalError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Source>,
    {
        let mut reader = Reader { body: Box::pin(body), rest: Bytes::new(), length, taken: 0 };
        let first = reader.piece().await?;
        let held = if first.len() < PIECE {
            Held::Memory(first)
        } else {
            let draft = self.draft(bucket, key).await?;
            match send(&draft, &mut reader, first).await {
                Ok(pieces) => Held::Pieces(draft, pieces),
                Err(error) => {
                    draft.abort().await;
                    return Err(error);
                }
            }
        };
        Ok(Arrival { objects: self.clone(), bucket: bucket.to_owned(), key: key.to_owned(), size: reader.taken, held })
    }
}

impl Arrival {
    /// Bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Makes it an object.
    ///
    /// # Errors
    /// When S3 refuses or fails; then there is no object, as far as can be told.
    pub async fn publish(self) -> Result<(), StoreError> {
        match self.held {
            Held::Memory(bytes) => self.objects.put(&self.bucket, &self.key, self.size, bytes.into()).await,
            Held::Pieces(draft, pieces) => {
                let done = draft.complete(pieces).await;
                if done.is_err() {
                    draft.abort().await;
                }
                done
            }
        }
    }

    /// Leaves nothing of it.
    pub async fn discard(self) {
        if let Held::Pieces(draft, _) = self.held {
            draft.abort().await;
        }
    }
}

/// Sends one piece while the next one arrives.
async fn send<E: Into<Source>>(draft: &Draft, reader: &mut Reader<'_, E>, first: Bytes) -> Result<Vec<Piece>, ArrivalError> {
    let (mut pieces, mut piece) = (Vec::new(), first);
    for number in 1.. {
        let (sent, next) = futures::future::join(draft.put(number, piece), reader.piece()).await;
        piece = next?;
        pieces.push(sent?);
        if piece.is_empty() {
            break;
        }
    }
    Ok(pieces)
}

/// A body, cut into pieces.
struct Reader<'s, E> {
    body: Pin<Box<dyn Stream<Item = Result<Bytes, E>> + Send + 's>>,
    /// What arrived with the piece before.
    rest: Bytes,
    length: Length,
    taken: u64,
}

impl<E: Into<Source>> Reader<'_, E> {
    /// The next piece; less than [`PIECE`] bytes only at the end, none after it.
    async fn piece(&mut self) -> Result<Bytes, ArrivalError> {
        let most = MAX_PIECES * PIECE as u64;
        let (limit, beyond) = match self.length {
            Length::Exactly(size) if size <= most => (size, ArrivalError::Length),
            Length::Exactly(_) => return Err(ArrivalError::TooLarge),
            Length::AtMost(size) => (size.min(most), ArrivalError::TooLarge),
        };
        let expected = usize::try_from(limit - self.taken).unwrap_or(PIECE).saturating_add(self.rest.len()).min(PIECE);
        let mut piece = BytesMut::with_capacity(expected);
        while piece.len() < PIECE {
            if self.rest.is_empty() {
                let Some(arrived) = self.body.next().await else { return self.end(piece) };
                self.rest = arrived.map_err(|error| ArrivalError::Body(error.into()))?;
                self.taken += self.rest.len() as u64;
                if self.taken > limit {
                    return Err(beyond);
                }
            }
            let fits = self.rest.len().min(PIECE - piece.len());
            piece.extend_from_slice(&self.rest.split_to(fits));
        }
        Ok(piece.freeze())
    }

    fn end(&self, piece: BytesMut) -> Result<Bytes, ArrivalError> {
        match self.length {
            _ if self.taken == 0 => Err(ArrivalError::Empty),
            Length::Exactly(size) if size != self.taken => Err(ArrivalError::Length),
            _ => Ok(piece.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(sizes: &[usize], length: Length) -> Reader<'static, std::io::Error> {
        let frames: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        Reader { body: Box::pin(futures::stream::iter(frames)), rest: Bytes::new(), length, taken: 0 }
    }

    async fn cut(sizes: &[usize], length: Length) -> Result<Vec<usize>, ArrivalError> {
        let (mut reader, mut pieces) = (reader(sizes, length), Vec::new());
        loop {
            let piece = reader.piece().await?;
            if piece.is_empty() {
                return Ok(pieces);
            }
            pieces.push(piece.len());
        }
    }

    #[tokio::test]
    async fn every_piece_but_the_last_is_whole_however_the_bytes_arrive() {
        for (sizes, pieces) in [
            (&[3][..], &[3][..]),
            (&[PIECE], &[PIECE]),
            (&[PIECE + 1], &[PIECE, 1]),
            (&[PIECE - 1, 0, 3, PIECE], &[PIECE, PIECE, 2]),
            (&[2 * PIECE, PIECE], &[PIECE, PIECE, PIECE]),
        ] {
            let total = sizes.iter().sum::<usize>() as u64;
            assert_eq!(cut(sizes, Length::Exactly(total)).await.unwrap(), pieces);
            assert_eq!(cut(sizes, Length::AtMost(total)).await.unwrap(), pieces);
        }
    }

    #[tokio::test]
    async fn only_a_permitted_length_arrives() {
        assert!(matches!(cut(&[3], Length::Exactly(4)).await, Err(ArrivalError::Length)));
        assert!(matches!(cut(&[3], Length::Exactly(2)).await, Err(ArrivalError::Length)));
        assert!(matches!(cut(&[PIECE, 3], Length::Exactly(PIECE as u64 + 2)).await, Err(ArrivalError::Length)));
        assert!(matches!(cut(&[3], Length::AtMost(2)).await, Err(ArrivalError::TooLarge)));
        assert!(matches!(cut(&[], Length::AtMost(2)).await, Err(ArrivalError::Empty)));
        assert!(matches!(cut(&[1], Length::Exactly(u64::MAX)).await, Err(ArrivalError::TooLarge)), "more than S3 takes in pieces");
    }
}
