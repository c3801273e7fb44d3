//! Messages on the way in: field blocks, in one frame or several, and DATA, which is passed on as it comes. What is
//! wrong with one message ends its stream; what is wrong with the tables of compression ends the connection.

use super::Violation;
use super::code::Code;
use super::connection::{Connection, Reading, Role, Step};
use super::flow::{Granted, Room};
use super::frame::{self, HEAD, Head};
use super::section::Expected;
use super::streams::{Incoming, Outgoing, Stream, UNKNOWN};
use crate::{Error, ExchangeId, Limit};

/// A field block of which frames are missing. The one thing that must be kept until more comes.
#[derive(Default)]
pub(super) struct Block {
    /// 0: there is none.
    stream: u32,
    ends_stream: bool,
    continuations: u16,
    bytes: Vec<u8>,
}

/// A DATA frame that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: u32,
    left: u32,
    padding: u32,
    last: bool,
}

/// Whom a field block concerns.
#[derive(Clone, Copy)]
enum Whose {
    Stream(usize),
    /// A request.
    New,
    /// A stream that has ended, or that we do not act on.
    Nobody,
}

impl Block {
    pub(super) fn is_open(&self) -> bool {
        self.stream != 0
    }

    /// Whether a frame may come now.
    pub(super) fn accepts(&self, stream: u32) -> bool {
        self.stream == 0 || self.stream == stream
    }
}

impl Connection {
    /// RFC 9113 §6.2
    pub(super) fn receive_headers(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let fragment = frame::headers::read(head, payload)?;
        let whose = self.whose(head.stream)?;
        if head.ends_headers() {
            return self.receive_block(whose, head.stream, head.ends_stream(), fragment, out);
        }
        self.block.stream = head.stream;
        self.block.ends_stream = head.ends_stream();
        self.block.continuations = 0;
        self.gather(fragment)?;
        Ok(Step::Progress)
    }

    /// §6.10
    pub(super) fn receive_continuation(&mut self, head: Head, part: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let most = self.ours.limits.continuations;
        if self.block.continuations >= most {
            return Err(Error::TooLarge(Limit { what: "CONTINUATION frames", value: most.into() }));
        }
        self.block.continuations += 1;
        self.gather(part)?;
        if !head.ends_headers() {
            return Ok(Step::Progress);
        }
        let Block { stream, ends_stream, bytes, .. } = core::mem::take(&mut self.block);
        let whose = self.whose(stream)?;
        self.receive_block(whose, stream, ends_stream, &bytes, out)
    }

    fn gather(&mut self, part: &[u8]) -> Result<(), Error> {
        let most = self.ours.limits.block();
        if self.block.bytes.len() + part.len() > most {
            return Err(Error::TooLarge(Limit { what: "header block bytes", value: most as u64 }));
        }
        self.block.bytes.extend_from_slice(part);
        Ok(())
    }

    #[inline]
    fn whose(&self, number: u32) -> Result<Whose, Error> {
        if let Some(at) = self.streams.find(number) {
            return Ok(Whose::Stream(at));
        }
        if self.role == Role::Server {
            if number.is_multiple_of(2) {
                return Err(Violation::StreamId.into());
            }
            if number > self.number {
                return Ok(if self.ending.said.is_some() { Whose::Nobody } else { Whose::New });
            }
            // §5.1.1: numbers go up, and those that were passed over are gone.
            let behind = (self.number - number) / 2;
            if self.opened.checked_shr(behind).is_some_and(|opened| opened & 1 == 0) {
                return Err(Violation::StreamId.into());
            }
        }
        self.find(number)?;
        // Where we have reset none, the peer has ended it and knows that (§5.1, closed).
        if self.resets.any || self.ending.said.is_some() {
            Ok(Whose::Nobody)
        } else {
            Err(Violation::StreamClosed.into())
        }
    }

