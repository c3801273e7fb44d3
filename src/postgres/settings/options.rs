//! libpq's keywords: which there are, which of them can be honoured, and what their values mean ("Parameter Key Words" in
//! the manual). Reads no environment and no file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::Said;
use super::{
    ChannelBinding, Host, LoadBalance, OnlyTls, PORT, Place, ProtocolVersion, Roots, Secret, Settings, SslMode,
    SslNegotiation, Target,
};
use crate::error::Error;

/// What becomes of a keyword.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is read by [`judge`].
    Read,
    /// It changes nothing that we do.
    Ignored,
    /// Only these values ask for no more than there is.
    Only(&'static [&'static str]),
}

use Fate::{Ignored, Only, Read};

/// A keyword, and the variable that says it where nobody else does.
type Keyword = (&'static str, Option<&'static str>, Fate);

const NOTHING: Fate = Only(&[""]);

/// Those of libpq 15, and what later versions added that matters to us.
const KEYWORDS: &[Keyword] = &[
    ("application_name", Some("PGAPPNAME"), Read),
    ("channel_binding", Some("PGCHANNELBINDING"), Read),
    ("client_encoding", Some("PGCLIENTENCODING"), Read),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT"), Read),
    ("dbname", Some("PGDATABASE"), Read),
    ("fallback_application_name", None, Read),
    ("gssdelegation", Some("PGGSSDELEGATION"), Only(&["", "0"])),
    ("gssencmode", Some("PGGSSENCMODE"), Only(&["disable", "prefer"])),
    ("gsslib", Some("PGGSSLIB"), Ignored),
    ("host", Some("PGHOST"), Read),
    ("hostaddr", Some("PGHOSTADDR"), Read),
    ("keepalives", None, Ignored),
    ("keepalives_count", None, Ignored),
    ("keepalives_idle", None, Ignored),
    ("keepalives_interval", None, Ignored),
    ("krbsrvname", Some("PGKRBSRVNAME"), Ignored),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), Read),
    ("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), Read),
    ("min_protocol_version", Some("PGMINPROTOCOLVERSION"), Read),
    ("options", Some("PGOPTIONS"), Read),
    ("passfile", Some("PGPASSFILE"), Read),
    ("password", Some("PGPASSWORD"), Read),
    ("port", Some("PGPORT"), Read),
    ("replication", None, Only(&["", "0", "false", "no", "off"])),
    ("require_auth", Some("PGREQUIREAUTH"), NOTHING),
    ("requirepeer", Some("PGREQUIREPEER"), NOTHING),
    ("service", Some("PGSERVICE"), Read),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), Read),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION"), Read),
    ("sslcert", Some("PGSSLCERT"), Read),
    ("sslcertmode", Some("PGSSLCERTMODE"), Only(&["", "allow"])),
    ("sslcompression", Some("PGSSLCOMPRESSION"), Only(&["", "0"])),
    ("sslcrl", Some("PGSSLCRL"), NOTHING),
    ("sslcrldir", Some("PGSSLCRLDIR"), NOTHING),
    ("sslkey", Some("PGSSLKEY"), Read),
    ("sslmode", Some("PGSSLMODE"), Read),
    ("sslnegotiation", Some("PGSSLNEGOTIATION"), Read),
    ("sslpassword", None, NOTHING),
    ("sslrootcert", Some("PGSSLROOTCERT"), Read),
    ("sslsni", Some("PGSSLSNI"), Only(&["", "1"])),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS"), Read),
    ("tcp_user_timeout", None, Only(&["", "0"])),
    ("user", Some("PGUSER"), Read),
];

/// The keyword of this name.
pub(super) fn known(name: &str) -> Result<&'static str, Error> {
    let found = KEYWORDS.iter().find(|(keyword, ..)| *keyword == name);
    // What is no word may be half a URL, with a password in it.
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shown = if is_word { format!("'{name}'") } else { "what stands before a '='".to_owned() };
    found
        .map(|(keyword, ..)| *keyword)
        .ok_or_else(|| Error::invalid(format!("{shown} is not an option of a connection")))
}

/// Keywords and their variables.
pub(super) fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYWORDS.iter().filter_map(|(keyword, variable, _)| variable.map(|variable| (*keyword, variable)))
}

/// A value that is none of those that there are. It is shown: no password is judged here.
fn wrong(keyword: &str, value: &str) -> Error {
    Error::invalid(format!("'{}' is no value for {keyword}", value.escape_debug()))
}

