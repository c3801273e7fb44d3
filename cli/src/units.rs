//! Numbers, durations, headers and places as people write them on a command line. Says what is wrong in one sentence;
//! knows no option by name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `200`, `10k`, `1.5m`: thousands, millions, billions (`k`, `m`, `g`).
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is not a number: write 200, 10k or 1m");
    let number = decimal(text).ok_or_else(bad)?;
    if number.fract() != 0.0 || number >= u64::MAX as f64 {
        return Err(bad());
    }
    Ok(number as u64)
}

/// A [`count`] of at least 1.
pub(crate) fn positive(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("it must be at least 1".to_owned()),
        number => Ok(number),
    }
}

/// A [`positive`] number of things that are kept in memory.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    match positive(text)? {
        number if number <= u32::MAX.into() => Ok(number as usize),
        _ => Err(format!("{text} is too many")),
    }
}

/// A [`positive`] number of requests on one connection.
pub(crate) fn depth(text: &str) -> Result<u16, String> {
    positive(text)?.try_into().map_err(|_| "at most 65535 are possible".to_owned())
}

/// `1000`, `10k`, `0.5`: so often a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = decimal(text).ok_or_else(|| format!("'{text}' is not a number: write 1000, 10k or 0.5"))?;
    // More than one a nanosecond has no schedule.
    if rate > 0.0 && rate <= 1e9 { Ok(rate) } else { Err("it must be above 0, and at most 1g".to_owned()) }
}

pub(crate) fn decimal(text: &str) -> Option<f64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'm' | b'M' => (&text[..text.len() - 1], 1e6),
        b'g' | b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    Some(plain(digits)? * factor)
}

/// Digits, with at most one point among them.
fn plain(digits: &str) -> Option<f64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse().ok().filter(|_| is_plain)
}

/// `500ms`, `10s`, `1m30s`, `1.5h`; without a unit, seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a duration: write 500ms, 10s or 1m30s");
    if let Some(seconds) = plain(text) {
        return Duration::try_from_secs_f64(seconds).map_err(|_| bad());
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(bad()),
        };
        let part = Duration::try_from_secs_f64(plain(number).ok_or_else(bad)? * unit).map_err(|_| bad())?;
        sum = sum.checked_add(part).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() { Err(bad()) } else { Ok(sum) }
}

/// A [`duration`] above zero.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be above 0".to_owned()),
        duration => Ok(duration),
    }
}

/// `name: value`
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("a header is written 'name: value'".to_owned()),
    }
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Text { name: String, text: String },
    File { name: String, path: PathBuf, file_name: Option<String>, content_type: Option<String> },
}

/// `name=text`, or `name=@path` with `;filename=…` and `;type=…` behind it.
pub(crate) fn field(text: &str) -> Result<Field, String> {
    let Some((name, content)) = text.split_once('=') else {
        return Err("a field of a form is written 'name=text' or 'name=@file'".to_owned());
    };
    let name = name.to_owned();
    let Some(content) = content.strip_prefix('@') else { return Ok(Field::Text { name, text: content.to_owned() }) };
    let (mut path, mut file_name, mut content_type) = (content, None, None);
    while let Some((before, last)) = path.rsplit_once(';') {
        if let Some(value) = last.trim_start().strip_prefix("filename=") {
            file_name = Some(value.trim_matches('"').to_owned());
        } else if let Some(value) = last.trim_start().strip_prefix("type=") {
            content_type = Some(value.to_owned());
        } else {
            break;
        }
        path = before;
    }
    Ok(Field::File { name, path: path.into(), file_name, content_type })
}

/// A host, an IPv6 address in brackets, and a port.
pub(crate) type Place = (String, u16);

/// Where connections to a place lead instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detour {
    /// Whose connections: those to any host, and to any port, where it is not said.
    host: Option<String>,
    port: Option<u16>,
    /// Where to: the same host, and the same port, where it is not said.
    to_host: Option<String>,
    to_port: Option<u16>,
}

