//! Where servers are and who one is there, as a value. `words` reads connection strings, `surroundings` the environment and
//! the files of libpq, `options` judges what both bring. Nothing here opens a connection, and no password is ever shown.

mod options;
mod surroundings;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Limits, ProtocolVersion};
use crate::error::Error;
use crate::url::{Scheme, Url};

/// Servers, and who one is there: what [`Statement`](super::Statement)s are made from.
///
/// It is cheap to clone. Connections are shared among all that are equal.
///
/// ```
/// use aquests::postgres::Postgres;
///
/// let db = Postgres::at("127.0.0.1:5432", "mydb").user("test", "1111");
/// let same = Postgres::parse("postgres://test:1111@127.0.0.1:5432/mydb?sslmode=disable")?;
/// # Ok::<(), aquests::Error>(())
/// ```
///
/// # Where things come from
///
/// [`at`](Self::at) knows what the program says and nothing else. [`parse`](Self::parse) and [`from_env`](Self::from_env)
/// do as libpq 15 does, with the keywords that later ones added for TLS and versions of the protocol: what the text does not say comes from the service file, then from the `PG…` variables, then from
/// libpq's defaults; and a password that is still missing from the password file. Beside libpq's:
///
/// - The user's name that is nowhere said is that in `USER` or `LOGNAME`, not the one of the system's accounts.
/// - Without `sslrootcert`, `verify-ca` and `verify-full` trust the roots of the system.
/// - What cannot be honoured is an error that says so: CRLs, passwords of keys, `requirepeer`, GSSAPI where it is
///   demanded, replication, TLS below 1.2. `keepalives…` and what only GSSAPI reads are accepted and mean nothing.
///
/// # Limits
///
/// | what | default | setter | source |
/// |---|---|---|---|
/// | statements that a connection keeps prepared | 64 | [`prepared`](Self::prepared) | pgjdbc keeps 256 in 5 MiB |
/// | requests on their way on a connection | 32 | [`pipeline`](Self::pipeline) | where a round trip stops to matter |
/// | what a server may send | [`Limits`] | [`limits`](Self::limits) | there |
/// | bytes of a password or service file | 1 MiB | none | nobody writes more |
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Postgres {
    settings: Arc<Settings>,
}

/// All of it. Connections belong to requests whose settings are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) hosts: Vec<Host>,
    /// Empty where nobody said one: an error when it is used.
    pub(crate) user: String,
    pub(crate) database: Option<String>,
    pub(crate) ssl: Ssl,
    /// The least and the greatest version of the protocol.
    pub(crate) versions: (ProtocolVersion, ProtocolVersion),
    pub(crate) binding: ChannelBinding,
    pub(crate) target: Target,
    pub(crate) balance: LoadBalance,
    /// Per address; none is the client's own.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) application: Option<String>,
    pub(crate) options: Option<String>,
    /// More for the startup message, names and values.
    pub(crate) parameters: Vec<(String, String)>,
    /// Types that come in binary besides those that are known.
    pub(crate) binary: Vec<String>,
    pub(crate) prepared: usize,
    pub(crate) pipeline: u16,
    pub(crate) limits: Limits,
    /// What is wrong, where it was said by something that does not fail.
    invalid: Option<String>,
}

/// One of the servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) password: Option<Secret>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A name or an address without brackets, and where `hostaddr` said so the address that it has.
    Host { name: String, address: Option<std::net::IpAddr> },
    /// The folder of a socket.
    Socket(PathBuf),
}

/// TLS in the words of libpq.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ssl {
    pub(crate) mode: SslMode,
    pub(crate) negotiation: SslNegotiation,
    pub(crate) roots: Roots,
    /// PEM files: the chain and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// TLS 1.3, or 1.2, and no other.
    pub(crate) only: Option<OnlyTls>,
}

/// Whom to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Roots {
    /// The settings of the client.
    #[default]
    Default,
    /// The system.
    System,
    /// A PEM file.
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OnlyTls {
    Tls12,
    Tls13,
}

/// Whether there is TLS, and what is asked of the certificate (`sslmode`). On a unix socket there never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// None, unless the server refuses to go on without.
    Allow,
    /// Where the server has it. Whoever sits between can say that it has none.
    #[default]
    Prefer,
    /// Always, with whatever certificate; with a file of roots, as [`VerifyCa`](Self::VerifyCa).
    Require,
    /// Always, with a certificate that is trusted, whatever its name.
    VerifyCa,
    /// Always, with a trusted certificate that has the host's name.
    VerifyFull,
}

