//! What a field is to a connection, told by its name and the look of its value (RFC 9113 §8.2, §8.3). Judged once: the
//! dynamic table keeps it.

use crate::semantics::is_field_value;

/// What is special about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// Nothing.
    Plain,
    /// The name is empty, or has an upper-case letter or a character that is none of a token.
    BadName,
    /// The value has a control character, or white space around it.
    BadValue,
    /// It belongs to one connection of HTTP/1.
    Connection,
    ContentLength,
    Cookie,
    Host,
    Te,
    // From here on, names begin with a colon.
    Authority,
    Method,
    Path,
    Protocol,
    Scheme,
    Status,
    /// A name that begins with a colon and means nothing.
    Unknown,
}

impl Kind {
    /// By the name, whatever its characters.
    pub(in super::super) const fn special(name: &[u8]) -> Self {
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => Kind::Connection,
            b"content-length" => Kind::ContentLength,
            b"cookie" => Kind::Cookie,
            b"host" => Kind::Host,
            b"te" => Kind::Te,
            b":authority" => Kind::Authority,
            b":method" => Kind::Method,
            b":path" => Kind::Path,
            b":protocol" => Kind::Protocol,
            b":scheme" => Kind::Scheme,
            b":status" => Kind::Status,
            [b':', ..] => Kind::Unknown,
            _ => Kind::Plain,
        }
    }

    #[inline]
    pub(in super::super) fn is_pseudo(self) -> bool {
        self >= Kind::Authority
    }

    /// By the name, which came from a peer.
    pub(super) fn of(name: &[u8]) -> Self {
        match Kind::special(name) {
            Kind::Plain if name.is_empty() || !name.iter().all(|&byte| NAME[usize::from(byte)]) => Kind::BadName,
            kind => kind,
        }
    }

    /// The same, having seen the value. `clean`: it is known to have no control characters.
    #[inline]
    pub(super) fn with(self, value: &[u8], clean: bool) -> Self {
        let padded = matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
        if padded || !(clean || is_field_value(value)) { self.spoiled() } else { self }
    }

    #[cold]
    fn spoiled(self) -> Self {
        if self == Kind::BadName { self } else { Kind::BadValue }
    }
}

/// RFC 9110 §5.6.2 without what RFC 9113 §8.2.1 forbids.
static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};