impl Detour {
    /// Where connections to a host and port lead, if it is about them.
    pub(crate) fn of(&self, host: &str, port: u16) -> Option<Place> {
        let is_meant = self.host.as_deref().is_none_or(|meant| meant.eq_ignore_ascii_case(host))
            && self.port.is_none_or(|meant| meant == port);
        is_meant.then(|| (self.to_host.clone().unwrap_or_else(|| host.to_owned()), self.to_port.unwrap_or(port)))
    }
}

/// `HOST1:PORT1:HOST2:PORT2` as curl has it, any part of which can be empty, or `HOST:PORT` for all connections.
pub(crate) fn detour(text: &str) -> Result<Detour, String> {
    let bad =
        || format!("'{text}' is not a host and a port, like localhost:8080 or [::1]:80, or two of them, from and to");
    let host = |part: &str| match part {
        "" => Ok(None),
        part => is_host(part).then(|| Some(part.to_owned())).ok_or_else(bad),
    };
    let port = |part: &str| match part {
        "" => Ok(None),
        part => part.parse().map(Some).map_err(|_| bad()),
    };
    match parts(text)[..] {
        [to_host, to_port] if !to_host.is_empty() && !to_port.is_empty() => {
            Ok(Detour { host: None, port: None, to_host: host(to_host)?, to_port: port(to_port)? })
        }
        [from_host, from_port, to_host, to_port] => Ok(Detour {
            host: host(from_host)?,
            port: port(from_port)?,
            to_host: host(to_host)?,
            to_port: port(to_port)?,
        }),
        _ => Err(bad()),
    }
}

/// The addresses of a host, for connections to this port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

/// `HOST:PORT:ADDRESS`, with more addresses behind commas.
pub(crate) fn known(text: &str) -> Result<Known, String> {
    let bad = || format!("'{text}' is not a host, a port and its addresses, like example.org:80:127.0.0.1,[::1]");
    let (host, port, rest) = match parts(text)[..] {
        [host, port, ..] => (host, port, text.get(host.len() + port.len() + 2..).ok_or_else(bad)?),
        _ => return Err(bad()),
    };
    let addresses: Result<Vec<IpAddr>, _> = rest.split(',').map(|one| unbracketed(one).parse()).collect();
    match (is_host(host), port.parse(), addresses) {
        (true, Ok(port), Ok(addresses)) => Ok(Known { host: host.to_owned(), port, addresses }),
        _ => Err(bad()),
    }
}

/// A name server: an address, with a port where that is not 53.
pub(crate) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| unbracketed(text).parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
    address.map_err(|_| format!("'{text}' is not an address, like 192.0.2.1 or [::1]:5353"))
}

/// What stands between colons outside of brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    let split = |c: char| {
        inside = (inside || c == '[') && c != ']';
        c == ':' && !inside
    };
    text.split(split).collect()
}

