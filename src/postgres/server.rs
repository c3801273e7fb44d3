//! What is known of the server at the other end of one connection: who let us in, and what it keeps for us.

#[cfg(feature = "tls")]
use super::settings::{OnlyTls, Roots};
use super::{Cache, Secret, Settings, SslMode, Target, Way};
use crate::protocols::postgres::{Binding, CancelKey, Client, Login, Message, ScramKey, Tls};
use crate::reactor::Reason;
#[cfg(feature = "tls")]
use crate::reactor::{TlsSettings, TlsVersion};

/// One connection's worth of server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) statements: Cache,
    /// What it takes to cancel what runs there.
    pub(crate) key: Option<CancelKey>,
    /// It was reached inside TLS.
    pub(crate) tls: bool,
    /// What may run there was given up.
    pub(crate) interrupted: bool,
    /// It let us in, and is what was wanted.
    pub(crate) greeted: bool,
    /// It let us in, and is not.
    pub(crate) unsuited: bool,
    /// It was asked what it is.
    pub(crate) asked: bool,
    /// And has not answered yet.
    pub(crate) questioned: bool,
    /// Its sessions may not write, where it said so.
    read_only: Option<bool>,
    /// It is in recovery, where it said so.
    standby: Option<bool>,
}

/// What a server is asked that does not say of itself what it is: one before 14, or one behind a pooler.
pub(crate) const WHAT_IT_IS: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

impl Server {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            statements: Cache::new(settings.prepared),
            key: None,
            tls: false,
            interrupted: false,
            greeted: false,
            unsuited: false,
            asked: false,
            questioned: false,
            read_only: None,
            standby: None,
        }
    }

    /// Takes note of what it says by itself. `true`: nobody else wants to know.
    pub(crate) fn hears(&mut self, message: &Message<'_>) -> bool {
        match message {
            Message::Key(key) => self.key = Some(key.to_key()),
            Message::Parameter { name: b"in_hot_standby", value } => self.standby = Some(*value == b"on"),
            Message::Parameter { name: b"default_transaction_read_only", value } => {
                self.read_only = Some(*value == b"on");
            }
            _ => return false,
        }
        true
    }

    /// It must be asked before it is known whether it is what was asked for.
    pub(crate) fn wants_question(&self, target: Target) -> bool {
        target != Target::Any && !self.asked && (self.standby.is_none() || self.read_only.is_none())
    }

    /// The answer to [`WHAT_IT_IS`].
    pub(crate) fn answers(&mut self, row: &crate::protocols::postgres::Row<'_>) {
        let mut fields = row.fields().map(|field| field.map(|text| matches!(text, b"t" | b"on")));
        self.standby = fields.next().flatten();
        self.read_only = fields.next().flatten();
    }

    /// It is what was asked for (`target_session_attrs`).
    pub(crate) fn suits(&self, target: Target) -> bool {
        // Whoever does not say what it is, is nothing in particular.
        let (standby, read_only) = match (self.standby, self.read_only) {
            (Some(standby), Some(read_only)) => (standby, read_only),
            _ => return target == Target::Any,
        };
        match target {
            Target::Any => true,
            Target::ReadWrite => !read_only && !standby,
            Target::ReadOnly => read_only || standby,
            Target::Primary => !standby,
            Target::Standby | Target::PreferStandby => standby,
        }
    }
}

#[cfg(feature = "tls")]
impl super::settings::Ssl {
    /// TLS as it is wanted here, with the files read; `own`: where nothing else is said.
    pub(crate) fn settings(&self, own: &TlsSettings) -> Result<TlsSettings, String> {
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let mut tls = match &self.roots {
            Roots::Default => own.clone(),
            Roots::System => TlsSettings::new(),
            Roots::File(path) => TlsSettings::new().roots_pem(read(path)?),
        };
        tls = match self.mode {
            SslMode::VerifyFull => tls,
            SslMode::VerifyCa => tls.accept_any_name(),
            // With a file of roots, as libpq: "SSL Mode Descriptions".
            SslMode::Require if matches!(self.roots, Roots::File(_)) => tls.accept_any_name(),
            _ => tls.insecure_accept_any_certificate(),
        };
        if let Some((chain, key)) = &self.identity {
            tls = tls.identity_pem(read(chain)?, read(key)?);
        }
        Ok(match self.only {
            None => tls,
            Some(OnlyTls::Tls12) => tls.only(TlsVersion::Tls12),
            Some(OnlyTls::Tls13) => tls.only(TlsVersion::Tls13),
        })
    }
}

impl Settings {
    /// TLS comes before the first byte.
    pub(crate) fn is_direct(&self) -> bool {
        self.ssl.negotiation == super::SslNegotiation::Direct && self.ssl.mode >= SslMode::Require
    }

    /// Why a connection came to nothing before anything was said on it, in words.
    pub(crate) fn explain(&self, reason: &Reason) -> String {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let words = reason.to_string();
        match reason {
            // What a hello of TLS begins with is no length of a startup message: they hang up without a word.
            Reason::Io(error)
                if self.is_direct()
                    && matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) =>
            {
                format!("{words}: servers before PostgreSQL 17 do so with sslnegotiation=direct")
            }
            _ => words,
        }
    }

    /// The machine of a new connection on one of the ways. `entropy`: nobody can foretell it. `key`: what an earlier login
    /// came to. `plain`: without TLS, where there may be none. `Err`: why there can be none, in words.
    pub(crate) fn machine(
        &self,
        way: Way,
        on_socket: bool,
        entropy: [u8; 18],
        key: Option<ScramKey>,
    ) -> Result<Client, String> {
        let mut login = Login::new(self.user.clone()).database(self.database());
        for (name, value) in [("application_name", &self.application), ("options", &self.options)] {
            if let Some(value) = value {
                login = login.parameter(name, value.clone());
            }
        }
        login = login.parameter("client_encoding", "UTF8");
        for (name, value) in &self.parameters {
            login = login.parameter(name.clone(), value.clone());
        }
        if let Some(Secret(password)) = self.hosts.get(way.host).and_then(|host| host.password.as_ref()) {
            login = login.password(password.clone(), entropy);
        }
        if let Some(key) = key {
            login = login.scram_key(key);
        }
        let direct = self.is_direct();
        login = login.tls(match self.ssl.mode {
            _ if on_socket => Tls::Disable,
            SslMode::Allow if way.second => Tls::Require,
            SslMode::Disable | SslMode::Allow => Tls::Disable,
            SslMode::Prefer if way.second => Tls::Disable,
            SslMode::Prefer if cfg!(feature = "tls") => Tls::Prefer,
            SslMode::Prefer => Tls::Disable,
            _ if direct => Tls::Direct,
            _ => Tls::Require,
        });
        login = login.versions(self.versions.0, self.versions.1);
        login = login.binding(match self.binding {
            super::ChannelBinding::Disable => Binding::Disable,
            super::ChannelBinding::Prefer => Binding::Prefer,
            super::ChannelBinding::Require => Binding::Require,
        });
        let machine = Client::new(login).map_err(|refused| refused.to_string())?;
        Ok(machine.limits(self.limits).pipeline(self.pipeline))
    }
}
