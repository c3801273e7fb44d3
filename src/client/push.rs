//! What servers say without being asked, and who hears it. It is told inside the turn, straight from what was read:
//! nothing piles up here, and a listener that is slow slows its server down.

use std::collections::HashMap;
use std::fmt;

use super::core::Core;
#[cfg(feature = "postgres")]
use super::statements;
use crate::error::Error;
#[cfg(feature = "redis")]
use crate::error::{ErrorKind, told};
#[cfg(feature = "postgres")]
use crate::postgres::ServerError;
#[cfg(feature = "postgres")]
use crate::protocols::postgres;
#[cfg(feature = "redis")]
use crate::protocols::redis;
use crate::reactor::At;
use crate::wire::Message;

/// Something that a server said and that answers no request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Push<'a> {
    /// A push of Redis: a message of a channel, a key that is not valid any more, …
    #[cfg(feature = "redis")]
    Redis(redis::ValueRef<'a>),
    /// A notification or a notice of PostgreSQL, or a setting of the server that changed.
    #[cfg(feature = "postgres")]
    Postgres(postgres::Message<'a>),
    /// The connection of the session is gone, and with it what the server knew of it: subscriptions, channels that it
    /// listened to. Open another one. Told to listeners of sessions only.
    Lost(&'a Error),
}

impl<'a> Push<'a> {
    /// What was published on a channel of Redis.
    #[cfg(feature = "redis")]
    pub fn published(&self) -> Option<redis::Published<'a>> {
        match self {
            Push::Redis(value) => redis::Published::of(*value),
            _ => None,
        }
    }

    /// What NOTIFY told a channel of PostgreSQL.
    #[cfg(feature = "postgres")]
    pub fn notification(&self) -> Option<postgres::Notification<'a>> {
        match self {
            Push::Postgres(postgres::Message::Notification(notification)) => Some(*notification),
            _ => None,
        }
    }

    /// What PostgreSQL had to say where nothing was asked: a notice, a warning.
    #[cfg(feature = "postgres")]
    pub fn notice(&self) -> Option<ServerError> {
        match self {
            Push::Postgres(postgres::Message::Notice(notice)) => Some(ServerError::new(*notice)),
            _ => None,
        }
    }

    pub(super) fn of(message: Message<'a>) -> Option<Self> {
        match message {
            Message::Http(_) => None,
            #[cfg(feature = "redis")]
            Message::Redis(redis::Message::Reply(value)) => Some(Push::Redis(value)),
            // It is told whole.
            #[cfg(feature = "redis")]
            Message::Redis(_) => None,
            #[cfg(feature = "postgres")]
            Message::Postgres(message) => Some(Push::Postgres(message)),
        }
    }
}

impl Core {
    /// Something that answers no request.
    pub(super) fn on_push(&mut self, at: At, message: Message<'_>) {
        let connection = at.tag as usize;
        if !self.pool.is(connection, at.key) {
            return;
        }
        let entry = &mut self.pool.connections[connection];
        #[cfg(feature = "redis")]
        if let Message::Redis(redis::Message::Reply(reply)) = message
            && let Some(error) = reply.error()
        {
            entry.words = Some(turned_away(error));
            return;
        }
        #[cfg(feature = "postgres")]
        if let Message::Postgres(message) = &message {
            if let postgres::Message::Error(error) = message {
                entry.words = Some(statements::turned_away(*error));
                return;
            }
            if entry.postgres.as_mut().is_some_and(|server| server.hears(message)) {
                return;
            }
        }
        let route = entry.route;
        if let Some(push) = Push::of(message) {
            self.listeners.tell(route, push);
        }
    }
}

/// What a server says that lets nobody in.
#[cfg(feature = "redis")]
pub(crate) fn turned_away(error: redis::ErrorRef<'_>) -> (ErrorKind, String) {
    let login = [&b"WRONGPASS"[..], b"NOAUTH", b"NOPERM", b"DENIED"].contains(&error.code())
        || [&b"ERR invalid password"[..], b"ERR AUTH", b"ERR Client sent AUTH", b"ERR DB index", b"ERR invalid DB"]
            .iter()
            .any(|words| error.text().starts_with(words));
    (if login { ErrorKind::Authentication } else { ErrorKind::Refused }, told(error.text()))
}

pub(super) type Listener = Box<dyn FnMut(Push<'_>) + Send>;

/// Everybody who listens.
pub(super) struct Listeners {
    /// Where nobody else does.
    all: Option<Listener>,
    /// By the route of the session.
    sessions: HashMap<usize, Listener>,
}

impl Listeners {
    pub(super) fn new(all: Option<Listener>) -> Self {
        Self { all, sessions: HashMap::new() }
    }

    /// Listens on a session.
    pub(super) fn insert(&mut self, route: usize, listener: Listener) {
        self.sessions.insert(route, listener);
    }

    /// The session is not held any more.
    pub(super) fn remove(&mut self, route: usize) {
        self.sessions.remove(&route);
    }

    /// Tells something to whoever listens on a route.
    pub(super) fn tell(&mut self, route: usize, push: Push<'_>) {
        if let Some(listener) = self.sessions.get_mut(&route) {
            listener(push);
        } else if let Some(listener) = &mut self.all
            && !matches!(push, Push::Lost(_))
        {
            listener(push);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}