    /// A whole field block. It is decoded whomever it concerns: the tables must stay the same on both sides (§4.3).
    fn receive_block(
        &mut self,
        whose: Whose,
        number: u32,
        last: bool,
        block: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        let expected = match whose {
            Whose::New => Expected::Request,
            Whose::Stream(at) => match self.streams[at].incoming {
                Incoming::Head => Expected::Response,
                Incoming::Body => Expected::Trailers,
                Incoming::Done => Expected::Nothing,
            },
            Whose::Nobody => Expected::Nothing,
        };
        let judged = self.fields(block, expected)?;
        let at = match whose {
            Whose::New => return self.receive_request(number, last, judged, out),
            Whose::Stream(at) => at,
            Whose::Nobody => {
                self.spend("frames on closed streams")?;
                if !last && number > self.number {
                    self.resets.bytes += u64::from(self.first_window());
                }
                return Ok(Step::Progress);
            }
        };
        let received = match expected {
            Expected::Response => judged.and_then(|()| self.receive_response(at, last, out)),
            Expected::Trailers => judged.and_then(|()| self.receive_trailers(at, last, out)),
            // §5.1, half-closed (remote).
            _ => Err(Violation::StreamClosed.into()),
        };
        match received {
            Ok(step) => Ok(step),
            Err(error) => self.fail_stream(at, error, out),
        }
    }

    /// Reads a whole block into the section. The outer error is the connection's, the inner one the message's.
    #[inline]
    fn fields(&mut self, block: &[u8], expected: Expected) -> Result<Result<(), Error>, Error> {
        if self.section.is(expected) && self.decoder.repeats(block) {
            return Ok(Ok(()));
        }
        self.decode(block, expected)
    }

    fn decode(&mut self, block: &[u8], expected: Expected) -> Result<Result<(), Error>, Error> {
        self.decoder.settle(self.section.fields().block());
        self.section.begin(expected);
        self.decoder.decode_into(block, &mut self.section).map_err(Violation::Compression)?;
        let judged = self.section.judge();
        if judged.is_err() || self.section.is_rearranged() {
            self.decoder.forget();
        }
        Ok(judged)
    }

    /// §8.1: any number of interim responses, and one that is none. An error is the stream's.
    fn receive_response(&mut self, at: usize, last: bool, out: &mut Vec<u8>) -> Result<Step, Error> {
        let (status, length, most) = (self.section.status(), self.section.length(), self.ours.limits.interim);
        let stream = &mut self.streams[at];
        let id = stream.exchange;
        if status < 200 {
            // §8.6: nothing is switched in HTTP/2.
            if last || status == 101 {
                return Err(Violation::Interim.into());
            }
            if stream.interim >= most {
                return Err(Error::TooLarge(Limit { what: "interim responses", value: most.into() }));
            }
            stream.interim += 1;
            return Ok(Step::Interim(id));
        }
        stream.tunnel &= (200..300).contains(&status);
        stream.in_left = if stream.tunnel {
            UNKNOWN
        } else if stream.bodiless || matches!(status, 204 | 304) {
            0
        } else {
            length
        };
        stream.incoming = Incoming::Body;
        if last {
            if !matches!(stream.in_left, 0 | UNKNOWN) {
                return Err(Violation::ContentLength.into());
            }
            self.ended(at, out);
        }
        Ok(Step::Head { id, done: last })
    }

    /// §8.1
    fn receive_trailers(&mut self, at: usize, last: bool, out: &mut Vec<u8>) -> Result<Step, Error> {
        let stream = &self.streams[at];
        if !last || stream.tunnel {
            return Err(Violation::Trailers.into());
        }
        if !matches!(stream.in_left, 0 | UNKNOWN) {
            return Err(Violation::ContentLength.into());
        }
        let id = stream.exchange;
        self.ended(at, out);
        Ok(Step::Trailers(id))
    }

