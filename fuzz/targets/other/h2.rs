//! The framing of the `h2` crate, fed by hand. It reads from memory and is asked only when something is there, so that
//! nothing of it ever waits.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use h2::Codec;
use h2::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Other(Codec<Memory, Bytes>);

#[derive(Default)]
struct Memory(VecDeque<u8>);

impl Other {
    pub fn new() -> Self {
        Self(Codec::new(Memory::default()))
    }

    /// The next frame in what it was given. `None`: it wants more, for there is none that it does not pass over.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Result<Frame, h2::Error>> {
        self.0.get_mut().0.extend(bytes);
        match Pin::new(&mut self.0).poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Into::into)),
            Poll::Pending => None,
        }
    }

    /// What was told as SETTINGS_MAX_FRAME_SIZE.
    #[allow(dead_code)] // Each target uses a part.
    pub fn set_frame(&mut self, bytes: u32) {
        self.0.set_max_recv_frame_size(bytes as usize);
    }

    /// What was told as SETTINGS_HEADER_TABLE_SIZE.
    #[allow(dead_code)]
    pub fn set_table(&mut self, bytes: u32) {
        self.0.set_recv_header_table_size(bytes as usize);
    }
}

impl AsyncRead for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        let count = to.remaining().min(self.0.len());
        to.put_slice(&self.0.drain(..count).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
