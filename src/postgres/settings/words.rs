//! Connection strings of libpq ("Connection Strings" in the manual): what was said under which name. What it means is
//! judged elsewhere; an error never shows a value, which may be a password.

use std::collections::BTreeMap;

use super::options;
use crate::error::Error;

/// What was said, by libpq's keywords.
pub(super) type Said = BTreeMap<&'static str, String>;

/// A URL or `key=value` words.
pub(super) fn read(text: &str) -> Result<Said, Error> {
    match behind_scheme(text) {
        Some(rest) => read_url(rest),
        None => read_words(text),
    }
}

/// What stands behind `postgres://`, in whatever letters: RFC 3986 §3.1.
pub(super) fn behind_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    ["postgres", "postgresql"].iter().any(|known| known.eq_ignore_ascii_case(scheme)).then_some(rest)
}

/// It is words, known or not: a URL has no '=' before the end of its host.
pub(super) fn are_words(text: &str) -> bool {
    let name = text.split_once('=').map_or("", |(name, _)| name);
    !name.trim_matches(is_space).is_empty() && !name.contains([':', '/', '?', '#'])
}

fn invalid(words: impl Into<String>) -> Error {
    Error::invalid(words)
}

/// `host=/run/postgresql dbname='my db'`: a quote and a backslash inside are escaped by a backslash. The last of several
/// with one name counts.
fn read_words(text: &str) -> Result<Said, Error> {
    let mut said = Said::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(after) = after.trim_start_matches(is_space).strip_prefix('=') else {
            // It may be a password that lost its name.
            return Err(invalid("a word without '=' in the connection string"));
        };
        let (value, after) = read_value(after.trim_start_matches(is_space))?;
        said.insert(options::known(name)?, value);
        rest = after.trim_start_matches(is_space);
    }
    Ok(said)
}

/// As `isspace` of C has it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn read_value(text: &str) -> Result<(String, &str), Error> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && is_space(space) => return Ok((value, &text[at..])),
            letter => value.push(letter),
        }
    }
    if quoted { Err(invalid("a quote in the connection string is not closed")) } else { Ok((value, "")) }
}

/// What follows `postgres://`.
fn read_url(text: &str) -> Result<Said, Error> {
    let mut said = Said::new();
    let mut put = |name, value: String| {
        if !value.is_empty() {
            said.insert(name, value);
        }
    };
    let authority = text.split('/').next().unwrap_or_default();
    let mut rest = text;
    if let Some((who, _)) = authority.split_once('@') {
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        put("user", decode(user)?);
        put("password", decode(password)?);
        rest = &text[who.len() + 1..];
    }
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        let host;
        if let Some(after) = rest.strip_prefix('[') {
            let Some((address, after)) = after.split_once(']') else {
                return Err(invalid("an address in the URL of PostgreSQL has no closing bracket"));
            };
            if address.is_empty() || !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
                return Err(invalid("the URL of PostgreSQL has no valid host"));
            }
            (host, rest) = (address, after);
        } else {
            (host, rest) = rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len()));
        }
        if host.contains('@') {
            // Not shown: it is a part of the password.
            return Err(invalid("a second '@' in the URL of PostgreSQL: a password has it as %40"));
        }
        hosts.push_str(host);
        if let Some(after) = rest.strip_prefix(':') {
            let (port, after) = after.split_at(after.find(['/', '?', ',']).unwrap_or(after.len()));
            ports.push_str(port);
            rest = after;
        }
        match rest.strip_prefix(',') {
            None => break,
            Some(after) => rest = after,
        }
        hosts.push(',');
        ports.push(',');
    }
    put("host", decode(&hosts)?);
    put("port", decode(&ports)?);
    if let Some(after) = rest.strip_prefix('/') {
        let (name, after) = after.split_at(after.find('?').unwrap_or(after.len()));
        put("dbname", decode(name)?);
        rest = after;
    }
    let Some(query) = rest.strip_prefix('?').filter(|query| !query.is_empty()) else { return Ok(said) };
    for pair in query.strip_suffix('&').unwrap_or(query).split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(invalid("a parameter without '=' in the URL of PostgreSQL"));
        };
        if value.contains('=') {
            return Err(invalid("a parameter with two '=' in the URL of PostgreSQL"));
        }
        let (name, value) = (decode(name)?, decode(value)?);
        match (&*name, &*value) {
            // As JDBC says it.
            ("ssl", "true") => said.insert("sslmode", "require".to_owned()),
            _ => said.insert(options::known(&name)?, value),
        };
    }
    Ok(said)
}

/// Percent-decoding: RFC 3986 §2.1, without NUL. A plus is a plus.
fn decode(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match digit(0).zip(digit(1)).map(|(high, low)| (high * 16 + low) as u8) {
            Some(byte) if byte != 0 => bytes.push(byte),
            _ => return Err(invalid("a percent sign in the URL of PostgreSQL that encodes nothing")),
        }
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| invalid("the URL of PostgreSQL is not UTF-8"))
}
