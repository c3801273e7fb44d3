//! Requests as they can be sent, with what of them outlives the sending: in the words of their protocols, with the sources
//! and sinks of what streams. Sends nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Method};

use super::download::{ProgressCallback, Sink};
use super::handle::Shared;
use super::upload::{Piece, Upload};
use super::{Callback, RequestId};
use crate::error::Error;
use crate::pool::Connection;
#[cfg(feature = "postgres")]
use crate::postgres::{Run, Taker};
#[cfg(feature = "redis")]
use crate::protocols::redis::{self, PreparedCommand};
use crate::protocols::semantics::{self, Body, PreparedRequest};
use crate::protocols::{ExchangeId, Refused};
use crate::reactor::{Address, Sender};
#[cfg(feature = "redis")]
use crate::redis::Exchange;
use crate::route::RouteKey;
use crate::url::Url;
use crate::version::Versions;
use crate::wire::{Request, Wire};

/// Time limits of one request, where they are other than its client's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeouts {
    pub(super) send: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) total: Option<Duration>,
}

/// What only requests have whose bodies stream, in whatever direction.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) upload: Option<Upload>,
    pub(super) sink: Option<Sink>,
    pub(super) progress: Option<ProgressCallback>,
    /// Who gets what comes of a statement, until the first of it does.
    #[cfg(feature = "postgres")]
    pub(super) taker: Option<Taker>,
    /// There is, or was, somebody who does.
    #[cfg(feature = "postgres")]
    pub(super) by_part: bool,
    /// The head without `expect`. It is there as long as the server may still refuse to be asked.
    pub(super) expect: Option<PreparedRequest>,
    /// Why the body could not be had.
    pub(super) trouble: Option<io::Error>,
    /// The program wants no more of the answer for now.
    pub(super) held: bool,
    /// The program has no more of the body for now.
    pub(super) stalled: bool,
}

/// A request that can be sent.
pub(crate) struct Prepared {
    pub(super) words: Words,
    pub(super) body: Vec<u8>,
    /// Bytes of `body` that were handed over.
    pub(super) given: usize,
    pub(super) streams: Option<Box<Streams>>,
    pub(super) method: Method,
    pub(super) address: Option<Address>,
    pub(super) url: Url,
    pub(super) meta: Extensions,
    pub(super) callback: Option<Callback>,
    pub(super) timeouts: Timeouts,
}

/// A body over so many bytes is handed over in parts, as the connection takes them, rather than copied as a whole.
const LARGE: usize = 64 << 10;

/// What is asked, in the words of its protocol.
pub(super) enum Words {
    Http {
        head: PreparedRequest,
        /// It may ask for HTTP/2 on a plain connection.
        may_upgrade: bool,
        versions: Option<Versions>,
    },
    #[cfg(feature = "redis")]
    Redis(Redis),
    #[cfg(feature = "postgres")]
    Postgres(Box<Run>),
}

/// A command, or several that are sent as one.
#[cfg(feature = "redis")]
pub(super) struct Redis {
    pub(super) exchange: Arc<Exchange>,
    /// The server does not know the script: it is sent whole.
    pub(super) whole: bool,
    /// What is sent this time, where that is not what was asked at first.
    pub(super) detour: Option<Box<Detour>>,
}

/// A part of an exchange, or the whole, as a node of a cluster wants it that was named by another.
#[cfg(feature = "redis")]
pub(super) struct Detour {
    pub(super) prepared: PreparedCommand,
    pub(super) asking: Asking,
    /// The next reply is that to an ASKING.
    pub(super) skip: bool,
}

/// Where ASKING stands.
#[cfg(feature = "redis")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    No,
    /// In front of everything.
    Once,
    /// In front of each command.
    Each,
}

#[cfg(feature = "redis")]
impl Redis {
    /// What is sent.
    pub(super) fn prepared(&self) -> &PreparedCommand {
        self.detour.as_ref().map_or_else(|| self.asked(), |detour| &detour.prepared)
    }

    /// What was asked, without what nodes of a cluster want besides.
    pub(super) fn asked(&self) -> &PreparedCommand {
        self.exchange.fallback.as_ref().filter(|_| self.whole).unwrap_or(&self.exchange.prepared)
    }
}

impl Prepared {
    /// It may take another turn on its connection before it is over: what is not prepared yet, and what the server may not
    /// know.
    pub(super) fn may_go_on(&self) -> bool {
        match &self.words {
            Words::Http { .. } => false,
            #[cfg(feature = "redis")]
            Words::Redis(redis) => redis.exchange.fallback.is_some() && !redis.whole,
            #[cfg(feature = "postgres")]
            Words::Postgres(run) => run.is_preparing(),
        }
    }

