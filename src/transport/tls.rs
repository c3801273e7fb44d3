//! TLS over any byte stream, by rustls without buffers of its own: ciphertext passes through buffers that all connections
//! of a reactor share, so that an idle connection keeps only its keys. This folder alone calls rustls; what is trusted is
//! decided in `settings` and `trust`, and no protocol is known here.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

use super::binding::{self, Exporter};
use super::{Filled, Raw, words};
use crate::protocols::ChannelBinding;

/// How to begin TLS on a connection: the settings, and the name that the certificate must have.
#[derive(Clone)]
pub struct Tls {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
    exporter: bool,
}

impl Tls {
    pub(crate) fn new(config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name, exporter: false }
    }

    /// Keeps what [`ChannelBinding::tls_exporter`] needs, on every connection that begins with this.
    #[must_use]
    pub fn keep_exporter(mut self) -> Self {
        self.exporter = true;
        self
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

/// The state of TLS on one connection.
pub(crate) struct Session {
    side: Side,
    /// Ciphertext of a record or a message that is not whole. Nothing is held while there is none.
    incoming: Vec<u8>,
    /// Ciphertext that the socket did not take, from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    /// Plaintext that the reader had no room for, from `read` on.
    plain: Vec<u8>,
    read: usize,
    /// Ciphertext that was used up since the last plaintext.
    fruitless: usize,
    ended: Option<Ended>,
    exporter: Option<Arc<Exporter>>,
}

/// Why nothing more will come.
#[derive(Debug)]
enum Ended {
    /// The peer said close_notify (RFC 8446 §6.1).
    Properly,
    /// The stream ended without: what came may be less than what was sent.
    CutOff,
    /// TLS failed, in words. What it has to tell the peer about that is in `outgoing`; nothing else may follow.
    Failed(Box<str>),
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The same for both sides, whose types differ.
macro_rules! on_either {
    ($side:expr, $connection:ident => $work:expr) => {
        match $side {
            Side::Client($connection) => $work,
            Side::Server($connection) => $work,
        }
    };
}

/// Buffers for ciphertext that all connections of a reactor lend from it.
#[derive(Default)]
pub(crate) struct Ciphertext {
    read: Vec<u8>,
    write: Vec<u8>,
}

// Records are decrypted in place.
impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ciphertext").finish_non_exhaustive()
    }
}

/// Ciphertext worked through at once: with what was kept, no more plaintext than a reader usually has room for.
const READ: usize = 64 << 10;
/// A read has room for a whole record at least (RFC 8446 §5.2, RFC 5246 §6.2.3).
const RECORD: usize = (16 << 10) + 2048 + 5;
/// Ciphertext kept for a message that is not whole. Handshake messages end at 64 KiB in rustls; only one that came in
/// crumbs, each a record with its head, needs more than this, and would be copied again with every crumb.
const KEPT: usize = 128 << 10;
/// Ciphertext that may come to nothing before there is some plaintext. rustls counts empty records and key updates, and
/// its handshake ends; tickets it takes without end, each with some work (RFC 8446 §4.6.1 allows any number).
const FRUITLESS: usize = 256 << 10;
/// Plaintext encrypted at once: four full records.
const WRITE: usize = 64 << 10;
/// Room for what encryption adds to that. Where it is too little, rustls says how much it needs.
const OVERHEAD: usize = 4 * 256;
/// Reads that look for the peer's last words when it takes ours no more.
const LAST_WORDS: usize = 4;

impl Session {
    pub(crate) fn client(tls: &Tls) -> io::Result<Self> {
        let (exporter, config) = if tls.exporter {
            let (exporter, config) = Exporter::listen(&tls.config);
            (Some(exporter), config)
        } else {
            (None, tls.config.clone())
        };
        let side = UnbufferedClientConnection::new(config, tls.name.clone()).map_err(io::Error::other)?;
        let mut session = Self::new(Side::Client(side));
        session.exporter = exporter;
        // The client speaks first.
        session.process(&mut [], &mut []);
        Ok(session)
    }

