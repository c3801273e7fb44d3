//! The login: who we are, how we prove it, and what we want of TLS. Gone when the server lets us in, and the password
//! with it.

use core::fmt;

use super::request::{CancelKey, bare, message, push_length, push_text, without_kind};
use super::scram::{Scram, ScramKey, md5};
use super::view::negotiation;
use super::{Limits, Violation};
use crate::{Error, Established, Refused};

/// What is said before the first request.
///
/// The ways to log in are those of the server's choice: none, SCRAM-SHA-256 and, where TLS offers something to be bound
/// to, SCRAM-SHA-256-PLUS, MD5, and the password in clear unless [`no_clear_text`](Self::no_clear_text) forbids it.
#[derive(Clone)]
pub struct Login {
    user: String,
    /// Names and values for the startup message, behind the user.
    parameters: Vec<(String, String)>,
    password: Option<Vec<u8>>,
    entropy: [u8; 18],
    key: Option<ScramKey>,
    clear_text: bool,
    binding: Binding,
    pub(super) tls: Tls,
    /// The versions of the protocol that will do, the greatest of which is asked for.
    versions: (ProtocolVersion, ProtocolVersion),
    /// All that is said, in place of a login.
    interrupt: Option<CancelKey>,
}

/// Whether TLS is asked for on a connection that comes without (`sslmode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tls {
    /// It is not.
    #[default]
    Disable,
    /// It is, and the connection goes on without where the server has none. Whoever sits between can say so too.
    Prefer,
    /// It is, and nothing is said where there is none.
    Require,
    /// It is there from the first byte, or nothing is said (`sslnegotiation=direct`, servers from 17 on). Must have agreed
    /// on `postgresql` by ALPN.
    Direct,
}

/// A version of the protocol. There is no 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// What every server speaks.
    #[default]
    V3_0,
    /// Servers from 18 on: keys to cancel with may have up to 256 bytes in place of 4.
    V3_2,
}

impl ProtocolVersion {
    /// The greatest that is known here.
    pub const LATEST: Self = Self::V3_2;

    /// As StartupMessage has it.
    fn number(self) -> u32 {
        match self {
            Self::V3_0 => 3 << 16,
            Self::V3_2 => 3 << 16 | 2,
        }
    }
}

/// Whether the login is tied to the TLS connection (`channel_binding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// It is not.
    Disable,
    /// Where it can be.
    #[default]
    Prefer,
    /// It is, or there is no login: whoever sits between cannot pass it on.
    Require,
}

