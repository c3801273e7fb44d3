//! HTTP/2 in the mouth of a scripted server: it knows frames and nothing else, so that it can say what no server would.

use std::io;

use aquests::protocols::http2::hpack::Decoder;

use super::frames::*;
use super::peer::Conn;

/// The server's side of a connection, which knows frames and nothing else.
pub(crate) struct Speaker<'a> {
    pub(crate) conn: &'a mut Conn,
    decoder: Decoder,
}

impl<'a> Speaker<'a> {
    /// Reads how a client begins, and says nothing.
    pub(crate) fn listen(conn: &'a mut Conn) -> io::Result<Self> {
        assert_eq!(conn.take(PREFACE.len())?, PREFACE);
        Ok(Self { conn, decoder: Decoder::new(4096) })
    }

    /// The same, and SETTINGS.
    pub(crate) fn greet(conn: &'a mut Conn, told: &[(u16, u32)]) -> io::Result<Self> {
        let speaker = Self::listen(conn)?;
        speaker.conn.send(settings(told))?;
        Ok(speaker)
    }

    pub(crate) fn send(&mut self, frames: impl AsRef<[u8]>) -> io::Result<()> {
        self.conn.send(frames)
    }

    /// The next frame, whole, as a line.
    pub(crate) fn frame(&mut self) -> io::Result<(u8, u32, String)> {
        let mut frame = self.conn.take(9)?;
        let length = frame[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (kind, stream) = (frame[3], u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]));
        frame.extend(self.conn.take(length)?);
        Ok((kind, stream, said_after(&mut self.decoder, &frame).pop().expect("a frame is a line")))
    }

    /// The next request, passing over everything else: its stream and its path.
    pub(crate) fn request(&mut self) -> io::Result<(u32, String)> {
        loop {
            let (kind, stream, line) = self.frame()?;
            if kind == HEADERS {
                let path = line.split(" | :path: ").nth(1).and_then(|rest| rest.split(" | ").next());
                return Ok((stream, path.expect("a request has a path").to_owned()));
            }
        }
    }

    /// Answers with a path.
    pub(crate) fn answer(&mut self, stream: u32, path: &str) -> io::Result<()> {
        self.send([head(stream), data(stream, END_STREAM, path)].concat())
    }

    /// Answers whatever is asked, as long as anything is.
    pub(crate) fn echo(&mut self) -> io::Result<()> {
        loop {
            let (stream, path) = self.request()?;
            self.answer(stream, &path)?;
        }
    }

    /// Answers GETs, and leaves everything else unanswered.
    pub(crate) fn echo_gets(&mut self) -> io::Result<()> {
        loop {
            let (kind, stream, line) = self.frame()?;
            if kind == HEADERS && line.contains(":method: GET") {
                self.answer(stream, "/get")?;
            }
        }
    }

    /// Why the client leaves.
    pub(crate) fn goodbye(&mut self) -> io::Result<String> {
        loop {
            if let (GOAWAY, _, line) = self.frame()? {
                return Ok(line);
            }
        }
    }
}