    pub(crate) fn server(tls: &ServerTls) -> io::Result<Self> {
        let side = UnbufferedServerConnection::new(tls.config.clone()).map_err(io::Error::other)?;
        Ok(Self::new(Side::Server(side)))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            plain: Vec::new(),
            read: 0,
            fruitless: 0,
            ended: None,
            exporter: None,
        }
    }

    /// The protocol that both sides chose.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        on_either!(&self.side, side => side.alpn_protocol())
    }

    /// So many bytes of ciphertext wait for the socket.
    pub(crate) fn pending(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    fn is_pending(&self) -> bool {
        self.pending() > 0
    }

    /// Goes on with the handshake as far as it can. `true`: it is done.
    pub(crate) fn handshake(&mut self, raw: &mut Raw, lent: &mut Ciphertext) -> io::Result<bool> {
        // A peer that refuses says why and hangs up: when it takes nothing more, its words are still to be read.
        let mut broken = None;
        let mut reads = 0;
        loop {
            if broken.is_none() {
                broken = self.write_pending(raw).err();
            }
            self.check()?;
            if broken.is_none() && !self.is_handshaking() {
                return Ok(true);
            }
            let read = self.read_ciphertext(raw, lent, &mut []);
            match (read, broken.take()) {
                (Ok(Filled::Bytes { .. }), None) => {}
                (Ok(Filled::Bytes { .. }), Some(error)) if reads < LAST_WORDS => {
                    reads += 1;
                    broken = Some(error);
                }
                (_, Some(error)) | (Err(error), None) => return Err(hung_up(error)),
                (Ok(Filled::Empty), None) => return Ok(false),
                (Ok(Filled::Eof), None) => return Err(hung_up(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Reads plaintext, from the socket at most once: no plaintext at all is what comes of half a record, or of one that
    /// is for TLS itself.
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
        if self.ended.is_none() {
            match self.read_ciphertext(raw, lent, buffer)? {
                Filled::Bytes { count: 0, .. } if self.ended.is_some() => {}
                Filled::Eof => self.ended = Some(Ended::CutOff),
                filled => return Ok(filled),
            }
        }
        self.check()?;
        match self.ended {
            Some(Ended::CutOff) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, CUT_OFF)),
            _ => Ok(Filled::Eof),
        }
    }

    /// Encrypts and writes; returns how much plaintext was taken. Nothing is, as long as ciphertext waits.
    pub(crate) fn flush(&mut self, raw: &mut Raw, bytes: &[u8], lent: &mut Ciphertext) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            if !self.write_pending(raw)? || taken == bytes.len() {
                return Ok(taken);
            }
            if let Some(Ended::Failed(words)) = &self.ended {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, words.to_string()));
            }
            let part = &bytes[taken..bytes.len().min(taken + WRITE)];
            lent.write.resize(WRITE + OVERHEAD, 0);
            let count = self.encrypt(part, &mut lent.write)?;
            taken += part.len();
            let sent = raw.flush(&lent.write[..count])?;
            self.outgoing.extend_from_slice(&lent.write[sent..count]);
        }
    }

    /// Says close_notify, as far as the socket takes it. Once: after it, or after a fatal alert, there is nothing to say.
    pub(crate) fn goodbye(&mut self, raw: &mut Raw) {
        if !self.is_handshaking() && !matches!(self.ended, Some(Ended::Failed(_))) {
            let mut alert = [0; 128];
            let incoming = &mut self.incoming;
            let count =
                on_either!(&mut self.side, side => close_notify(side.process_tls_records(incoming), &mut alert));
            self.outgoing.extend_from_slice(&alert[..count]);
        }
        if self.write_pending(raw).is_err() {
            // The peer is gone, which is what we wanted to say.
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }
    }

    fn is_handshaking(&self) -> bool {
        on_either!(&self.side, side => side.is_handshaking())
    }

    /// An error, if TLS has failed.
    fn check(&self) -> io::Result<()> {
        match &self.ended {
            Some(Ended::Failed(words)) => Err(io::Error::new(io::ErrorKind::InvalidData, words.to_string())),
            _ => Ok(()),
        }
    }

    /// `true`: nothing waits any more.
    fn write_pending(&mut self, raw: &mut Raw) -> io::Result<bool> {
        if self.is_pending() {
            self.sent += raw.flush(&self.outgoing[self.sent..])?;
            if self.is_pending() {
                return Ok(false);
            }
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }
        Ok(true)
    }

    /// One read from the socket, and all whole records in it. `count` is of plaintext. A failure is in `ended`: what was
    /// decrypted before it is delivered first, and so is its alert.
    fn read_ciphertext(&mut self, raw: &mut Raw, lent: &mut Ciphertext, buffer: &mut [u8]) -> io::Result<Filled> {
        // What is not whole goes before what is read now: records are decrypted in one piece.
        let kept = self.incoming.len();
        let end = READ.max(kept + RECORD);
        if lent.read.len() < end {
            lent.read.resize(end, 0);
        }
        let (count, drained) = match raw.fill(&mut lent.read[kept..end])? {
            Filled::Bytes { count, drained } => (count, drained),
            other => return Ok(other),
        };
        lent.read[..kept].copy_from_slice(&self.incoming);
        let ciphertext = &mut lent.read[..kept + count];
        let (used, count) = self.process(ciphertext, buffer);
        self.fruitless = if count > 0 || !self.plain.is_empty() { 0 } else { self.fruitless + used };
        if self.fruitless > FRUITLESS && self.ended.is_none() {
            self.ended = Some(Ended::Failed("the peer sends records without data, and no end of them".into()));
        }
        self.keep(&ciphertext[used..]);
        // The end is told by the next call, and there must be one: no readiness will ask for it.
        let drained = drained && self.ended.is_none() && self.plain.is_empty();
        Ok(Filled::Bytes { count, drained })
    }

    /// Keeps what is not whole.
    fn keep(&mut self, ciphertext: &[u8]) {
        if ciphertext.is_empty() || self.ended.is_some() {
            // RFC 8446 §6.1: what follows the end is ignored.
            self.incoming = Vec::new();
        } else if ciphertext.len() > KEPT {
            self.incoming = Vec::new();
            self.ended = Some(Ended::Failed("the peer sends a message in too many crumbs".into()));
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(ciphertext);
        }
    }

    /// Works through whole records. Plaintext goes to `buffer` and what it has no room for to `plain`. Returns how much
    /// ciphertext was used, and how much went to `buffer`.
    fn process(&mut self, ciphertext: &mut [u8], buffer: &mut [u8]) -> (usize, usize) {
        let Self { side, outgoing, plain, ended, .. } = self;
        let (mut used, mut filled) = (0, 0);
        let mut sink = |bytes: &[u8]| {
            let count = if plain.is_empty() { bytes.len().min(buffer.len() - filled) } else { 0 };
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            plain.extend_from_slice(&bytes[count..]);
        };
        let failure = loop {
            let (discard, step) = on_either!(
                &mut *side,
                side => step(side.process_tls_records(&mut ciphertext[used..]), &mut sink, outgoing)
            );
            used += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::PeerClosed) => *ended = Some(Ended::Properly),
                Ok(Step::Blocked) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = failure {
            self.fail(&error);
        }
        (used, filled)
    }

    /// Nothing more is read, and rustls says what it has to say to the peer.
    fn fail(&mut self, error: &rustls::Error) {
        let words = words::failure(error, self.is_handshaking());
        self.ended = Some(Ended::Failed(words.into()));
        let outgoing = &mut self.outgoing;
        // As long as it has something to write it reads nothing, which it must not: it would miss what it keeps in mind
        // of the ciphertext that is dropped here.
        while on_either!(&self.side, side => side.wants_write()) {
            let (_, step) = on_either!(
                &mut self.side,
                side => step(side.process_tls_records(&mut []), &mut |_| {}, outgoing)
            );
            if step.is_err() {
                return;
            }
        }
    }

    fn encrypt(&mut self, bytes: &[u8], ciphertext: &mut Vec<u8>) -> io::Result<usize> {
        let incoming = &mut self.incoming;
        on_either!(&mut self.side, side => encrypt(side.process_tls_records(incoming), bytes, ciphertext))
    }
}