/// What it all means.
pub(super) fn judge(said: &Said) -> Result<Settings, Error> {
    let value = |keyword: &str| said.get(keyword).map(String::as_str);
    for (keyword, _, fate) in KEYWORDS {
        match (value(keyword), fate) {
            (Some(value), Only(values)) if !values.contains(&value) => {
                return Err(Error::invalid(format!("{keyword} cannot be honoured with this value")));
            }
            (Some(value), Ignored) if keyword.starts_with("keepalives") => drop(number(keyword, value)?),
            _ => {}
        }
    }
    let filled = |keyword: &str| value(keyword).filter(|value| !value.is_empty());
    if let Some(encoding) = filled("client_encoding") {
        let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
        if !matches!(&*plain.to_ascii_lowercase(), "utf8" | "unicode" | "auto") {
            return Err(Error::invalid("client_encoding cannot be honoured: texts are UTF-8 here"));
        }
    }
    let mut settings = Settings {
        hosts: hosts(value("host"), value("hostaddr"), value("port"))?,
        user: value("user").unwrap_or_default().to_owned(),
        database: filled("dbname").map(str::to_owned),
        application: filled("application_name").or_else(|| filled("fallback_application_name")).map(str::to_owned),
        options: filled("options").map(str::to_owned),
        ..Settings::default()
    };
    if let Some(password) = filled("password") {
        settings.hosts.iter_mut().for_each(|host| host.password = Some(Secret(password.to_owned())));
    }
    if let Some(seconds) = filled("connect_timeout") {
        let seconds = u64::try_from(number("connect_timeout", seconds)?).unwrap_or(0);
        settings.connect_timeout = Some(Duration::from_secs(seconds)).filter(|it| !it.is_zero());
    }
    settings.binding = match value("channel_binding") {
        None | Some("prefer") => ChannelBinding::Prefer,
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        Some(other) => return Err(wrong("channel_binding", other)),
    };
    settings.target = match value("target_session_attrs") {
        None | Some("any") => Target::Any,
        Some("read-write") => Target::ReadWrite,
        Some("read-only") => Target::ReadOnly,
        Some("primary") => Target::Primary,
        Some("standby") => Target::Standby,
        Some("prefer-standby") => Target::PreferStandby,
        Some(other) => return Err(wrong("target_session_attrs", other)),
    };
    settings.balance = match value("load_balance_hosts") {
        None | Some("disable") => LoadBalance::Disable,
        Some("random") => LoadBalance::Random,
        Some(other) => return Err(wrong("load_balance_hosts", other)),
    };
    settings.versions = versions(value("min_protocol_version"), value("max_protocol_version"))?;
    ssl(said, &mut settings)?;
    Ok(settings)
}

/// The least and the greatest version of the protocol.
fn versions(least: Option<&str>, greatest: Option<&str>) -> Result<(ProtocolVersion, ProtocolVersion), Error> {
    let version = |keyword: &str, value: &str| match value {
        "3.0" => Ok(ProtocolVersion::V3_0),
        "3.2" => Ok(ProtocolVersion::V3_2),
        "latest" => Ok(ProtocolVersion::LATEST),
        other => Err(wrong(keyword, other)),
    };
    let least = least.map_or(Ok(ProtocolVersion::V3_0), |value| version("min_protocol_version", value))?;
    let greatest = match greatest {
        Some(value) => version("max_protocol_version", value)?,
        // As libpq: 3.0, unless that would not do.
        None if least > ProtocolVersion::V3_0 => ProtocolVersion::LATEST,
        None => ProtocolVersion::V3_0,
    };
    Ok((least, greatest))
}

