//! What servers say to a load, each in the words of its protocol: what is counted of it, and what only looks like an answer.
//! Each has a function of its own, so that what one says costs the others nothing.

#[cfg(any(feature = "postgres", feature = "redis"))]
use super::super::flights::Flight;
use super::Runner;
#[cfg(feature = "postgres")]
use crate::client::statements;
#[cfg(feature = "redis")]
use crate::client::turned_away;
use crate::protocols::ExchangeId;
#[cfg(feature = "postgres")]
use crate::protocols::postgres;
#[cfg(feature = "redis")]
use crate::protocols::redis;
use crate::protocols::semantics::{Message, ResponseHead};
use crate::reactor::At;
#[cfg(feature = "postgres")]
use crate::reactor::Flow;
use crate::report::Verdict;

impl Runner<'_> {
    #[inline]
    pub(super) fn on_http(&mut self, at: At, id: ExchangeId, message: Message<'_, ResponseHead<'_>>, done: bool) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let counts = flight.start.intended >= self.begin;
        match message {
            Message::Head(head) => {
                (flight.status, flight.version) = (head.status, head.version.into());
                #[cfg(feature = "http2")]
                if head.status == 101 && self.plan.asks_for_http2() {
                    self.lines[flight.line as usize].agreed = crate::wire::agrees_to_http2(&head);
                }
            }
            Message::Data(bytes) if counts => self.received(bytes.len(), at.now),
            _ => {}
        }
        if done && let Some(flight) = self.land(id) {
            self.answered(flight, Verdict::Status(flight.status), at.now);
        }
    }

    #[cfg(feature = "redis")]
    #[inline(never)]
    pub(super) fn on_redis(&mut self, at: At, id: ExchangeId, message: redis::Message<'_>, done: bool) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let counts = flight.start.intended >= self.begin;
        let mut verdict = Verdict::Ok;
        match message {
            redis::Message::Reply(reply) => {
                if let Some(error) = reply.error() {
                    let line = &mut self.lines[flight.line as usize];
                    if !line.useful && super::super::redis::turns_away(error) {
                        line.words = Some(turned_away(error));
                    }
                    verdict = Verdict::Error(std::str::from_utf8(error.code()).unwrap_or("?"));
                }
                if counts {
                    self.received(reply.as_bytes().len(), at.now);
                }
            }
            redis::Message::Data(bytes) if counts => self.received(bytes.len(), at.now),
            _ => {}
        }
        if done && let Some(flight) = self.land(id) {
            self.said(at, flight, verdict);
        }
    }

    #[cfg(feature = "postgres")]
    #[inline(never)]
    pub(super) fn on_postgres(&mut self, at: At, id: ExchangeId, message: postgres::Message<'_>, done: bool) -> Flow {
        let Some(flight) = self.flights.get_mut(id) else { return Flow::Continue };
        let counts = flight.start.intended >= self.begin;
        match message {
            postgres::Message::Row(row) if counts => self.received(row.as_bytes().len(), at.now),
            postgres::Message::Data(bytes) if counts => self.received(bytes.len(), at.now),
            postgres::Message::Error(error) => flight.fails(error.code()),
            // There is no data for it.
            postgres::Message::CopyIn(_) if !done => {
                flight.fails(b"COPY");
                if let Some(flight) = self.land(id) {
                    self.answered(flight, Verdict::Error("COPY"), at.now);
                }
                return Flow::Cancel;
            }
            _ => {}
        }
        if done && let Some(flight) = self.land(id) {
            let (line, verdict) = (&mut self.lines[flight.line as usize], flight.verdict());
            line.prepared |= verdict == Verdict::Ok;
            // Perhaps it could not be prepared: those behind it would only be told that it is not there.
            line.first |= !line.prepared;
            self.said(at, flight, verdict);
        }
        Flow::Continue
    }

    /// A database said all that it has to say to a request.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    #[inline]
    fn said(&mut self, at: At, flight: Flight, verdict: Verdict<'_>) {
        match &self.lines[flight.line as usize].words {
            // What looks like an answer, and is none.
            Some((kind, words)) => {
                let (kind, words) = (*kind, words.clone());
                self.fail_with(kind, flight.start, at.now, |_| words);
            }
            None => self.answered(flight, verdict, at.now),
        }
    }

    /// The server said something on a connection that answers no request. Messages and invalidations are none of ours; an
    /// error lets nobody in.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(super) fn on_push(&mut self, at: At, message: crate::wire::Message<'_>) {
        let words = match message {
            #[cfg(feature = "redis")]
            crate::wire::Message::Redis(redis::Message::Reply(reply)) => reply.error().map(turned_away),
            #[cfg(feature = "postgres")]
            crate::wire::Message::Postgres(postgres::Message::Error(error)) => Some(statements::turned_away(error)),
            _ => None,
        };
        if words.is_some() {
            self.lines[at.tag as usize].words = words;
        }
    }
}