fn is_host(text: &str) -> bool {
    let is_six = unbracketed(text) != text && unbracketed(text).parse::<std::net::Ipv6Addr>().is_ok();
    is_six || (!text.is_empty() && !text.contains([':', '/', '@', '[', ']', ' ']))
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_forms_are_texts_or_files() {
        let file = |path: &str, file_name: Option<&str>, content_type: Option<&str>| Field::File {
            name: "a".to_owned(),
            path: path.into(),
            file_name: file_name.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
        };
        assert_eq!(field("a=b=c;type=d"), Ok(Field::Text { name: "a".to_owned(), text: "b=c;type=d".to_owned() }));
        assert_eq!(field("a="), Ok(Field::Text { name: "a".to_owned(), text: String::new() }));
        assert_eq!(field("a=@b"), Ok(file("b", None, None)));
        assert_eq!(field("a=@b;c;type=d/e;filename=\"f\""), Ok(file("b;c", Some("f"), Some("d/e"))));
        assert!(field("a").is_err());
    }

    #[test]
    fn numbers_have_letters_for_thousands() {
        for (text, number) in [("0", 0), ("200", 200), ("10k", 10_000), ("1.5m", 1_500_000), ("2G", 2_000_000_000)] {
            assert_eq!(count(text), Ok(number));
        }
        for text in ["", "k", "-1", "1.5", "1e3", "inf", "nan", "+1", "1kk", "1 k", ".", "99999999999g", "é"] {
            assert!(count(text).unwrap_err().contains("is not a number"), "{text}");
        }
        assert!(positive("0").is_err() && size("5g").is_err() && depth("70k").is_err());
        assert_eq!((rate("0.5"), rate("10k")), (Ok(0.5), Ok(10_000.0)));
        assert!(rate("0").is_err() && rate("-1").is_err() && rate("2g").is_err());
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("10", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0.5", 500),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("50us"), Ok(Duration::from_micros(50)));
        for text in ["", "s", "1x", "1m30", "-1s", "1 s", "1..5s", "99999999999999999999s", "é", "1é"] {
            assert!(duration(text).unwrap_err().contains("is not a duration"), "{text}");
        }
        assert!(time("0ms").is_err());
    }

    #[test]
    fn a_header_has_a_name() {
        assert_eq!(header("a:b: c "), Ok(("a".to_owned(), "b: c".to_owned())));
        assert_eq!(header("a:"), Ok(("a".to_owned(), String::new())));
        assert!(header("a b").is_err() && header(": x").is_err());
    }

    #[test]
    fn a_detour_is_for_all_or_for_some() {
        let of = |text: &str, host: &str, port| detour(text).unwrap().of(host, port);
        let to = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(of("a.b:80", "h", 1), to("a.b", 80));
        assert_eq!(of("[::1]:80", "h", 1), to("[::1]", 80));
        assert_eq!(of("h:1:[::1]:80", "H", 1), to("[::1]", 80));
        assert_eq!(of("h:1:b:80", "h", 2), None);
        assert_eq!(of("h:1:b:80", "g", 1), None);
        assert_eq!(of("[::1]:1:b:", "[::1]", 1), to("b", 1));
        assert_eq!(of("::b:80", "h", 1), to("b", 80));
        assert_eq!(of(":1::80", "h", 1), to("h", 80));
        for text in ["a", "a:", ":80", "a:99999", "http://a:80", "::1:80:", "u@h:80", "a:1:b", "a:b:c:1", "[x]:1", "é:"]
        {
            assert!(detour(text).unwrap_err().contains("is not a host and a port"), "{text}");
        }
    }

    #[test]
    fn a_host_has_addresses_and_a_name_server_is_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let known = |text: &str| super::known(text).map(|known| (known.host, known.port, known.addresses));
        assert_eq!(known("h:80:127.0.0.1"), Ok(("h".to_owned(), 80, vec![ip("127.0.0.1")])));
        assert_eq!(known("h:80:[::1],1.2.3.4"), Ok(("h".to_owned(), 80, vec![ip("::1"), ip("1.2.3.4")])));
        assert_eq!(known("h:80:::1"), Ok(("h".to_owned(), 80, vec![ip("::1")])));
        for text in ["h", "h:80", "h:80:", "h:80:name", "h:x:1.2.3.4", ":80:1.2.3.4", "h:80:1.2.3.4,"] {
            assert!(known(text).unwrap_err().contains("its addresses"), "{text}");
        }
        assert_eq!(name_server("192.0.2.1"), Ok("192.0.2.1:53".parse().unwrap()));
        assert_eq!(name_server("[::1]"), Ok("[::1]:53".parse().unwrap()));
        assert_eq!(name_server("::1"), Ok("[::1]:53".parse().unwrap()));
        assert_eq!(name_server("[::1]:5353"), Ok("[::1]:5353".parse().unwrap()));
        assert!(name_server("ns.example").is_err());
    }
}
