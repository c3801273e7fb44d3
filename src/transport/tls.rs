//! TLS over any byte stream, by rustls without buffers of its own: ciphertext passes through buffers that all connections
//! of a reactor share, so that an idle connection keeps only its keys. The only file that calls rustls.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

use super::{Filled, Raw};

/// How to begin TLS on a connection: the settings, and the name that the certificate must have.
#[derive(Clone)]
pub struct Tls {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

/// How a listener begins TLS.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<rustls::ServerConfig>,
}

impl ServerTls {
    pub(crate) fn new(config: Arc<rustls::ServerConfig>) -> Self {
        Self { config }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

/// Why TLS failed. An alert for the peer is on its way where there is one.
pub(crate) type TlsError = rustls::Error;

/// The state of TLS on one connection.
pub(crate) struct Session {
    side: Side,
    /// Ciphertext of a record that is not whole.
    incoming: Vec<u8>,
    /// Ciphertext that the socket did not take.
    outgoing: Vec<u8>,
    sent: usize,
    /// Plaintext that the reader had no room for, from `read` on.
    plain: Vec<u8>,
    read: usize,
    /// The peer has said goodbye, or the stream has ended without.
    closed: Option<Ends>,
    error: Option<TlsError>,
}

/// How the peer ended the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With close_notify (RFC 8446 §6.1).
    Properly,
    /// Without: what came may be less than what was sent.
    CutOff,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// Buffers for ciphertext that all connections of a reactor lend from it.
#[derive(Debug, Default)]
pub(crate) struct Ciphertext {
    read: Vec<u8>,
    write: Vec<u8>,
}

/// Ciphertext read at once.
const READ: usize = 64 << 10;
/// Plaintext encrypted at once: four full records.
const WRITE: usize = 64 << 10;
/// What encryption adds to `WRITE` at most (RFC 8446 §5.2, RFC 5246 §6.2.3).
const OVERHEAD: usize = 4 * 512;

impl Session {
    pub(crate) fn client(tls: &Tls) -> Result<Self, TlsError> {
        UnbufferedClientConnection::new(tls.config.clone(), tls.name.clone()).map(|side| Self::new(Side::Client(side)))
    }

    pub(crate) fn server(tls: &ServerTls) -> Result<Self, TlsError> {
        UnbufferedServerConnection::new(tls.config.clone()).map(|side| Self::new(Side::Server(side)))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            plain: Vec::new(),
            read: 0,
            closed: None,
            error: None,
        }
    }

    /// The protocol that both sides chose.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        match &self.side {
            Side::Client(side) => side.alpn_protocol(),
            Side::Server(side) => side.alpn_protocol(),
        }
    }

    /// Ciphertext waits for the socket.
    pub(crate) fn is_pending(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Goes on with the handshake as far as it can. `true`: it is done.
    pub(crate) fn handshake(&mut self, raw: &mut Raw, lent: &mut Ciphertext) -> io::Result<bool> {
        loop {
            let result = self.process(&mut [], &mut []);
            // The alert that says why is worth sending too.
            self.write_pending(raw)?;
            result?;
            if !self.is_handshaking() {
                return Ok(true);
            }
            match self.read_ciphertext(raw, lent, &mut [])? {
                Filled::Empty => return Ok(false),
                Filled::Eof => {
                    let words = "the peer ended the stream during the TLS handshake";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words));
                }
                Filled::Bytes { .. } => {}
            }
        }
    }

    /// Reads plaintext.
    pub(crate) fn fill(&mut self, raw: &mut Raw, buffer: &mut [u8], lent: &mut Ciphertext) -> io::Result<Filled> {
        if self.read < self.plain.len() {
            let count = buffer.len().min(self.plain.len() - self.read);
            buffer[..count].copy_from_slice(&self.plain[self.read..self.read + count]);
            self.read += count;
            if self.read == self.plain.len() {
                (self.plain, self.read) = (Vec::new(), 0);
            }
            return Ok(Filled::Bytes { count, drained: false });
        }
        loop {
            if let Some(error) = &self.error {
                return Err(failed(error.clone()));
            }
            match self.closed {
                Some(Ends::Properly) => return Ok(Filled::Eof),
                Some(Ends::CutOff) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CUT_OFF)),
                None => {}
            }
            match self.read_ciphertext(raw, lent, buffer)? {
                // A record that brought no data (a ticket, an alert), or half of one.
                Filled::Bytes { count: 0, .. } => {}
                Filled::Eof => self.closed = self.closed.or(Some(Ends::CutOff)),
                filled => return Ok(filled),
            }
        }
    }

    /// Encrypts and writes; returns how much plaintext was taken. Nothing is, as long as ciphertext waits.
    pub(crate) fn flush(&mut self, raw: &mut Raw, bytes: &[u8], lent: &mut Ciphertext) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            if !self.write_pending(raw)? || taken == bytes.len() {
                return Ok(taken);
            }
            let part = &bytes[taken..bytes.len().min(taken + WRITE)];
            lent.write.resize(WRITE + OVERHEAD, 0);
            let count = self.encrypt(part, &mut lent.write)?;
            taken += part.len();
            let sent = raw.flush(&lent.write[..count])?;
            self.outgoing.extend_from_slice(&lent.write[sent..count]);
        }
    }

    /// Says goodbye, as far as the socket takes it.
    pub(crate) fn finish(&mut self, raw: &mut Raw) {
        let mut alert = [0; 128];
        let incoming = &mut self.incoming;
        let count = match &mut self.side {
            Side::Client(side) => goodbye(side.process_tls_records(incoming), &mut alert),
            Side::Server(side) => goodbye(side.process_tls_records(incoming), &mut alert),
        };
        self.outgoing.extend_from_slice(&alert[..count]);
        // The peer may be gone, which is what we want to say.
        let _ = self.write_pending(raw);
    }

    fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Client(side) => side.is_handshaking(),
            Side::Server(side) => side.is_handshaking(),
        }
    }

    /// `true`: nothing waits any more.
    fn write_pending(&mut self, raw: &mut Raw) -> io::Result<bool> {
        if self.is_pending() {
            self.sent += raw.flush(&self.outgoing[self.sent..])?;
            if self.is_pending() {
                return Ok(false);
            }
        }
        (self.outgoing, self.sent) = (Vec::new(), 0);
        Ok(true)
    }

    /// One read from the socket, and all whole records in it. `count` is of plaintext.
    fn read_ciphertext(&mut self, raw: &mut Raw, lent: &mut Ciphertext, buffer: &mut [u8]) -> io::Result<Filled> {
        lent.read.resize(READ, 0);
        // A record that is not whole goes to the front of what is read now: records are decrypted in one piece.
        let kept = self.incoming.len();
        if kept + 4096 > lent.read.len() {
            lent.read.resize(kept + READ, 0);
        }
        lent.read[..kept].copy_from_slice(&self.incoming);
        let drained = match raw.fill(&mut lent.read[kept..])? {
            Filled::Bytes { count, drained } => {
                self.incoming = Vec::new();
                let mut ciphertext = std::mem::take(&mut lent.read);
                let result = self.process(&mut ciphertext[..kept + count], buffer);
                lent.read = ciphertext;
                match result {
                    Ok(count) => return Ok(Filled::Bytes { count, drained: drained && self.read == self.plain.len() }),
                    Err(error) => {
                        // What was decrypted before is delivered first.
                        self.write_pending(raw)?;
                        return Err(error);
                    }
                }
            }
            other => other,
        };
        Ok(drained)
    }

    /// Works through whole records. Plaintext goes to `buffer` and what it has no room for to `plain`; what is not whole
    /// goes to `incoming`. Returns how much went to `buffer`.
    fn process(&mut self, ciphertext: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        let Self { side, incoming, outgoing, plain, closed, .. } = self;
        let mut own;
        let ciphertext = if ciphertext.is_empty() {
            own = std::mem::take(incoming);
            &mut own[..]
        } else {
            ciphertext
        };
        let (mut at, mut filled) = (0, 0);
        let result = loop {
            let mut sink = |bytes: &[u8]| {
                let count = if plain.is_empty() { bytes.len().min(buffer.len() - filled) } else { 0 };
                buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
                filled += count;
                plain.extend_from_slice(&bytes[count..]);
            };
            let (discard, step) = match side {
                Side::Client(side) => step(side.process_tls_records(&mut ciphertext[at..]), &mut sink, outgoing),
                Side::Server(side) => step(side.process_tls_records(&mut ciphertext[at..]), &mut sink, outgoing),
            };
            at += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::PeerClosed) => *closed = Some(Ends::Properly),
                Ok(Step::Blocked) => break Ok(filled),
                Err(error) => break Err(error),
            }
        };
        incoming.extend_from_slice(&ciphertext[at..]);
        match result {
            Ok(filled) => Ok(filled),
            Err(error) => {
                self.queue_alert();
                self.error = Some(error.clone());
                if filled > 0 { Ok(filled) } else { Err(failed(error)) }
            }
        }
    }

    /// After an error, rustls has one more thing to say to the peer.
    fn queue_alert(&mut self) {
        let mut ignored = |_: &[u8]| {};
        let outgoing = &mut self.outgoing;
        for _ in 0..2 {
            let (_, step) = match &mut self.side {
                Side::Client(side) => step(side.process_tls_records(&mut []), &mut ignored, outgoing),
                Side::Server(side) => step(side.process_tls_records(&mut []), &mut ignored, outgoing),
            };
            if !matches!(step, Ok(Step::More)) {
                return;
            }
        }
    }

    fn encrypt(&mut self, bytes: &[u8], ciphertext: &mut Vec<u8>) -> io::Result<usize> {
        let incoming = &mut self.incoming;
        match &mut self.side {
            Side::Client(side) => encrypt(side.process_tls_records(incoming), bytes, ciphertext),
            Side::Server(side) => encrypt(side.process_tls_records(incoming), bytes, ciphertext),
        }
    }
}

