//! Bodies that must come at a pace, and connections that must be read.
//!
//! What always holds: time counts against a client only while the server waits for it. Who pauses longer than [`CREDIT`], or
//! stays below [`RATE`] for as long, is cut off.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use portcullis_core::http::body::CutOff;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

/// Slowest rate that a body may have for long, in bytes per second.
const RATE: u64 = 4 * 1024;
/// Longest time that the server waits for bytes without getting any; also what a fast client may lag behind later.
const CREDIT: Duration = Duration::from_secs(60);
/// Longest time that the server waits for a client to take bytes.
const UNREAD: Duration = Duration::from_secs(60);
/// How long a client may go on sending what nobody wants, so that it sees the answer before the connection ends.
const LINGER: Duration = Duration::from_secs(5);

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("the body comes too slowly")]
struct TooSlow;

/// A request's body, watched.
pub(super) struct Paced {
    body: Body,
    most: Duration,
    credit: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Paced {
    /// `cut`: true ends it.
    pub(super) fn new(body: Body, cut: watch::Receiver<bool>) -> Self {
        Self::with_credit(body, CREDIT, cut)
    }

    fn with_credit(body: Body, most: Duration, mut cut: watch::Receiver<bool>) -> Self {
        Self { body, most, credit: most, waiting: None, cut: Box::pin(async move { super::given(&mut cut).await }) }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some((since, _)) = this.waiting.take() {
                this.credit = this.credit.saturating_sub(since.elapsed());
            }
            let length = next.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len) as u64;
            this.credit = (this.credit + Duration::from_millis(length.saturating_mul(1000) / RATE)).min(this.most);
            return Poll::Ready(next.map(|frame| frame.map_err(Into::into)));
        }
        if this.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(CutOff.into())));
        }
        let credit = this.credit;
        let (_, timer) = this.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + credit)))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose other side must take what is sent, and that ends so that the last answer arrives.
pub(super) struct Attended<S> {
    stream: S,
    patience: Duration,
    unread: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Attended<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, patience: UNREAD, unread: None, linger: None }
    }

    fn sent(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if sent.is_ready() {
            self.unread = None;
            return sent;
        }
        let patience = self.patience;
        ready!(self.unread.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Attended<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Attended<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(cx, sent)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.sent(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Closing a socket that has unread bytes resets the connection, and the client never sees why it was refused.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        let mut scratch = [0_u8; 8192];
        while linger.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A body of `count` pieces of `size` bytes, each so long after the one before; then silence.
    async fn arrives(credit: u64, count: usize, size: usize, pause: u64) -> String {
        let pieces = futures::stream::unfold(0, move |sent| async move {
            tokio::time::sleep(Duration::from_millis(if sent < count { pause } else { 60_000 })).await;
            Some((Ok::<_, io::Error>(Bytes::from(vec![0; size])), sent + 1))
        });
        let (_never, cut) = watch::channel(false);
        let mut body = Paced::with_credit(Body::from_stream(pieces), Duration::from_millis(credit), cut);
        let mut got = 0;
        loop {
            match body.frame().await.unwrap() {
                Ok(_) if got + 1 == count => return "all".to_owned(),
                Ok(_) => got += 1,
                Err(error) => return error.to_string(),
            }
        }
    }

    #[tokio::test]
    async fn a_body_must_come_at_a_pace() {
        let slow = TooSlow.to_string();
        assert_eq!(arrives(100, 1, 1, 10_000).await, slow);
        // A byte now and then does not help.
        assert_eq!(arrives(100, 1000, 1, 20).await, slow);
        // What was waited for is earned again: 100 times 10 ms are longer than the credit, 4 KiB are worth a second.
        assert_eq!(arrives(900, 100, 4096, 10).await, "all");
    }

    #[tokio::test]
    async fn a_body_is_cut_off_when_the_server_stops() {
        let (stop, cut) = watch::channel(false);
        let body = Paced::new(Body::from_stream(futures::stream::pending::<Result<Bytes, io::Error>>()), cut);
        let read = tokio::spawn(body.collect());
        stop.send(true).unwrap();
        assert!(read.await.unwrap().unwrap_err().is::<CutOff>());
    }

    #[tokio::test]
    async fn who_takes_nothing_is_left() {
        let (_client, server) = tokio::io::duplex(16);
        let mut server = Attended { patience: Duration::from_millis(50), ..Attended::new(server) };
        assert_eq!(server.write_all(&[0; 17]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_end_takes_what_is_still_sent() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Attended::new(server);
        let closing = tokio::spawn(async move { server.shutdown().await });
        client.write_all(&[0; 1000]).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "it ended all the same");
        drop(client);
        closing.await.unwrap().unwrap();
    }
}