impl ChannelBinding for Session {
    fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        match &self.side {
            Side::Client(side) => binding::server_end_point(side.peer_certificates()?.first()?),
            Side::Server(_) => None,
        }
    }

    fn tls_exporter(&self) -> Option<[u8; 32]> {
        let suite = on_either!(&self.side, side => side.negotiated_cipher_suite())?;
        self.exporter.as_ref()?.channel_binding(suite)
    }
}

const CUT_OFF: &str = "the peer ended the stream without TLS's close_notify: something may be missing";

/// The connection went away before TLS was up.
fn hung_up(error: io::Error) -> io::Error {
    let words = match error.kind() {
        io::ErrorKind::InvalidData => return error,
        io::ErrorKind::UnexpectedEof => "the peer closed the connection during the TLS handshake".to_owned(),
        _ => format!("{error}, during the TLS handshake"),
    };
    io::Error::new(error.kind(), words)
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
) -> (usize, Result<Step, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::More),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = outgoing.len();
            let mut written = data.encode(&mut outgoing[start..]);
            if let Err(EncodeError::InsufficientSize(size)) = &written {
                outgoing.resize(start + size.required_size, 0);
                written = data.encode(&mut outgoing[start..]);
            }
            outgoing.truncate(start + *written.as_ref().unwrap_or(&0));
            written.map(|_| Step::More).map_err(|error| rustls::Error::General(error.to_string()))
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
        Ok(_) => Err(rustls::Error::General("a state of TLS that was not asked for".to_owned())),
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
        Err(error) => Err(io::Error::other(error)),
    }
}

fn close_notify<Data>(status: UnbufferedStatus<'_, '_, Data>, alert: &mut [u8]) -> usize {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(alert).unwrap_or(0),
        _ => 0,
    }
}

// It holds secrets, and what it sends.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("alpn", &self.alpn()).field("ended", &self.ended).finish_non_exhaustive()
    }
}