const CUT_OFF: &str = "the peer ended the stream without TLS's close_notify: something may be missing";

fn failed(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What one call of rustls came to.
enum Step {
    More,
    PeerClosed,
    Blocked,
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut dyn FnMut(&[u8]),
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Step, TlsError>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut result = Ok(Step::More);
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        sink(record.payload);
                    }
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            result
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = outgoing.len();
            outgoing.resize(start + 1024, 0);
            let written = match data.encode(&mut outgoing[start..]) {
                Err(EncodeError::InsufficientSize(size)) => {
                    outgoing.resize(start + size.required_size, 0);
                    data.encode(&mut outgoing[start..])
                }
                result => result,
            };
            outgoing.truncate(start + *written.as_ref().unwrap_or(&0));
            written.map(|_| Step::More).map_err(|error| TlsError::General(error.to_string()))
        }
        // It was queued behind what was to be written before: that is all that matters.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::More)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::Closed | ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
            Ok(Step::Blocked)
        }
        // Early data is never offered and never accepted.
        Ok(_) => Err(TlsError::General("a state of TLS that was not asked for".to_owned())),
    };
    (discard, step)
}

fn encrypt<Data>(status: UnbufferedStatus<'_, '_, Data>, bytes: &[u8], ciphertext: &mut Vec<u8>) -> io::Result<usize> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match traffic.encrypt(bytes, ciphertext) {
            Err(EncryptError::InsufficientSize(size)) => {
                ciphertext.resize(size.required_size, 0);
                traffic.encrypt(bytes, ciphertext).map_err(io::Error::other)
            }
            result => result.map_err(io::Error::other),
        },
        Ok(_) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "TLS takes no more data")),
        Err(error) => Err(failed(error)),
    }
}

fn goodbye<Data>(status: UnbufferedStatus<'_, '_, Data>, alert: &mut [u8]) -> usize {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(alert).unwrap_or(0),
        _ => 0,
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("alpn", &self.alpn()).field("closed", &self.closed).finish_non_exhaustive()
    }
}
