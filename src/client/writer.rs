//! A body that is written piece by piece while it is sent, from whatever thread has the pieces: a buffer with a limit
//! between whoever writes and the connection. No socket is known here.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::{fmt, mem};

use super::RequestId;
use super::handle::{Command, Shared};

/// Writes the body of a request, piece by piece. [`Request::body_writer`](super::Request::body_writer) makes one.
///
/// It works from every thread, the client's too. At most [`pending_limit`](Self::pending_limit) bytes wait between it and
/// the connection (256 KiB), so a slow server slows the writer and never fills the memory:
///
/// - [`try_write`](Self::try_write) takes as many bytes as there is room for, at once, and says how many. It is the one to
///   use on the client's own thread, and [`on_room`](Self::on_room) tells when to try again.
/// - As an [`io::Write`] it waits for room. Only on other threads: on the client's, nobody would be left to send.
///
/// [`finish`](Self::finish) ends the body. A writer that is dropped without that fails its request, because nobody could
/// tell the half from the whole. When the request has its outcome early (it was cancelled, the server hung up), writing
/// fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
pub struct BodyWriter {
    pipe: Arc<Pipe>,
}

/// The other end: where the client takes the bytes from.
pub(super) struct Outlet {
    pipe: Arc<Pipe>,
}

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    /// There is room, or nobody takes bytes any more.
    changed: Condvar,
}

struct State {
    bytes: VecDeque<u8>,
    limit: usize,
    /// Bytes that were promised and not written.
    left: Option<u64>,
    end: End,
    /// Nobody takes bytes any more.
    closed: bool,
    /// The connection asked for bytes when there were none.
    starved: bool,
    /// Not all that was to be written was taken.
    full: bool,
    /// Whom to tell that there are bytes.
    owner: Option<(Weak<Shared>, RequestId)>,
    on_room: Option<Box<dyn FnMut() + Send>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Finished,
    /// The writer went away in the middle.
    Lost,
}

/// Bytes that wait for the connection at most.
const PENDING: usize = 256 << 10;

impl Default for State {
    fn default() -> Self {
        Self {
            bytes: VecDeque::new(),
            limit: PENDING,
            left: None,
            end: End::Open,
            closed: false,
            starved: false,
            full: false,
            owner: None,
            on_room: None,
        }
    }
}

/// Both ends of a body that will have `length` bytes.
pub(super) fn pipe(length: Option<u64>) -> (BodyWriter, Outlet) {
    let pipe = Arc::new(Pipe::default());
    pipe.lock().left = length;
    (BodyWriter { pipe: Arc::clone(&pipe) }, Outlet { pipe })
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as much as there is room for.
    fn add(&self, mut state: MutexGuard<'_, State>, bytes: &[u8]) -> io::Result<usize> {
        if state.closed {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the request has its outcome already"));
        }
        if state.left.is_some_and(|left| left < bytes.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is more body than was promised"));
        }
        let accepted = bytes.len().min(state.limit.saturating_sub(state.bytes.len()));
        state.bytes.extend(&bytes[..accepted]);
        state.full |= accepted < bytes.len();
        if let Some(left) = &mut state.left {
            *left -= accepted as u64;
        }
        if accepted > 0 {
            feed(state);
        }
        Ok(accepted)
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.end = end;
            feed(state);
        }
    }

    /// Tells whoever waits that something changed. The callback is called without the lock: it may write.
    fn tell_room(&self) {
        self.changed.notify_all();
        let callback = self.lock().on_room.take();
        if let Some(mut callback) = callback {
            callback();
            let mut state = self.lock();
            // Nobody is told after the end, and whoever set another while this ran wants that one.
            if !state.closed && state.on_room.is_none() {
                state.on_room = Some(callback);
            }
        }
    }
}

/// Lets the connection ask again, if it had asked in vain.
fn feed(mut state: MutexGuard<'_, State>) {
    if !mem::take(&mut state.starved) {
        return;
    }
    let owner = state.owner.clone();
    // Waking takes other locks.
    drop(state);
    if let Some((shared, id)) = owner
        && let Some(shared) = shared.upgrade()
    {
        shared.command(Command::Feed(id));
    }
}

impl BodyWriter {
    /// Takes as many of these bytes as there is room for now and says how many: 0 when there is none.
    ///
    /// Fails when the request has its outcome ([`BrokenPipe`](io::ErrorKind::BrokenPipe)), and when there would be more
    /// bytes than were promised ([`InvalidInput`](io::ErrorKind::InvalidInput)); nothing is taken then.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.add(self.pipe.lock(), bytes)
    }

    /// How many bytes [`try_write`](Self::try_write) would take now.
    pub fn room(&self) -> usize {
        let state = self.pipe.lock();
        if state.closed { 0 } else { state.limit.saturating_sub(state.bytes.len()) }
    }

    /// Called when a write was not taken whole and there is room for half of the limit again, and when the request has
    /// its outcome. It runs inside the client's turn: wake somebody, or write, but do not wait.
    ///
    /// Where the request has its outcome already it is called at once, and not kept.
    pub fn on_room(&self, callback: impl FnMut() + Send + 'static) {
        let mut callback = Box::new(callback);
        let mut state = self.pipe.lock();
        if state.closed {
            drop(state);
            return callback();
        }
        let before = state.on_room.replace(callback);
        drop(state);
        // Without the lock: what it holds may be a writer.
        drop(before);
    }

    /// Bytes that may wait between this writer and the connection: 256 KiB.
    pub fn pending_limit(&self, bytes: usize) {
        self.pipe.lock().limit = bytes.max(1);
    }

    /// The body is whole. Where a length was promised and fewer bytes were written, the request fails.
    pub fn finish(self) {
        self.pipe.end(End::Finished);
    }
}

