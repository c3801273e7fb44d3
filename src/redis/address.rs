//! URLs of Redis, as redis-py and other clients read them. A complaint never repeats what may be a secret: of the URL it
//! names parts, not what stands in them.

use std::path::PathBuf;

use super::Version;
use super::settings::{Login, PORT, Place, Settings};

/// Whether the URL leads over TLS, or to a socket.
enum Way {
    Tcp,
    #[cfg(feature = "tls")]
    Tls,
    Socket,
}

/// Whether a URL is one of Redis at all.
pub(super) fn is_url(text: &str) -> bool {
    const SCHEMES: [&str; 7] = ["redis", "rediss", "redis+unix", "unix", "valkey", "valkeys", "valkey+unix"];
    text.split_once("://").is_some_and(|(scheme, _)| SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

/// What a URL says. The complaint names no secret.
pub(super) fn parse(url: &str) -> Result<Settings, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Not repeated: it may be a password and a host.
        return Err("a URL of Redis begins with redis://, rediss:// or redis+unix://".into());
    };
    let way = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => Way::Tcp,
        #[cfg(feature = "tls")]
        "rediss" | "valkeys" => Way::Tls,
        #[cfg(not(feature = "tls"))]
        "rediss" | "valkeys" => return Err("this was built without the feature tls".into()),
        "unix" | "redis+unix" | "valkey+unix" => Way::Socket,
        _ => return Err("the URL has a scheme other than redis, rediss or redis+unix".into()),
    };
    if rest.contains('#') {
        return Err("a URL of Redis has no fragment: in a password, # is %23".into());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // The last one: careless programs leave those in passwords as they are.
    let (info, host) = authority.rsplit_once('@').map_or((None, authority), |(info, host)| (Some(info), host));

    let mut settings = match way {
        Way::Socket => {
            if !host.is_empty() {
                return Err("the path of a unix socket begins with a slash: redis+unix:///run/redis.sock".into());
            }
            if path.len() < 2 {
                return Err("the URL has no path of a unix socket".into());
            }
            Settings::new(Place::Socket(path_of(decode(path, "path")?)?))
        }
        _ => {
            // Not repeated: it is a part of the password where that has a slash.
            let bad = |_| "the URL has no valid host and port (in a password, / is %2F and ? is %3F)".to_owned();
            let place = Place::parse(if host.is_empty() { "localhost" } else { host }, PORT).map_err(bad)?;
            let mut settings = Settings::new(place);
            if let Some(number) = path.strip_prefix('/').filter(|path| !path.is_empty()) {
                settings.database = database(number)?;
            }
            settings
        }
    };
    #[cfg(feature = "tls")]
    {
        settings.tls = matches!(way, Way::Tls);
    }
    let (mut user, mut password) = (None, None);
    if let Some(info) = info {
        let (name, word) = info.split_once(':').map_or((info, None), |(name, word)| (name, Some(word)));
        user = Some(decode(name, "user")?);
        password = word.map(|word| decode(word, "password")).transpose()?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "db" => settings.database = database(value)?,
            "protocol" => settings.version = version(value)?,
            "client_name" => settings.client_name = Some(text(decode(value, "client_name")?, "client_name")?),
            "user" | "username" => user = Some(decode(value, "user")?),
            "pass" | "password" => password = Some(decode(value, "password")?),
            // Not repeated, like the host.
            _ => return Err("a parameter of the URL is none of db, protocol, client_name, username, password".into()),
        }
    }
    let user = user.filter(|user| !user.is_empty());
    settings.login = match (user, password.filter(|password| !password.is_empty())) {
        (user, Some(password)) => Some(Login { user, password }),
        (None, None) => None,
        (Some(_), None) => return Err("the URL has a user and no password".into()),
    };
    Ok(settings)
}

fn database(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| "the URL has no number where the database is".into())
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "2" | "resp2" => Ok(Version::Resp2),
        "3" | "resp3" => Ok(Version::Resp3),
        _ => Err("the protocol in the URL is neither 2 nor 3".into()),
    }
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("the {what} in the URL is not UTF-8"))
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Result<PathBuf, String> {
    text(bytes, "path").map(PathBuf::from)
}

/// Percent-decoding; a plus is a plus (RFC 3986 §2.1).
fn decode(text: &str, what: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(format!("the {what} in the URL has a % without two digits behind it"));
        };
        decoded.push((16 * high + low) as u8);
        at += 3;
    }
    Ok(decoded)
}