    /// Its answer goes to the program piece by piece, which may want it to wait.
    pub(super) fn may_hold(&self) -> bool {
        self.streams.as_ref().is_some_and(|streams| {
            #[cfg(feature = "postgres")]
            if streams.by_part {
                return true;
            }
            streams.sink.is_some()
        })
    }

    /// The server may keep something for the connection that nobody else is to find there.
    pub(super) fn leaves_traces(&self) -> bool {
        match &self.words {
            #[cfg(feature = "postgres")]
            Words::Postgres(_) => true,
            _ => self.needs_session(),
        }
    }

    /// Whose connections it may use. `versions`: where it says nothing of them itself.
    pub(super) fn route(&self, versions: Versions) -> RouteKey {
        match &self.words {
            Words::Http { versions: own, .. } => {
                RouteKey::http(&self.url, self.address.clone(), own.unwrap_or(versions))
            }
            #[cfg(feature = "redis")]
            Words::Redis(redis) => RouteKey::redis(&redis.exchange.settings, self.address.clone()),
            #[cfg(feature = "postgres")]
            Words::Postgres(run) => RouteKey::postgres(run.settings(), 0, self.address.clone()),
        }
    }

    /// Gives it to a connection; `head` in place of its own. `Err`: it cannot be put into the words of that server.
    pub(super) fn send(
        &mut self,
        id: ExchangeId,
        head: Option<&PreparedRequest>,
        server: &mut Connection,
        to: &mut Sender<'_, Wire>,
    ) -> Result<Result<(), Refused>, Error> {
        let body = self.outgoing_body();
        let request = match &self.words {
            Words::Http { head: own, .. } => Request::Http(semantics::Request { head: head.unwrap_or(own), body }),
            #[cfg(feature = "redis")]
            Words::Redis(redis) => Request::Redis(redis::Request::Prepared(redis.prepared())),
            #[cfg(feature = "postgres")]
            Words::Postgres(_) => return self.send_statement(id, server, to),
        };
        let _ = server;
        Ok(to.send(id, request))
    }

    #[cfg(feature = "postgres")]
    fn send_statement(
        &mut self,
        id: ExchangeId,
        server: &mut Connection,
        to: &mut Sender<'_, Wire>,
    ) -> Result<Result<(), Refused>, Error> {
        let (Words::Postgres(run), Some(server)) = (&mut self.words, &mut server.postgres) else {
            return Ok(Err(Refused::Misuse("the connection speaks another protocol")));
        };
        run.send(&mut server.statements, |request| to.send(id, Request::Postgres(request)))
    }

    /// It is not on its connection any more: nothing of it will be told.
    pub(super) fn abandon(&mut self, server: &mut Connection) {
        #[cfg(feature = "postgres")]
        if let (Words::Postgres(run), Some(server)) = (&mut self.words, &mut server.postgres) {
            run.abandon(&mut server.statements);
            server.interrupted = true;
        }
        let _ = server;
    }

    /// It is sent from its beginning, elsewhere perhaps.
    pub(super) fn restart(&mut self) {
        self.given = 0;
        #[cfg(feature = "redis")]
        if let Words::Redis(Redis { detour: Some(detour), .. }) = &mut self.words {
            detour.skip = detour.asking != Asking::No;
        }
        #[cfg(feature = "postgres")]
        if let Words::Postgres(run) = &mut self.words {
            run.restart();
        }
    }

    /// Its body is handed over in parts, after the rest.
    pub(super) fn is_in_parts(&self) -> bool {
        match &self.words {
            Words::Http { .. } => matches!(self.outgoing_body(), Body::Parts(_)),
            #[cfg(feature = "redis")]
            Words::Redis(_) => false,
            #[cfg(feature = "postgres")]
            Words::Postgres(run) => run.copies_in(),
        }
    }

    /// It waits at the server, and nothing is to wait behind it: for so long at most, `None` for ever.
    pub(super) fn waits_for(&self) -> Option<Option<Duration>> {
        match &self.words {
            Words::Http { .. } => None,
            #[cfg(feature = "redis")]
            Words::Redis(redis) => redis.exchange.class.wait.limit(),
            #[cfg(feature = "postgres")]
            Words::Postgres(_) => None,
        }
    }