/// Waits for room: not for the client's own thread.
impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let full = |state: &mut State| !state.closed && state.bytes.len() >= state.limit;
        let mut state = self.pipe.lock();
        while !bytes.is_empty() && full(&mut state) {
            state.full = true;
            state = self.pipe.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.pipe.add(state, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.pipe.end(End::Lost);
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.pipe.lock();
        f.debug_struct("BodyWriter")
            .field("pending", &state.bytes.len())
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

impl Outlet {
    /// Whom to tell when there are bytes after there were none.
    pub(super) fn belongs_to(&self, shared: &Arc<Shared>, id: RequestId) {
        self.pipe.lock().owner = Some((Arc::downgrade(shared), id));
    }

    /// Takes what there is: bytes, and whether nothing follows. `None`: nothing yet.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let mut state = self.pipe.lock();
        if state.bytes.is_empty() {
            return match state.end {
                End::Finished => Ok(Some((0, true))),
                End::Lost => {
                    let words = "whoever wrote it went away before it was whole";
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, words))
                }
                End::Open => {
                    state.starved = true;
                    Ok(None)
                }
            };
        }
        let bytes = buffer.len().min(state.bytes.len());
        let (front, back) = state.bytes.as_slices();
        let first = bytes.min(front.len());
        buffer[..first].copy_from_slice(&front[..first]);
        buffer[first..bytes].copy_from_slice(&back[..bytes - first]);
        state.bytes.drain(..bytes);
        let last = state.bytes.is_empty() && state.end == End::Finished;
        let tell = state.full && state.bytes.len() <= state.limit / 2;
        if tell {
            state.full = false;
        }
        drop(state);
        if tell {
            self.pipe.tell_room();
        }
        Ok(Some((bytes, last)))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.closed = true;
        state.bytes = VecDeque::new();
        drop(state);
        // It is kept no longer either: what it holds may be a writer.
        self.pipe.tell_room();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_waits_than_the_limit_and_room_is_told() {
        let (writer, outlet) = pipe(None);
        writer.pending_limit(4);
        let told = Arc::new(AtomicUsize::new(0));
        writer.on_room({
            let told = Arc::clone(&told);
            move || {
                told.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert_eq!((writer.try_write(b"abc").unwrap(), writer.room()), (3, 1));
        assert_eq!((writer.try_write(b"def").unwrap(), writer.try_write(b"ef").unwrap()), (1, 0));
        let mut buffer = [0; 2];
        assert_eq!(outlet.read(&mut buffer[..1]).unwrap(), Some((1, false)));
        assert_eq!(told.load(Ordering::SeqCst), 0, "three of four bytes still wait");
        assert_eq!(outlet.read(&mut buffer[..1]).unwrap(), Some((1, false)));
        assert_eq!((told.load(Ordering::SeqCst), writer.room()), (1, 2));
        writer.finish();
        assert_eq!(outlet.read(&mut [0; 9]).unwrap(), Some((2, true)));
    }

    #[test]
    fn a_writer_that_goes_away_is_no_end() {
        let (writer, outlet) = pipe(None);
        assert_eq!(outlet.read(&mut [0]).unwrap(), None);
        writer.try_write(b"a").unwrap();
        drop(writer);
        assert_eq!(outlet.read(&mut [0]).unwrap(), Some((1, false)));
        assert_eq!(outlet.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn nothing_is_taken_beyond_what_was_promised_or_when_nobody_reads() {
        let (writer, outlet) = pipe(Some(3));
        assert_eq!(writer.try_write(b"abcd").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(writer.try_write(b"abc").unwrap(), 3);
        drop(outlet);
        assert_eq!(writer.try_write(b"").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn whoever_asks_to_be_told_after_the_end_is_told_at_once_and_forgotten() {
        let (writer, outlet) = pipe(None);
        let told = Arc::new(AtomicUsize::new(0));
        let tell = || {
            let told = Arc::clone(&told);
            move || {
                told.fetch_add(1, Ordering::SeqCst);
            }
        };
        writer.on_room(tell());
        writer.on_room(tell());
        drop(outlet);
        assert_eq!((told.load(Ordering::SeqCst), Arc::strong_count(&told)), (1, 1), "the first was replaced");
        writer.on_room(tell());
        assert_eq!((told.load(Ordering::SeqCst), Arc::strong_count(&told)), (2, 1), "nobody will tell it later");
    }

    #[test]
    fn whoever_waits_for_room_hears_that_nobody_reads() {
        let (mut writer, outlet) = pipe(None);
        writer.pending_limit(1);
        writer.write_all(b"a").unwrap();
        let waits = std::thread::spawn(move || writer.write(b"b").unwrap_err().kind());
        drop(outlet);
        assert_eq!(waits.join().unwrap(), io::ErrorKind::BrokenPipe);
    }
}