    /// A stream is opened by the client.
    fn receive_request(
        &mut self,
        number: u32,
        last: bool,
        judged: Result<(), Error>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        let leap = if self.number == 0 { u64::BITS } else { (number - self.number) / 2 };
        self.opened = self.opened.checked_shl(leap).unwrap_or_default() | 1;
        self.number = number;
        let length = if self.section.is_connect() { UNKNOWN } else { self.section.length() };
        let whole = !last || matches!(length, 0 | UNKNOWN);
        let code = match judged {
            // §5.1.2
            _ if self.streams.len() >= self.ours.streams as usize => Code::REFUSED_STREAM,
            Ok(()) if !whole => Code::of(Violation::ContentLength.into()),
            Ok(()) => return Ok(self.open(number, last, length)),
            Err(Error::TooLarge(_)) => {
                // RFC 6585 §5
                let start = frame::headers::begin(out);
                self.heads.status(431, out);
                frame::headers::finish(start, number, true, self.peer.frame, out);
                Code::NO_ERROR
            }
            Err(error) => Code::of(error),
        };
        if !last || code != Code::NO_ERROR {
            frame::rst_stream::write(number, code, out);
            self.resets.any = true;
        }
        if !last {
            self.resets.bytes += u64::from(self.first_window());
        }
        self.spend("streams in error")?;
        Ok(Step::Progress)
    }

    fn open(&mut self, number: u32, last: bool, length: u64) -> Step {
        let id = ExchangeId(self.exchanges);
        self.exchanges += 1;
        self.unanswered += 1;
        let mut stream = Stream::new(number, id, Room::new(self.peer.window), Granted::new(self.first_window()));
        stream.incoming = if last { Incoming::Done } else { Incoming::Body };
        stream.outgoing = Outgoing::Head;
        stream.bodiless = self.section.method() == "HEAD";
        stream.tunnel = self.section.is_connect();
        stream.in_left = if last { UNKNOWN } else { length };
        self.streams.open(stream);
        Step::Head { id, done: last }
    }

    /// §6.1: the head of a DATA frame, and as much of the data as is there.
    pub(super) fn begin_data(&mut self, head: Head, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Step), Error> {
        let first = bytes.get(HEAD).copied();
        let padded = u32::from(head.is_padded());
        if padded > head.length {
            return Err(Violation::FrameSize.into());
        }
        if head.is_padded() && first.is_none() {
            return Ok((0, Step::Need(HEAD + 1)));
        }
        let padding = frame::data::padding(head, first)?;
        let used = HEAD + padded as usize;
        // Whatever becomes of it, it counts on the connection's window, which is granted again at once: no stream that is
        // held may stall the others (§5.2.2, §6.9).
        if !self.granted.take(head.length) {
            return Err(Violation::FlowControl.into());
        }
        if let Some(more) = self.granted.refill(self.ours.connection_window) {
            frame::window_update::write(0, more, out);
        }
        let data = Data {
            stream: head.stream,
            left: head.length - padding,
            padding: padding - padded,
            last: head.ends_stream(),
        };
        let Some(at) = self.find(head.stream)? else {
            self.receive_late_data(head.length)?;
            return Ok(self.skip(head.length - padded, bytes, used));
        };
        if let Err(error) = self.admit(at, head.length, data) {
            let step = self.fail_stream(at, error, out)?;
            let (used, _) = self.skip(head.length - padded, bytes, used);
            return Ok((used, step));
        }
        if data.left == 0 && !data.last {
            self.spend("empty DATA frames")?;
            return Ok(self.skip(data.padding, bytes, used));
        }
        self.credit.carried(head.length);
        self.growth.came(head.stream, head.length);
        if !data.last && !self.streams[at].held {
            self.grant(at, out);
        }
        self.read_data(data, Some(at), bytes, used, out)
    }

    /// Whether a stream takes a DATA frame. An error is the stream's.
    fn admit(&mut self, at: usize, length: u32, data: Data) -> Result<(), Error> {
        let stream = &mut self.streams[at];
        match stream.incoming {
            Incoming::Body => {}
            // §8.1: a message begins with its head.
            Incoming::Head => return Err(Violation::PseudoField.into()),
            Incoming::Done => return Err(Violation::StreamClosed.into()),
        }
        if !stream.granted.take(length) {
            return Err(Violation::FlowControl.into());
        }
        if stream.in_left != UNKNOWN {
            let left = stream.in_left.checked_sub(data.left.into());
            // §8.1.1
            stream.in_left = left.filter(|left| *left == 0 || !data.last).ok_or(Violation::ContentLength)?;
        }
        Ok(())
    }