/// How TLS begins (`sslnegotiation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SslNegotiation {
    /// The server is asked first: one round trip.
    #[default]
    Postgres,
    /// It begins with the first byte: servers from 17 on.
    Direct,
}

/// Whether a login by SCRAM is tied to the TLS connection (`channel_binding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelBinding {
    /// It is not.
    Disable,
    /// Where it can be.
    #[default]
    Prefer,
    /// It is, or there is no login.
    Require,
}

/// Which of several servers is wanted (`target_session_attrs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The first that lets us in.
    #[default]
    Any,
    /// One whose sessions may write.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is.
    Standby,
    /// A standby, or any where there is none.
    PreferStandby,
}

/// In which order several servers are tried (`load_balance_hosts`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadBalance {
    /// As they were named.
    #[default]
    Disable,
    /// Another one for each connection.
    Random,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Without what is set for the session, which may be secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("Settings")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("ssl", &self.ssl)
            .field("target", &self.target)
            .field("parameters", &names)
            .field("invalid", &self.invalid)
            .finish_non_exhaustive()
    }
}

const PORT: u16 = 5432;
const PREPARED: usize = 64;
const PIPELINE: u16 = 32;

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            user: String::new(),
            database: None,
            ssl: Ssl::default(),
            versions: Default::default(),
            binding: ChannelBinding::default(),
            target: Target::default(),
            balance: LoadBalance::default(),
            connect_timeout: None,
            application: None,
            options: None,
            parameters: Vec::new(),
            binary: Vec::new(),
            prepared: PREPARED,
            pipeline: PIPELINE,
            limits: Limits::default(),
            invalid: None,
        }
    }
}

impl Settings {
    /// The database's name: the user's where nobody said another.
    pub(crate) fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }

    /// Where it is, without who one is.
    pub(crate) fn url(&self) -> Url {
        let target = format!("/{}", self.database());
        match self.hosts.first() {
            Some(Host { place: Place::Host { name, .. }, port, .. }) => {
                Url::of_database(Scheme::Postgres, name, *port, target)
            }
            Some(Host { place: Place::Socket(folder), port, .. }) => {
                let target = format!("{target}?host={}", folder.display());
                Url::of_database(Scheme::Postgres, "localhost", *port, target)
            }
            None => Url::of_database(Scheme::Postgres, "localhost", PORT, target),
        }
    }

    /// Nothing is wrong with it that could be known before a connection is tried.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(words) = &self.invalid {
            return Err(Error::invalid(words.clone()));
        }
        if self.user.is_empty() {
            return Err(Error::invalid("PostgreSQL wants to know a user: name one"));
        }
        let demands = self.ssl.mode >= SslMode::Require;
        if demands && !cfg!(feature = "tls") {
            return Err(Error::invalid("sslmode demands TLS, which this program was built without"));
        }
        if self.ssl.negotiation == SslNegotiation::Direct && !demands {
            return Err(Error::invalid("sslnegotiation=direct wants sslmode=require or stronger"));
        }
        if self.versions.0 > self.versions.1 {
            return Err(Error::invalid("min_protocol_version is above max_protocol_version"));
        }
        if self.ssl.roots == Roots::System && self.ssl.mode != SslMode::VerifyFull {
            return Err(Error::invalid("sslrootcert=system wants sslmode=verify-full"));
        }
        let parameters = self.parameters.iter().flat_map(|(name, value)| [name, value]);
        let passwords = self.hosts.iter().filter_map(|host| host.password.as_ref()).map(|secret| &secret.0);
        let texts = [&self.user].into_iter().chain(&self.database).chain(&self.application).chain(&self.options);
        if texts.chain(parameters).chain(passwords).any(|text| text.contains('\0')) {
            return Err(Error::invalid("what PostgreSQL is told at the login has a NUL"));
        }
        Ok(())
    }
}