    /// It changes what the server knows of the connection, which must be one's own then.
    pub(super) fn needs_session(&self) -> bool {
        match &self.words {
            Words::Http { .. } => false,
            #[cfg(feature = "redis")]
            Words::Redis(redis) => redis.exchange.class.session,
            #[cfg(feature = "postgres")]
            Words::Postgres(_) => false,
        }
    }

    /// To send it twice is as good as to send it once.
    pub(super) fn is_idempotent(&self) -> bool {
        match &self.words {
            Words::Http { head, .. } => head.is_idempotent(),
            #[cfg(feature = "redis")]
            Words::Redis(redis) => redis.exchange.class.read_only,
            // What a statement does is not known.
            #[cfg(feature = "postgres")]
            Words::Postgres(_) => false,
        }
    }

    /// Its head, where it is one of HTTP.
    pub(super) fn head(&self) -> Option<&PreparedRequest> {
        match &self.words {
            Words::Http { head, .. } => Some(head),
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => None,
        }
    }

    /// It may ask for HTTP/2 on a plain connection.
    pub(super) fn may_upgrade(&self) -> bool {
        match &self.words {
            Words::Http { head, may_upgrade, .. } => *may_upgrade && head.is_idempotent(),
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => false,
        }
    }

    /// Another head in place of its own.
    pub(super) fn set_head(&mut self, plain: PreparedRequest) {
        match &mut self.words {
            Words::Http { head, .. } => *head = plain,
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => {}
        }
    }

    /// Makes the body ready to be sent from its start.
    pub(super) fn open(&mut self) -> io::Result<()> {
        match &mut self.streams {
            Some(streams) => streams.upload.as_mut().map_or(Ok(()), |upload| upload.open().map(drop)),
            None => Ok(()),
        }
    }

    /// The body in the words of HTTP.
    fn outgoing_body(&self) -> Body<'_> {
        let whole = Some(self.body.len() as u64);
        match &self.streams {
            Some(streams) if streams.upload.is_some() => Body::Parts(streams.upload.as_ref().and_then(Upload::length)),
            Some(streams) if streams.expect.is_some() => Body::Parts(whole),
            _ if self.body.len() > LARGE => Body::Parts(whole),
            _ => Body::Whole(&self.body),
        }
    }

    /// The body was handed over whole, with the head.
    pub(super) fn gave_all(&mut self) {
        self.given = self.body.len();
    }

    /// Takes the next part of the body, of no more than `room` bytes: [`handed`](Self::handed) has it. `buffer` is where it
    /// is read to.
    pub(super) fn next(&mut self, room: usize, buffer: &mut Vec<u8>) -> io::Result<Piece> {
        if let Some(upload) = self.streams.as_mut().and_then(|streams| streams.upload.as_mut()) {
            let room = room.min(LARGE);
            buffer.resize(buffer.len().max(room), 0);
            return upload.read(&mut buffer[..room]);
        }
        let bytes = (self.body.len() - self.given).min(room);
        self.given += bytes;
        Ok(Piece::Data { bytes, last: self.given == self.body.len() })
    }

    /// The part that was taken last, of so many bytes.
    pub(super) fn handed<'a>(&'a self, bytes: usize, buffer: &'a [u8]) -> &'a [u8] {
        match self.streams.as_ref().and_then(|streams| streams.upload.as_ref()) {
            Some(_) => &buffer[..bytes],
            None => &self.body[self.given - bytes..self.given],
        }
    }

    /// Bytes of the body that were handed over, and how many there will be.
    pub(super) fn sent(&self) -> (u64, Option<u64>) {
        match self.streams.as_ref().and_then(|streams| streams.upload.as_ref()) {
            Some(upload) => (upload.given(), upload.length()),
            None => (self.given as u64, Some(self.body.len() as u64)),
        }
    }

    /// Whoever writes the body piece by piece is to tell this client of it.
    pub(super) fn belongs_to(&self, shared: &Arc<Shared>, id: RequestId) {
        let upload = self.streams.as_ref().and_then(|streams| streams.upload.as_ref());
        if let Some(outlet) = upload.and_then(Upload::as_outlet) {
            outlet.belongs_to(shared, id);
        }
    }

    pub(super) fn into_owner(self) -> Owner {
        Owner { method: self.method, meta: self.meta, callback: self.callback }
    }
}

/// What of a request goes into its outcome, whatever happens to it.
pub(super) struct Owner {
    pub(super) method: Method,
    pub(super) meta: Extensions,
    pub(super) callback: Option<Callback>,
}
