//! What databases have in common on the command line: which URLs are theirs, who one is there, and which options they have
//! nothing to do with. Connects to nobody.

use aquests::redis::Redis;

use crate::output::Failure;

/// Where `redis-cli` looks for a password, too.
const PASSWORD: &str = "REDISCLI_AUTH";

/// Whether a URL is one of a database.
pub(crate) fn is_url(text: &str) -> bool {
    Redis::is_url(text)
}

/// The server that a URL names, with the password of the environment where the URL says nothing of who one is.
/// `of_http`: an option that was given, and that it has nothing to do with.
pub(crate) fn redis(url: &str, of_http: Option<&str>) -> Result<Redis, Failure> {
    if let Some(option) = of_http {
        return Err(Failure::Usage(format!("{option} belongs to HTTP, and the URL is one of Redis")));
    }
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
