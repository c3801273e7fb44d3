//! What other threads see of a client: a way to send and to cancel, and the waker that makes the client look.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::prepared::Prepared;
use super::push::Listener;
use super::{Rejected, Request, RequestId};
use crate::error::{Error, ErrorKind};
use crate::reactor::Waker;

/// Sends requests to a client from other threads. Cheap to clone.
///
/// A wake-up is never lost: what is sent while the client is busy is looked at before it waits again. Outcomes are told
/// where the client runs, to the callback of the request or the client.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Queues a request. Fails with [`ErrorKind::Cancelled`] when the client is gone. What still waits here when the client
    /// goes has no outcome: it is dropped with its callbacks, and whoever writes its body hears of that.
    pub fn send(&self, request: impl Into<Request>) -> Result<RequestId, Rejected> {
        self.shared.send(request.into(), None)
    }

    /// Ends a request early; nothing happens if it has its outcome already.
    pub fn cancel(&self, id: RequestId) {
        self.shared.command(Command::Cancel(id));
    }

    /// Asks the server to stop what it does for a statement, whose outcome comes as that server says, or as
    /// [`ErrorKind::Cancelled`] where it was only being prepared: [`Client::interrupt`](crate::Client::interrupt).
    #[cfg(feature = "postgres")]
    pub fn interrupt(&self, id: RequestId) {
        self.shared.command(Command::Interrupt(id));
    }

    /// Goes on with a request that waits for this program: a download that was [held](crate::Flow::Hold), or an upload
    /// whose reader had [nothing yet](crate::Request::body_reader). It is never lost: a request that is about to be held is
    /// held first and resumed then.
    pub fn resume(&self, id: RequestId) {
        self.shared.command(Command::Resume(id));
    }

    /// Makes the client return from its turn.
    pub fn wake(&self) {
        self.shared.wake();
    }
}

/// Shared between a client, its handles and its sessions.
pub(super) struct Shared {
    next_id: AtomicU64,
    inbox: Mutex<Vec<Command>>,
    /// There is something in the inbox: saves the lock where there is not.
    full: AtomicBool,
    /// Requests that were taken and have no outcome that the client told of, and how many may be.
    queued: AtomicUsize,
    limit: usize,
    /// The client is gone.
    closed: AtomicBool,
    waker: Waker,
}

/// What other threads want.
pub(super) enum Command {
    Send {
        id: RequestId,
        request: Box<Prepared>,
        session: Option<usize>,
    },
    Cancel(RequestId),
    #[cfg(feature = "postgres")]
    Interrupt(RequestId),
    Resume(RequestId),
    /// There is more of a body that is written piece by piece.
    Feed(RequestId),
    /// Whoever hears what the server of a session says by itself.
    Listen(usize, Listener),
    Release(usize),
}

impl Shared {
    pub(super) fn new(waker: Waker, limit: usize) -> Self {
        Self {
            next_id: AtomicU64::new(0),
            inbox: Mutex::default(),
            full: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            limit,
            closed: AtomicBool::new(false),
            waker,
        }
    }

    pub(super) fn send(self: &Arc<Self>, mut request: Request, session: Option<usize>) -> Result<RequestId, Rejected> {
        let (id, prepared) = match self.admit(&mut request) {
            Ok(admitted) => admitted,
            Err(error) => return Err(Rejected::new(error, request)),
        };
        let refused = self.command(Command::Send { id, request: Box::new(prepared), session });
        if let Some(Command::Send { request: prepared, .. }) = refused {
            // The client went since it was asked.
            self.finished(1);
            request.take_back(*prepared);
            return Err(Rejected::new(gone(), request));
        }
        Ok(id)
    }

    /// Checks a request and gives it its number. One that is refused stays whole.
    pub(super) fn admit(self: &Arc<Self>, request: &mut Request) -> Result<(RequestId, Prepared), Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(gone());
        }
        if self.queued.load(Ordering::SeqCst) >= self.limit {
            return Err(Error::new(ErrorKind::QueueFull, "", format!("it holds {} requests", self.limit)));
        }
        let prepared = request.prepare()?;
        let id = self.number();
        prepared.belongs_to(self, id);
        Ok((id, prepared))
    }

    /// The number of a request that is taken.
    pub(super) fn number(&self) -> RequestId {
        self.queued.fetch_add(1, Ordering::SeqCst);
        RequestId(self.next_id.fetch_add(1, Ordering::SeqCst))
    }

    /// Puts a command where the client finds it. One that nobody will ever look at comes back.
    pub(super) fn command(&self, command: Command) -> Option<Command> {
        let mut inbox = self.inbox();
        if self.closed.load(Ordering::SeqCst) {
            return Some(command);
        }
        inbox.push(command);
        drop(inbox);
        self.full.store(true, Ordering::SeqCst);
        self.wake();
        None
    }

    fn inbox(&self) -> MutexGuard<'_, Vec<Command>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_commands(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> Vec<Command> {
        if !self.full.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.inbox())
    }

    /// So many requests have their outcome.
    pub(super) fn finished(&self, requests: usize) {
        self.queued.fetch_sub(requests, Ordering::SeqCst);
    }

    /// The client is going, and what waits for it goes with it: handles live on, and a body that is never taken would
    /// block whoever writes it.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox();
        self.closed.store(true, Ordering::SeqCst);
        let unseen = std::mem::take(&mut *inbox);
        drop(inbox);
        // Without the lock: what is dropped here may call back, and send.
        drop(unseen);
    }

    fn wake(&self) {
        // Fails only when the reactor is gone, which needs no waking.
        let _ = self.waker.wake();
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "", "the client is gone")
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("queued", &self.queued).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_given_back_can_be_sent_again_as_it_was() {
        let (streamed, writer) = Request::post("http://h/").body_writer(Some(3));
        for (mut request, length) in [(Request::post("http://h/").body("xy"), 2), (streamed, 3)] {
            request = request.meta(7u8).callback(|_, _| Ok::<_, Error>(()));
            for _ in 0..2 {
                let prepared = request.prepare().unwrap();
                assert_eq!((prepared.sent().1, prepared.meta.get()), (Some(length), Some(&7u8)));
                assert!(prepared.callback.is_some());
                request.take_back(prepared);
            }
        }
        assert_eq!(writer.room(), 0, "it is gone with its request");
    }
}