    /// DATA on a stream that has ended. What was on its way when we reset it is no fault.
    fn receive_late_data(&mut self, length: u32) -> Result<(), Error> {
        match self.resets.bytes.checked_sub(length.into()) {
            Some(left) if self.resets.any || self.ending.said.is_some() => self.resets.bytes = left,
            _ => return Err(Violation::StreamClosed.into()),
        }
        if length == 0 { self.spend("frames on closed streams") } else { Ok(()) }
    }

    /// More of a DATA frame, for the stream at a place, of which `at` bytes of `bytes` are read.
    #[inline]
    pub(super) fn read_data(
        &mut self,
        mut data: Data,
        found: Option<usize>,
        bytes: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Step), Error> {
        let there = (data.left as usize).min(bytes.len() - at);
        if there == 0 && data.left > 0 {
            self.reading = Reading::Data(data);
            return Ok((at, Step::Need(1)));
        }
        let (from, to) = (at, at + there);
        data.left -= there as u32;
        let whole = data.left == 0;
        self.reading = match (whole, data.padding) {
            (false, _) => Reading::Data(data),
            (true, 0) => Reading::Frame,
            (true, padding) => Reading::Skip(padding),
        };
        // It may have been cancelled meanwhile.
        let Some(found) = found else { return Ok((to, Step::Progress)) };
        let id = self.streams[found].exchange;
        let done = whole && data.last;
        if done {
            self.ended(found, out);
        }
        Ok((to, Step::Data { id, from, to, done }))
    }

    /// The message of the peer is whole.
    fn ended(&mut self, at: usize, out: &mut Vec<u8>) {
        let stream = &mut self.streams[at];
        stream.incoming = Incoming::Done;
        if self.role == Role::Server {
            return;
        }
        if stream.outgoing != Outgoing::Done {
            match stream.tunnel {
                true => frame::data::write(stream.number, b"", true, out),
                // The answer came before the request was whole: nobody needs the rest of it.
                false => frame::rst_stream::write(stream.number, Code::CANCEL, out),
            }
        }
        self.credit.earn(1);
        self.forget(at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % most
        }

        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.below(of.len())]
        }

        /// A block of a request, good or bad, in any representation.
        fn block(&mut self) -> Vec<u8> {
            let mut block = if self.below(20) == 0 { vec![0x3f, self.below(128) as u8, 0x82] } else { vec![0x82] };
            block.extend(if self.below(20) == 0 { &b"\x86"[..] } else { b"\x86\x84" });
            for _ in 0..self.below(6) {
                match self.below(4) {
                    0 => block.push(0x80 | [32, 62, 62, 63, 64, 65][self.below(6)]),
                    kind => {
                        let name =
                            self.pick(&["a", "b", "cookie", "host", "x-long", ":authority", "Bad", "content-length"]);
                        let value = self.pick(&["1", "2", "h", "c=3", "something that is longer than the others"]);
                        let first = if kind == 1 { 0x00 } else { 0x40 };
                        block.extend([&[first, name.len() as u8], name.as_bytes()].concat());
                        block.extend([&[value.len() as u8], value.as_bytes()].concat());
                    }
                }
            }
            block
        }
    }

    /// A block that comes again is not decoded; nobody can tell.
    #[test]
    fn knowing_a_block_is_as_good_as_decoding_it() {
        let mut known = 0;
        for seed in 1..=3_000u64 {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1));
            let mut machines = [(); 2].map(|()| Connection::new(Role::Server, Settings::default()));
            let mut block = dice.block();
            for _ in 0..40 {
                if dice.below(3) == 0 {
                    block = dice.block();
                }
                let seen = machines.each_mut().map(|machine| {
                    let judged = machine.fields(&block, Expected::Request);
                    (judged, machine.section.fields().block().to_vec(), machine.section.length())
                });
                assert_eq!(seen[0], seen[1], "seed {seed}, {}", block.escape_ascii());
                if seen[0].0.is_err() {
                    break;
                }
                known += usize::from(machines[0].decoder.knows(&block));
                // The second one forgets, once it has made up for what it knew.
                let lines = machines[1].section.fields().block().to_vec();
                machines[1].decoder.settle(&lines);
                machines[1].decoder.forget();
            }
        }
        assert!(known > 10_000, "{known}");
    }
}
