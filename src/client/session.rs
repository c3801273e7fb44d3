//! One connection for a while: for what a server keeps per connection (a transaction, a subscription, a cursor), or a
//! sequence of requests that must not be spread. The same for every protocol.

use std::sync::Arc;

use super::handle::{Command, Shared};
use super::{BodyWriter, Push, Rejected, Request, RequestId};

/// A connection of one's own.
///
/// Requests sent through it go down the same connection, one after the other, and no others do. Their outcomes come like
/// all others. The connection is made with the first request, or taken from the pool; it does not count as a worker.
///
/// When the connection breaks or cannot be made, everything waiting on the session fails, nothing is tried again, and so does
/// what is sent later: what the server knew of it is lost, and nothing runs without what was sent before it. Dropping the session gives the connection back to the pool as soon as
/// everything that was sent is answered.
#[derive(Debug)]
pub struct Session {
    route: usize,
    shared: Arc<Shared>,
}

impl Session {
    pub(super) fn new(route: usize, shared: Arc<Shared>) -> Self {
        Self { route, shared }
    }

    /// Queues a request for this connection. It must be for the server that the session was opened for.
    pub fn send(&self, request: impl Into<Request>) -> Result<RequestId, Rejected> {
        self.shared.send(request.into(), Some(self.route))
    }

    /// Queues a request for this connection whose body is written piece by piece, from whatever thread, while it is sent:
    /// see [`BodyWriter`]. Without a length it is sent in chunks. What is sent after it waits until it is whole.
    pub fn upload(
        &self,
        request: impl Into<Request>,
        length: Option<u64>,
    ) -> Result<(RequestId, BodyWriter), Rejected> {
        let (request, writer) = request.into().body_writer(length);
        Ok((self.send(request)?, writer))
    }

    /// Calls this with what the server says on this connection without being asked: messages of channels, notifications. It
    /// runs inside turns of the client, and what comes meanwhile waits.
    pub fn on_push(&self, listener: impl FnMut(Push<'_>) + Send + 'static) {
        self.shared.command(Command::Listen(self.route, Box::new(listener)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.command(Command::Release(self.route));
    }
}
