//! What a client of a cluster must know: the slot of a key, and what an error says of where a command belongs. Which node
//! has which slot, and whom to ask again, is the caller's.

use super::ErrorRef;

/// Slots of a cluster (Redis cluster specification, "Key distribution model").
pub const SLOTS: u16 = 16384;

/// The slot of a key: CRC16 of it, or of what stands between its first `{` and the next `}` if that is not empty (Redis
/// cluster specification, "Hash tags").
pub fn slot(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key).and_then(|open| {
        let inside = &key[open + 1..];
        memchr::memchr(b'}', inside).map(|close| &inside[..close]).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, from 0, as the appendix of the specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = ((at as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

/// What a node of a cluster says when it does not have the key (Redis cluster specification, "Redirection and
/// resharding").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Redirect<'a> {
    /// The slot is at another node, and this is to be remembered.
    Moved {
        /// The slot.
        slot: u16,
        /// A name or an address, an IPv6 address without brackets; empty where it is the host that was asked.
        host: &'a str,
        /// Where it listens.
        port: u16,
    },
    /// The slot is on its way: ask another node for this key only, with ASKING right before it.
    Ask {
        /// The slot.
        slot: u16,
        /// As for `Moved`.
        host: &'a str,
        /// Where it listens.
        port: u16,
    },
    /// The keys are at two nodes for a moment: the same again, later.
    TryAgain,
    /// The cluster, or the part of it that has the slot, serves nobody.
    ClusterDown,
}

impl<'a> Redirect<'a> {
    pub(super) fn of(error: ErrorRef<'a>) -> Option<Self> {
        let code = error.code();
        match code {
            b"TRYAGAIN" => return Some(Redirect::TryAgain),
            b"CLUSTERDOWN" => return Some(Redirect::ClusterDown),
            b"MOVED" | b"ASK" => {}
            _ => return None,
        }
        let mut words = core::str::from_utf8(error.message()).ok()?.split(' ');
        let (slot, address) = (words.next()?, words.next()?);
        let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
        // From the right: an IPv6 address has colons of its own.
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        // A node that does not know its name says so (cluster-preferred-endpoint-type unknown-endpoint).
        let host = if host == "?" { "" } else { host };
        Some(match code {
            b"ASK" => Redirect::Ask { slot, host, port },
            _ => Redirect::Moved { slot, host, port },
        })
    }
}
