//! What databases have in common on the command line: which URLs are theirs, who one is there, and which options they have
//! nothing to do with. Connects to nobody.

use aquests::postgres::Postgres;
use aquests::redis::Redis;

use crate::args::TlsArgs;
use crate::output::Failure;

/// Where `redis-cli` looks for a password, too.
const PASSWORD: &str = "REDISCLI_AUTH";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres,
    Redis,
}

impl Database {
    /// Whose URL it is, or whose words in place of one (`host=… dbname=…`), if it is for a database.
    pub(crate) fn of(url: &str) -> Option<Self> {
        match () {
            () if Postgres::is_connection_string(url) => Some(Database::Postgres),
            () if Redis::is_url(url) => Some(Database::Redis),
            () => None,
        }
    }
}

/// `option` was given, if any was that only HTTP has.
fn refuse(option: Option<&str>, name: &str) -> Result<(), Failure> {
    match option {
        Some(option) => Err(Failure::Usage(format!("{option} belongs to HTTP, and the URL is one of {name}"))),
        None => Ok(()),
    }
}

/// A value of a statement, as it is written on the command line: `\N` is NULL, as COPY writes it. One backslash more in
/// front says that it is meant as it is, without that one.
pub(crate) fn value(word: &str) -> Option<String> {
    match word.strip_suffix('N').unwrap_or_default() {
        "\\" => None,
        slashes if !slashes.is_empty() && slashes.bytes().all(|byte| byte == b'\\') => Some(word[1..].to_owned()),
        _ => Some(word.to_owned()),
    }
}

/// The server that a URL names, with TLS as the options want it. `of_http`: an option that was given, and that it has
/// nothing to do with.
///
/// Where nobody says otherwise, PostgreSQL goes on in clear text with a server that has no TLS. Who says whom to trust, or
/// who to be, wants TLS; what the URL, a service or the environment says of it comes first.
pub(crate) fn postgres(url: &str, tls: &TlsArgs, of_http: Option<&str>) -> Result<Postgres, Failure> {
    refuse(of_http, "PostgreSQL")?;
    let mode = match tls {
        TlsArgs { insecure: true, .. } => Some("require"),
        TlsArgs { cacert: Some(_), .. } => Some("verify-full"),
        TlsArgs { cert: Some(_), .. } => Some("require"),
        _ => None,
    };
    let mut db = Postgres::parse_or(url, mode.map(|mode| ("sslmode", mode)))?;
    if let Some(path) = &tls.cacert {
        db = db.ssl_root_cert(path);
    }
    if let Some(chain) = &tls.cert {
        db = db.ssl_identity(chain, tls.key.as_ref().unwrap_or(chain));
    }
    Ok(db)
}

/// The server that a URL names, with the password of the environment where the URL says nothing of who one is.
/// `of_http`: an option that was given, and that it has nothing to do with.
pub(crate) fn redis(url: &str, of_http: Option<&str>) -> Result<Redis, Failure> {
    refuse(of_http, "Redis")?;
    let db = Redis::parse(url)?;
    let parameter = |name: &str| url.contains(&format!("?{name}=")) || url.contains(&format!("&{name}="));
    let says = url.contains('@') || parameter("password") || parameter("pass");
    Ok(match std::env::var(PASSWORD) {
        Ok(password) if !says && !password.is_empty() => db.password(password),
        _ => db,
    })
}

/// The URL of a server without who one is there.
pub(crate) fn shown(db: &Redis) -> String {
    let url = db.url().to_string();
    // A path stands where others have a host.
    match url.strip_prefix("redis://localhost/").filter(|rest| rest.contains("?db=")) {
        Some(path) => format!("redis+unix:///{path}"),
        None => url,
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn null_is_written_as_copy_does_and_everything_else_is_itself() {
        assert_eq!(value(r"\N"), None);
        for (word, meant) in [(r"\\N", r"\N"), (r"\\\N", r"\\N"), ("N", "N"), ("NULL", "NULL"), ("", ""), ("{}", "{}")]
        {
            assert_eq!(value(word).as_deref(), Some(meant), "{word}");
        }
        for word in [r"\n", r"\x00ff", r"a\N", r"\N ", r"\NN", r"\"] {
            assert_eq!(value(word).as_deref(), Some(word));
        }
    }
}