/// What concerns TLS.
fn ssl(said: &Said, settings: &mut Settings) -> Result<(), Error> {
    let value = |keyword: &str| said.get(keyword).map(String::as_str);
    let filled = |keyword: &str| value(keyword).filter(|value| !value.is_empty());
    let ssl = &mut settings.ssl;
    ssl.roots = match filled("sslrootcert") {
        None => Roots::Default,
        Some("system") => Roots::System,
        Some(path) => Roots::File(path.into()),
    };
    ssl.mode = match value("sslmode") {
        None if ssl.roots == Roots::System => SslMode::VerifyFull,
        None | Some("prefer") => SslMode::Prefer,
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(other) => return Err(wrong("sslmode", other)),
    };
    ssl.negotiation = match value("sslnegotiation") {
        None | Some("postgres") => SslNegotiation::Postgres,
        Some("direct") => SslNegotiation::Direct,
        Some(other) => return Err(wrong("sslnegotiation", other)),
    };
    ssl.identity = match (filled("sslcert"), filled("sslkey")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        _ => return Err(Error::invalid("sslcert and sslkey belong together")),
    };
    let version = |keyword: &str| match filled(keyword).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("tlsv1") => Ok(Some(0)),
        Some("tlsv1.1") => Ok(Some(1)),
        Some("tlsv1.2") => Ok(Some(2)),
        Some("tlsv1.3") => Ok(Some(3)),
        Some(other) => Err(wrong(keyword, other)),
    };
    let (least, most) = (version("ssl_min_protocol_version")?, version("ssl_max_protocol_version")?);
    ssl.only = match (least.unwrap_or(2), most.unwrap_or(3)) {
        (_, 0 | 1) => return Err(Error::invalid("ssl_max_protocol_version cannot be honoured below TLSv1.2")),
        (least, most) if least > most => return Err(Error::invalid("the least version of TLS is above the greatest")),
        (_, 2) => Some(OnlyTls::Tls12),
        (3, _) => Some(OnlyTls::Tls13),
        _ => None,
    };
    Ok(())
}

/// A whole number as libpq reads it: an `int`, with space around it if need be.
fn number(keyword: &str, value: &str) -> Result<i32, Error> {
    let digits = value.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    digits.parse().map_err(|_| wrong(keyword, value))
}

/// Lists with commas between: as many addresses as hosts, and as many ports or one for all.
fn hosts(names: Option<&str>, addresses: Option<&str>, ports: Option<&str>) -> Result<Vec<Host>, Error> {
    let list = |text: Option<&str>| -> Option<Vec<String>> {
        let text = text.filter(|text| !text.is_empty())?;
        Some(text.split(',').map(|part| part.trim().to_owned()).collect())
    };
    let (names, addresses, ports) = (list(names), list(addresses), list(ports));
    let count = addresses.as_ref().or(names.as_ref()).map_or(1, Vec::len);
    let differ = |what: &str| Error::invalid(format!("there are not as many {what} as hosts"));
    if names.as_ref().is_some_and(|names| names.len() != count) {
        return Err(differ("addresses"));
    }
    if ports.as_ref().is_some_and(|ports| ports.len() != 1 && ports.len() != count) {
        return Err(differ("ports"));
    }
    let part = |list: &Option<Vec<String>>, at: usize| {
        list.as_ref().and_then(|list| list.get(at)).filter(|part| !part.is_empty()).cloned()
    };
    (0..count)
        .map(|at| {
            let port = match part(&ports, if ports.as_ref().is_some_and(|ports| ports.len() == 1) { 0 } else { at }) {
                None => PORT,
                // Not shown: it may be a password with a slash that was not encoded.
                Some(port) => number("port", &port)
                    .ok()
                    .and_then(|port| u16::try_from(port).ok())
                    .filter(|port| *port != 0)
                    .ok_or_else(|| {
                        Error::invalid("a port is a number from 1 to 65535 (in a URL, the / of a password is %2F)")
                    })?,
            };
            let address: Option<IpAddr> = match part(&addresses, at) {
                None => None,
                Some(address) => Some(address.parse().map_err(|_| wrong("hostaddr", &address))?),
            };
            let place = match (part(&names, at), address) {
                (Some(name), None) if name.starts_with('@') => {
                    return Err(Error::invalid("sockets in the abstract namespace cannot be reached"));
                }
                (Some(name), address) if address.is_some() || !name.starts_with('/') => Place::Host { name, address },
                (Some(folder), _) => Place::Socket(folder.into()),
                (None, Some(address)) => Place::Host { name: address.to_string(), address: Some(address) },
                (None, None) => Place::nearby(),
            };
            Ok(Host { place, port, password: None })
        })
        .collect()
}

impl Place {
    /// Where a server is that nobody named: the folder of its socket, as Debian has it or as PostgreSQL itself.
    fn nearby() -> Self {
        if cfg!(not(unix)) {
            return Place::of("localhost");
        }
        let debian = Path::new("/var/run/postgresql");
        Place::Socket(if debian.is_dir() { debian.to_owned() } else { PathBuf::from("/tmp") })
    }
}