impl Postgres {
    /// A server, and the database there. `address` is a host with or without a port (`db.example.org`, `127.0.0.1:5432`,
    /// `[::1]:5432`), the folder of a socket (`/run/postgresql`, `/run/postgresql:5433`), or several with commas between,
    /// which are tried in that order. An empty name of a database is that of the user.
    ///
    /// What cannot be an address is told when a statement is sent.
    pub fn at(address: &str, database: &str) -> Self {
        let mut settings = Settings::default();
        for part in address.split(',') {
            match place(part.trim()) {
                Some((place, port)) => settings.hosts.push(Host { place, port, password: None }),
                None => settings.invalid = Some(format!("'{}' has no valid host and port", address.escape_debug())),
            }
        }
        settings.database = Some(database.to_owned()).filter(|name| !name.is_empty());
        Self { settings: settings.into() }
    }

    /// Where it is, without who one is: `postgres://db.example.org:5432/mydb`.
    pub fn url(&self) -> Url {
        self.settings.url()
    }

    /// Reads a URL (`postgres://user:password@host:port/database?sslmode=require`, with several hosts if need be) or
    /// libpq's `key=value` words (`host=/run/postgresql dbname=mydb`). What they do not say is looked up around the
    /// program: see above. PostgreSQL, "Connection Strings".
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_or(text, [])
    }

    /// [`parse`](Self::parse), with keywords and values for what neither the text nor anything around the program says:
    /// `[("sslmode", "verify-full")]`.
    pub fn parse_or<'a>(text: &str, otherwise: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let otherwise: Vec<_> = otherwise.into_iter().collect();
        Self::parse_in(text, &otherwise, &|name| std::env::var(name).ok())
    }

    /// Whether a URL is one of PostgreSQL.
    pub fn is_url(text: &str) -> bool {
        words::behind_scheme(text).is_some()
    }

    /// Whether a text is for PostgreSQL: a URL, or words (`host=… dbname=…`), which have a '=' where no URL has one, before
    /// any of `:/?#`. Whether the words are keywords of libpq is for [`parse`](Self::parse) to say, which shows no value.
    pub fn is_connection_string(text: &str) -> bool {
        Self::is_url(text) || words::are_words(text)
    }

    /// What the environment says, as `psql` without arguments.
    pub fn from_env() -> Result<Self, Error> {
        Self::parse("")
    }

    /// [`parse_or`](Self::parse_or) among these variables.
    pub(crate) fn parse_in(
        text: &str,
        otherwise: &[(&str, &str)],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let mut said = words::read(text)?;
        let around = surroundings::Surroundings { variable };
        around.complete(&mut said)?;
        for (keyword, value) in otherwise {
            said.entry(options::known(keyword)?).or_insert_with(|| (*value).to_owned());
        }
        let mut settings = options::judge(&said)?;
        settings.parameters = around.parameters();
        settings.check()?;
        around.passwords(&said, &mut settings)?;
        Ok(Self { settings: settings.into() })
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Who one is there. An empty password is none.
    #[must_use]
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let password = Some(Secret(password.into())).filter(|it| !it.0.is_empty());
        self.change(|it| {
            it.user = name.into();
            it.hosts.iter_mut().for_each(|host| host.password.clone_from(&password));
        })
    }

    /// Whether there is TLS: [`SslMode::Prefer`] unless set.
    #[must_use]
    pub fn ssl_mode(self, mode: SslMode) -> Self {
        self.change(|it| it.ssl.mode = mode)
    }

    /// How TLS begins: [`SslNegotiation::Postgres`] unless set.
    #[must_use]
    pub fn ssl_negotiation(self, negotiation: SslNegotiation) -> Self {
        self.change(|it| it.ssl.negotiation = negotiation)
    }

    /// The least and the greatest version of the protocol (`min_protocol_version`, `max_protocol_version`): 3.0 alone unless
    /// set, as some poolers hang up at any other.
    #[must_use]
    pub fn protocol_versions(self, least: ProtocolVersion, greatest: ProtocolVersion) -> Self {
        self.change(|it| it.versions = (least, greatest))
    }

    /// Trusts the certificates in this file (PEM) instead of those that the client trusts.
    #[must_use]
    pub fn ssl_root_cert(self, path: impl AsRef<Path>) -> Self {
        self.change(|it| it.ssl.roots = Roots::File(path.as_ref().to_owned()))
    }

    /// Shows the certificate in this file (PEM, the chain behind it), whose key is in the other (PEM, not encrypted).
    #[must_use]
    pub fn ssl_identity(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.change(|it| it.ssl.identity = Some((certificate.as_ref().to_owned(), key.as_ref().to_owned())))
    }

    /// Whether the login is tied to TLS: [`ChannelBinding::Prefer`] unless set.
    #[must_use]
    pub fn channel_binding(self, binding: ChannelBinding) -> Self {
        self.change(|it| it.binding = binding)
    }

    /// Which of several servers is wanted: [`Target::Any`] unless set.
    #[must_use]
    pub fn target_session_attrs(self, target: Target) -> Self {
        self.change(|it| it.target = target)
    }

    /// In which order several servers are tried: [`LoadBalance::Disable`] unless set.
    #[must_use]
    pub fn load_balance_hosts(self, balance: LoadBalance) -> Self {
        self.change(|it| it.balance = balance)
    }

    /// How long connecting to one address may take: what the client says unless set. Zero is that too.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.change(|it| it.connect_timeout = Some(timeout).filter(|it| !it.is_zero()))
    }

    /// What `pg_stat_activity` calls us.
    #[must_use]
    pub fn application_name(self, name: impl Into<String>) -> Self {
        self.change(|it| it.application = Some(name.into()))
    }

    /// Options for the server's process, as on its command line: `-c statement_timeout=1000`.
    #[must_use]
    pub fn options(self, options: impl Into<String>) -> Self {
        self.change(|it| it.options = Some(options.into()))
    }

    /// A setting of the session, at its beginning: `search_path`, `statement_timeout`.
    #[must_use]
    pub fn parameter(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|it| it.parameters.push((name.into(), value.into())))
    }

    /// Types of extensions whose values come in binary, by their names: for types of Rust that read them so, like those of
    /// other crates for `vector` or `geometry`. As text they cannot be had then. `citext`, `hstore` and the types of `ltree`
    /// need not be named. Parameters need no word: what a type of Rust writes in binary is sent so.
    #[must_use]
    pub fn binary_types(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.change(|it| it.binary = names.into_iter().map(Into::into).collect())
    }

    /// How many statements each connection keeps prepared: 64 unless set, 0 for none. The one that was not used for the
    /// longest time is forgotten first. A connection on which a statement that was prepared is not there any more keeps
    /// none from then on, as behind a pooler that gives each transaction another server: there, 0 saves the first try, and
    /// inside a transaction, where nothing can be tried again, the statement.
    #[must_use]
    pub fn prepared(self, statements: usize) -> Self {
        self.change(|it| it.prepared = statements)
    }

    /// How many requests may be on their way on a connection: 32 unless set, at least 1.
    ///
    /// Behind a pgbouncer before 1.22 it should be 1: where a client leaves it with more than one (a statement that is
    /// cancelled, or late), such a one gives the server to somebody else while answers are still to come, who then takes them
    /// for their own.
    #[must_use]
    pub fn pipeline(self, depth: u16) -> Self {
        self.change(|it| it.pipeline = depth.max(1))
    }

    /// What a server may send.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.change(|it| it.limits = limits)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.settings, f)
    }
}

/// `host`, `host:port`, `[address]:port`, `/folder`, `/folder:port`.
fn place(text: &str) -> Option<(Place, u16)> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed {
        Some((address, "")) => (address, None),
        Some((address, rest)) => (address, Some(rest.strip_prefix(':')?)),
        // An address of version 6 without brackets has no port.
        None if text.matches(':').count() > 1 && !text.starts_with('/') => (text, None),
        None => match text.rsplit_once(':') {
            Some((name, port)) if !port.contains('/') => (name, Some(port)),
            _ => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => PORT,
    };
    if name.is_empty() || name.contains(['\0', ' ', '@', '[', ']']) {
        return None;
    }
    Some((Place::of(name), port))
}

impl Place {
    /// A path is a folder, everything else a host.
    fn of(name: &str) -> Self {
        if name.starts_with('/') {
            Place::Socket(name.into())
        } else {
            Place::Host { name: name.to_owned(), address: None }
        }
    }
}

impl Host {
    /// The socket, where it is one: PostgreSQL, "host".
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Socket(folder) => Some(folder.join(format!(".s.PGSQL.{}", self.port))),
            Place::Host { .. } => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Socket(folder) => write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port),
            Place::Host { name, .. } if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Host { name, .. } => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests;