impl Login {
    /// A user without a password, in the database of the same name.
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            parameters: Vec::new(),
            password: None,
            entropy: [0; 18],
            key: None,
            clear_text: true,
            binding: Binding::default(),
            tls: Tls::default(),
            versions: Default::default(),
            interrupt: None,
        }
    }

    /// No login at all: what runs on another connection is to be cancelled ([`CancelKey::request`]), inside TLS where it is
    /// asked for. The server hangs up, and that is all.
    pub fn interrupt(key: CancelKey) -> Self {
        Self { interrupt: Some(key), ..Self::new("nobody") }
    }

    /// Another database than that of the user's name.
    #[must_use]
    pub fn database(self, name: impl Into<String>) -> Self {
        self.parameter("database", name)
    }

    /// A setting for the session: `application_name`, `client_encoding`, `options`, `search_path`.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// The password, and 18 bytes that nobody can foretell, other ones for each connection: SCRAM makes its nonce of them,
    /// and this crate has no source of its own.
    #[must_use]
    pub fn password(mut self, password: impl Into<Vec<u8>>, entropy: [u8; 18]) -> Self {
        self.password = Some(password.into());
        self.entropy = entropy;
        self
    }

    /// What [`Client::scram_key`](super::Client::scram_key) brought on another connection with the same password: saves
    /// the iterations, where the server still has the same salt.
    #[must_use]
    pub fn scram_key(mut self, key: ScramKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The password does not leave in clear, nor as MD5, which is hardly better: not inside TLS either.
    #[must_use]
    pub fn no_clear_text(mut self) -> Self {
        self.clear_text = false;
        self
    }

    /// Whether the login is tied to the TLS connection: [`Binding::Prefer`] unless set.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.binding = binding;
        self
    }

    /// Whether to ask for TLS: [`Tls::Disable`] unless set.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The least and the greatest version of the protocol: 3.0 alone unless set, as libpq has it. The greatest is asked for,
    /// and a server that does not know it names another; below the least there is no login. Some poolers hang up at another
    /// version than 3.0.
    #[must_use]
    pub fn versions(mut self, least: ProtocolVersion, greatest: ProtocolVersion) -> Self {
        self.versions = (least, greatest);
        self
    }

    /// The version that is asked for.
    pub(super) fn version(&self) -> ProtocolVersion {
        self.versions.1
    }

    /// It can be written.
    pub(super) fn check(&self) -> Result<(), Refused> {
        if self.versions.0 > self.versions.1 {
            return Err(Refused::Misuse("a least version of the protocol above the greatest"));
        }
        let mut texts = self.parameters.iter().flat_map(|(name, value)| [name, value]);
        if self.user.is_empty() || self.parameters.iter().any(|(name, _)| name.is_empty()) {
            return Err(Refused::Misuse("a login with an empty name"));
        }
        if self.user.contains('\0') || texts.any(|text| text.contains('\0')) {
            return Err(Refused::Misuse("a login with NUL"));
        }
        if self.password.as_ref().is_some_and(|password| password.contains(&0)) {
            return Err(Refused::Misuse("a password with NUL"));
        }
        let length = |length: usize, (name, value): &(String, String)| length + name.len() + value.len();
        // MAX_STARTUP_PACKET_LENGTH of the server, less what stands between.
        if self.parameters.iter().fold(self.user.len() + 2 * self.parameters.len(), length) > 9_900 {
            return Err(Refused::Misuse("a login of more than 9,900 bytes"));
        }
        Ok(())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// A login on its way.
pub(super) struct Process {
    pub(super) login: Login,
    tls: bool,
    /// What TLS offers to be bound to.
    bound_to: Option<Vec<u8>>,
    step: Step,
    /// The server named a version.
    negotiated: bool,
    pub(super) key: Option<ScramKey>,
}

enum Step {
    /// Nothing was said by the server.
    Begun,
    /// A password was sent, in clear or hashed.
    Sent,
    Scram(Box<Scram>),
    /// The server knows the password too.
    Proven,
    /// We are in.
    Done,
}

impl Process {
    pub(super) fn new(login: Login) -> Self {
        Self { login, tls: false, bound_to: None, step: Step::Begun, negotiated: false, key: None }
    }

    /// We are in; settings and the first ReadyForQuery follow.
    pub(super) fn is_in(&self) -> bool {
        matches!(self.step, Step::Done)
    }

    /// The server said nothing yet.
    pub(super) fn is_begun(&self) -> bool {
        matches!(self.step, Step::Begun)
    }

    /// Says who we are.
    pub(super) fn begin(&mut self, at: Established<'_>, out: &mut Vec<u8>) -> Result<(), Violation> {
        match self.login.tls {
            Tls::Direct if !at.tls => return Err(Violation::NoTls),
            Tls::Direct if at.alpn != Some(b"postgresql") => return Err(Violation::Alpn),
            _ if at.alpn.is_some_and(|alpn| alpn != b"postgresql") => return Err(Violation::Alpn),
            _ => {}
        }
        if let Some(key) = &self.login.interrupt {
            out.extend_from_slice(&key.request());
            return Ok(());
        }
        self.tls = at.tls;
        if at.tls && self.login.binding != Binding::Disable {
            self.bound_to = at.channel_binding.and_then(|binding| binding.tls_server_end_point());
        }
        if self.login.binding == Binding::Require && self.bound_to.is_none() {
            return Err(Violation::Unbound);
        }
        without_kind(out, |out| {
            out.extend_from_slice(&self.login.version().number().to_be_bytes());
            push_text("user", out);
            push_text(&self.login.user, out);
            for (name, value) in &self.login.parameters {
                push_text(name, out);
                push_text(value, out);
            }
            out.push(0);
        });
        Ok(())
    }

    /// The server may say that it does not know the version.
    pub(super) fn may_negotiate(&self) -> bool {
        self.is_begun() && !self.negotiated
    }

    /// It does not, and what it knows. Judged as libpq does: a lower version and no more than that, as nothing else was asked
    /// for that it could not know.
    pub(super) fn negotiate(&mut self, body: &[u8]) -> Result<ProtocolVersion, Violation> {
        let (number, unknown) = negotiation(body)?;
        let (least, asked) = self.login.versions;
        let known = [ProtocolVersion::V3_0, ProtocolVersion::V3_2].into_iter().find(|it| it.number() == number);
        match known {
            Some(version) if version < asked && unknown == 0 => {
                if version < least {
                    return Err(Violation::Version);
                }
                self.negotiated = true;
                Ok(version)
            }
            _ => Err(Violation::Negotiation),
        }
    }

    /// One of the Authentication messages came.
    pub(super) fn answer(&mut self, body: &[u8], limits: Limits, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some((kind, rest)) = body.split_first_chunk() else { return Err(Violation::Format.into()) };
        let kind = u32::from_be_bytes(*kind);
        let bound = self.login.binding == Binding::Require;
        match (kind, &mut self.step) {
            (0, _) if !rest.is_empty() => return Err(Violation::Format.into()),
            (0, Step::Begun | Step::Sent) if bound => return Err(Violation::Unbound.into()),
            (0, Step::Begun | Step::Sent | Step::Proven) => self.step = Step::Done,
            (0, Step::Scram(_)) => return Err(Violation::Unproven.into()),
            (3 | 5, Step::Begun) => {
                if bound {
                    return Err(Violation::Unbound.into());
                }
                if !self.login.clear_text {
                    return Err(Violation::Authentication.into());
                }
                let length = if kind == 3 { 0 } else { 4 };
                if rest.len() != length {
                    return Err(Violation::Format.into());
                }
                let password = self.login.password.as_deref().ok_or(Violation::NoPassword)?;
                message(b'p', out, |out| {
                    match kind {
                        3 => out.extend_from_slice(password),
                        _ => out.extend_from_slice(md5(self.login.user.as_bytes(), password, rest).as_bytes()),
                    }
                    out.push(0);
                });
                self.step = Step::Sent;
            }
            (10, Step::Begun) => self.begin_scram(rest, out)?,
            (11, Step::Scram(scram)) => {
                let password = self.login.password.as_deref().unwrap_or_default();
                let (proof, key) = scram.answer(rest, password, self.login.key.as_ref(), limits)?;
                self.key = Some(key);
                message(b'p', out, |out| out.extend_from_slice(&proof));
            }
            (12, Step::Scram(scram)) => {
                scram.finish(rest)?;
                self.step = Step::Proven;
            }
            (0 | 3 | 5 | 10..=12, _) => return Err(Violation::Unexpected.into()),
            _ => return Err(Violation::Authentication.into()),
        }
        Ok(())
    }

    fn begin_scram(&mut self, mechanisms: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        let Some(mechanisms) = mechanisms.strip_suffix(b"\0\0") else { return Err(Violation::Format) };
        let (mut plain, mut plus) = (false, false);
        for mechanism in mechanisms.split(|byte| *byte == 0) {
            plain |= mechanism == b"SCRAM-SHA-256";
            plus |= mechanism == b"SCRAM-SHA-256-PLUS";
        }
        if plus && !self.tls {
            // There is nothing that it could be bound to.
            return Err(Violation::Authentication);
        }
        // `y`: we could, and believe that the server cannot. It knows better where somebody took its offer away.
        let (name, header, bound_to) = match &self.bound_to {
            Some(bound_to) if plus => ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", &bound_to[..]),
            _ if self.login.binding == Binding::Require => return Err(Violation::Unbound),
            _ if !plain => return Err(Violation::Authentication),
            Some(_) => ("SCRAM-SHA-256", "y,,", &[][..]),
            None => ("SCRAM-SHA-256", "n,,", &[][..]),
        };
        if self.login.password.is_none() {
            return Err(Violation::NoPassword);
        }
        let (scram, first) = Scram::new(&self.login.entropy, header, bound_to);
        message(b'p', out, |out| {
            push_text(name, out);
            push_length(first.len(), out);
            out.extend_from_slice(&first);
        });
        self.step = Step::Scram(Box::new(scram));
        Ok(())
    }

    /// Asks for TLS.
    pub(super) fn ask_for_tls(out: &mut Vec<u8>) {
        without_kind(out, |out| out.extend_from_slice(&80_877_103_u32.to_be_bytes()));
    }
}

/// The goodbye.
pub(super) fn terminate(out: &mut Vec<u8>) {
    bare(b'X', out);
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("login", &self.login).finish_non_exhaustive()
    }
}
