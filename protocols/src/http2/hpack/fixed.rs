//! The static table (RFC 7541 Appendix A), as lines, and the way from a name to its index.

use super::kind::Kind;
use super::table::Line;

/// The index of the first entry of the dynamic table.
pub(super) const FIRST_DYNAMIC: usize = 62;

/// The entry with an index from 1 to 61.
#[inline]
pub(super) fn get(index: usize) -> Option<Line<'static, Kind>> {
    ENTRIES.get(index.wrapping_sub(1)).copied()
}

/// The first entry with this name; 0 where there is none.
pub(super) fn index_of(name: &[u8]) -> u32 {
    match name {
        b":authority" => 1,
        b":method" => 2,
        b":path" => 4,
        b":scheme" => 6,
        b":status" => 8,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

/// The entries with this name, given the first of them, that have a value.
pub(super) fn with_values(first: u32) -> core::ops::Range<u32> {
    match first {
        2 => 2..4,
        4 => 4..6,
        6 => 6..8,
        8 => 8..15,
        16 => 16..17,
        _ => 0..0,
    }
}

macro_rules! lines {
    ($($name:literal $value:literal,)*) => {
        [$(Line {
            line: concat!($name, ": ", $value, "\r\n").as_bytes(),
            name: $name.len(),
            what: Kind::special($name.as_bytes()),
        },)*]
    };
}

static ENTRIES: [Line<'static, Kind>; FIRST_DYNAMIC - 1] = lines![
    ":authority" "",
    ":method" "GET",
    ":method" "POST",
    ":path" "/",
    ":path" "/index.html",
    ":scheme" "http",
    ":scheme" "https",
    ":status" "200",
    ":status" "204",
    ":status" "206",
    ":status" "304",
    ":status" "400",
    ":status" "404",
    ":status" "500",
    "accept-charset" "",
    "accept-encoding" "gzip, deflate",
    "accept-language" "",
    "accept-ranges" "",
    "accept" "",
    "access-control-allow-origin" "",
    "age" "",
    "allow" "",
    "authorization" "",
    "cache-control" "",
    "content-disposition" "",
    "content-encoding" "",
    "content-language" "",
    "content-length" "",
    "content-location" "",
    "content-range" "",
    "content-type" "",
    "cookie" "",
    "date" "",
    "etag" "",
    "expect" "",
    "expires" "",
    "from" "",
    "host" "",
    "if-match" "",
    "if-modified-since" "",
    "if-none-match" "",
    "if-range" "",
    "if-unmodified-since" "",
    "last-modified" "",
    "link" "",
    "location" "",
    "max-forwards" "",
    "proxy-authenticate" "",
    "proxy-authorization" "",
    "range" "",
    "referer" "",
    "refresh" "",
    "retry-after" "",
    "server" "",
    "set-cookie" "",
    "strict-transport-security" "",
    "transfer-encoding" "",
    "user-agent" "",
    "vary" "",
    "via" "",
    "www-authenticate" "",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_first_entry_that_has_them() {
        for (at, entry) in ENTRIES.iter().enumerate() {
            let first = ENTRIES.iter().position(|other| other.name() == entry.name()).unwrap() as u32 + 1;
            assert_eq!(index_of(entry.name()), first, "{}", entry.line.escape_ascii());
            let at = at as u32 + 1;
            assert_eq!(with_values(first).contains(&at), !entry.value().is_empty(), "{}", entry.line.escape_ascii());
        }
        assert_eq!(index_of(b"x-thing"), 0);
    }
}
