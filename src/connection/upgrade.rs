//! TLS in mid-connection, where a machine asks for it: begun when everything that was said before is written, and only
//! where nothing is unread.

use std::{io, mem};

use aquests_protocols::Protocol;

use super::{Connection, Lent, State};
use crate::handler::{At, Handler};
use crate::reason::Reason;
use crate::time::Moment;
use crate::transport::Tls;

/// On the way from plain text to TLS.
#[derive(Debug)]
pub(super) struct Upgrade<P> {
    pub(super) protocol: P,
    /// How to begin, until it has begun: what was said before must be written first.
    tls: Option<Tls>,
    /// The deadline of the phase that was interrupted.
    pub(super) phase: Moment,
}

impl<P: Protocol> Connection<P> {
    /// The machine wants TLS from here on.
    pub(super) fn upgrade<H: Handler<P>>(&mut self, at: At, handler: &mut H) -> Result<(), Reason> {
        let unread = self.input.unread().len();
        if unread > 0 {
            // RFC 3207 §5 and CVE-2021-23222: who is on the way could say, in plain text, what would pass for the
            // peer's word under TLS.
            let words =
                format!("{unread} bytes of plain text came where TLS was to begin: somebody may have put them in");
            return Err(Reason::Tls(io::Error::new(io::ErrorKind::InvalidData, words)));
        }
        let Some((tls, deadline)) = handler.start_tls(at) else {
            let words = "the protocol goes on inside TLS, for which nobody gave settings";
            return Err(Reason::Io(io::Error::new(io::ErrorKind::Unsupported, words)));
        };
        let phase = self.deadlines.phase;
        self.deadlines.phase = phase.min(deadline);
        self.need = 0;
        self.state = match mem::replace(&mut self.state, State::Connecting) {
            State::Open(protocol) => State::Upgrading(Box::new(Upgrade { protocol, tls: Some(tls), phase })),
            other => other,
        };
        Ok(())
    }

    /// Begins TLS in mid-connection when everything that was said before is written. `false`: it is not.
    pub(super) fn begin_upgrade(&mut self, at: At, lent: &mut Lent) -> Result<bool, Reason> {
        let State::Upgrading(upgrade) = &mut self.state else { return Ok(true) };
        if upgrade.tls.is_none() {
            return Ok(true);
        }
        let mut out = mem::take(&mut self.out);
        let written = self.write(at, &mut out, lent);
        self.out = out;
        written.map_err(Reason::Io)?;
        if !self.out.is_empty() {
            return Ok(false);
        }
        let State::Upgrading(upgrade) = &mut self.state else { return Ok(true) };
        match upgrade.tls.take() {
            Some(tls) => self.transport.start_tls(&tls).map_err(Reason::Tls).map(|()| true),
            None => Ok(true),
        }
    }
}
