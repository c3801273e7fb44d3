//! A request on its way back: its head as text, then its body as it comes, with no more of it in memory than a little.
//! Knows no socket.

use aquests::protocols::semantics::RequestHead;

/// What goes back.
#[derive(Debug)]
pub(super) struct Echo {
    /// What came and did not go yet: bytes from `gone` on.
    bytes: Vec<u8>,
    gone: usize,
    /// The length of the whole answer, where the request says that of its body.
    pub(super) length: Option<u64>,
    /// The request is whole.
    whole: bool,
    /// Nothing could be given when it was asked for.
    starved: bool,
    /// No more is taken.
    held: bool,
}

/// So much may wait before no more is taken.
const FULL: usize = 64 << 10;

/// What is to be told to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// Take no more.
    Hold,
    /// Ask again: there is more to give.
    Resume,
}

impl Echo {
    /// `whole`: no body follows.
    pub(super) fn new(head: &RequestHead<'_>, whole: bool) -> Self {
        let mut bytes = format!("{} {} {}\n", head.method, head.target, head.version).into_bytes();
        for (name, value) in head.fields.iter() {
            for part in [name.as_bytes(), b": ", value, b"\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.push(b'\n');
        let body = match head.fields.get("content-length") {
            _ if whole => Some(0),
            // In chunks, whatever else it says (RFC 9112 §6.3).
            _ if head.fields.get("transfer-encoding").is_some() => None,
            length => length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()),
        };
        let length = body.and_then(|body: u64| body.checked_add(bytes.len() as u64));
        Self { bytes, gone: 0, length, whole, starved: false, held: false }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// More of the body came; `whole`: that was all.
    pub(super) fn add(&mut self, data: &[u8], whole: bool) -> Flow {
        if self.gone == self.bytes.len() || self.gone >= FULL {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
        self.bytes.extend_from_slice(data);
        self.whole = whole;
        self.held = self.left() >= FULL && !whole;
        if std::mem::take(&mut self.starved) {
            Flow::Resume
        } else if self.held {
            Flow::Hold
        } else {
            Flow::Continue
        }
    }

    /// The next part, at most `most` bytes: `None` while there is nothing. Whether it is the last, and what to tell.
    pub(super) fn take(&mut self, most: usize) -> (Option<(&[u8], bool)>, Flow) {
        let end = self.gone + self.left().min(most);
        if end == self.gone && !self.whole {
            self.starved = true;
            let flow = if std::mem::take(&mut self.held) { Flow::Resume } else { Flow::Continue };
            return (None, flow);
        }
        let part = &self.bytes[self.gone..end];
        self.gone = end;
        (Some((part, self.whole && end == self.bytes.len())), Flow::Continue)
    }

    /// Everything, when the request is whole.
    pub(super) fn all(&self) -> Option<&[u8]> {
        self.whole.then_some(&self.bytes[self.gone..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(length: Option<u64>) -> Echo {
        Echo { bytes: Vec::new(), gone: 0, length, whole: false, starved: false, held: false }
    }

    #[test]
    fn little_waits_however_much_comes() {
        let (mut echo, mut sent, mut got) = (echo(None), 0u64, 0u64);
        let data = [7; 10_000];
        for round in 0..10_000usize {
            while echo.add(&data, false) != Flow::Hold {
                sent += data.len() as u64;
            }
            sent += data.len() as u64;
            // Never all of it, so that there is always something in front.
            let (part, _) = echo.take(50_000 + round % 100);
            got += part.unwrap().0.len() as u64;
            assert!(echo.bytes.capacity() < 4 * FULL, "{}", echo.bytes.capacity());
        }
        assert_eq!(sent - got, echo.left() as u64);
    }

    #[test]
    fn who_waits_is_told_when_there_is_more() {
        let mut echo = echo(None);
        assert_eq!(echo.take(10), (None, Flow::Continue));
        assert_eq!(echo.add(b"ab", false), Flow::Resume);
        assert_eq!(echo.take(1), (Some((&b"a"[..], false)), Flow::Continue));
        assert_eq!(echo.add(&vec![0; FULL], false), Flow::Hold);
        assert_eq!(echo.take(usize::MAX).0.unwrap().0.len(), FULL + 1);
        assert_eq!(echo.take(10), (None, Flow::Resume), "what was held may come again");
        assert_eq!(echo.add(b"", true), Flow::Resume);
        assert_eq!(echo.take(10), (Some((&b""[..], true)), Flow::Continue));
    }
}
