//! Frames against another implementation: both find the same ones in the same bytes, read the same out of them, and
//! refuse the same.
//!
//! The input is frames of a server, behind SETTINGS that are given. The other reads frames and knows no streams: what we
//! refuse because of what came before is listed in `knows_more`; where it is stricter or coarser than RFC 9113 asks, in
//! `differs`.
#![no_main]

#[path = "other/h2.rs"]
mod other;

use aquests_protocols::http2::{Client, Violation, hpack};
use aquests_protocols::semantics::{Body, Fields, Message, PreparedRequest, Request};
use aquests_protocols::{Error, Event, ExchangeId, Input, Protocol};
use h2::frame::Frame;
use libfuzzer_sys::fuzz_target;
use other::Other;

const HEAD: usize = 9;
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// What both take by default.
const MOST: usize = 16_384;

fuzz_target!(|input: &[u8]| {
    let (mut ours, mut other) = (asked(), Other::new());
    let mut rest = input;
    let mut frame = SETTINGS;
    while compare(frame, &mut ours, &mut other) {
        let Some(head) = rest.first_chunk::<HEAD>() else { return };
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        // Of one that is too large, the head is enough.
        let length = if length > MOST { HEAD } else { HEAD + length };
        let Some((next, behind)) = rest.split_at_checked(length) else { return };
        (frame, rest) = (next, behind);
    }
});

/// A client with a request of each kind on its way.
fn asked() -> Client {
    let (mut client, mut out) = (Client::new(), Vec::new());
    client.connected(Default::default(), &mut out);
    for (id, (method, body)) in (0..).zip([
        ("GET", Body::EMPTY),
        ("HEAD", Body::EMPTY),
        ("POST", Body::Parts(Some(9))),
        ("POST", Body::Whole(&[b'x'; 70_000])),
        ("CONNECT", Body::EMPTY),
        ("GET", Body::EMPTY),
    ]) {
        let head = PreparedRequest::new(method, "/", "h").unwrap();
        client.send(ExchangeId(id), Request { head: &head, body }, &mut out).unwrap();
    }
    client
}

/// Names and values, in order of the names.
type List = Vec<(String, Vec<u8>)>;

/// What we make of a frame.
#[derive(Debug, Default)]
struct Made {
    data: Option<(ExchangeId, Vec<u8>)>,
    /// Status, if it is no trailers, and fields.
    fields: Option<(ExchangeId, Option<u16>, List)>,
    done: bool,
    failed: Vec<(ExchangeId, Error)>,
    closed: bool,
    error: Option<Error>,
    out: Vec<u8>,
}

fn make(client: &mut Client, frame: &[u8]) -> Made {
    let (mut made, mut rest) = (Made::default(), frame);
    loop {
        let (used, event) = match client.receive(Input { bytes: rest, eof: false }, &mut made.out) {
            Ok(step) => step,
            Err(error) => {
                made.error = Some(error);
                return made;
            }
        };
        match event {
            Event::Message { id, message, done } => {
                made.done |= done;
                match message {
                    Message::Data(bytes) => {
                        made.data.get_or_insert((id, Vec::new())).1.extend_from_slice(bytes);
                    }
                    Message::Head(head) | Message::Informational(head) => {
                        made.fields = Some((id, Some(head.status), sorted(head.fields)));
                    }
                    Message::Trailers(fields) => made.fields = Some((id, None, sorted(fields))),
                }
            }
            Event::Failed { id, error, .. } => made.failed.push((id, error)),
            Event::Closed => {
                made.closed = true;
                return made;
            }
            Event::NeedData { .. } => {
                assert_eq!(rest.len(), used, "{} is a whole frame, and more is wanted", frame.escape_ascii());
                return made;
            }
            _ => {}
        }
        rest = &rest[used..];
    }
}

fn sorted(fields: Fields<'_>) -> List {
    let mut fields: List = fields.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    fields.sort();
    fields
}

fn stream(id: ExchangeId) -> u32 {
    1 + 2 * id.0 as u32
}

/// `false`: one of them reads no further.
fn compare(frame: &[u8], client: &mut Client, other: &mut Other) -> bool {
    let (theirs, ours) = (other.read(frame), make(client, frame));
    let shown = || format!("{ours:?} and {theirs:?} of {}", frame.escape_ascii());
    match (&theirs, ours.error) {
        (Some(Err(_)), Some(_)) => return false,
        (Some(Err(error)), None) => {
            assert!(differs(frame, &ours), "{}", shown());
            // Of a block that it gave up in the middle, or because of its priority, the rest is missing in its table.
            let whole = !matches!(frame[3], 1 | 9) || frame[4] & 0x24 == 0x04;
            return error.is_reset() && whole && !ours.closed;
        }
        (_, Some(error)) => {
            assert!(knows_more(frame, error), "{}", shown());
            return false;
        }
        (None, None) => {
            assert!(ours.data.is_none() && ours.fields.is_none(), "{}", shown());
            return !ours.closed;
        }
        (Some(Ok(_)), None) => {}
    }
    let Some(Ok(theirs)) = theirs else { return false };
    match theirs {
        Frame::Data(data) => {
            if let Some((id, bytes)) = &ours.data {
                assert_eq!(stream(*id), u32::from(data.stream_id()));
                assert_eq!((bytes, ours.done), (&data.payload().to_vec(), data.is_end_stream()));
            }
            assert!(ours.fields.is_none());
        }
        Frame::Headers(headers) => {
            assert!(ours.data.is_none());
            if let Some((id, status, fields)) = ours.fields {
                assert_eq!((stream(id), ours.done), (u32::from(headers.stream_id()), headers.is_end_stream()));
                let (pseudo, map) = headers.into_parts();
                assert_eq!(status, pseudo.status.map(|status| status.as_u16()));
                let mut theirs: Vec<_> =
                    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
                theirs.sort();
                assert_eq!(fields, theirs);
            }
        }
        Frame::Reset(reset) => {
            for (id, error) in &ours.failed {
                assert_eq!(stream(*id), u32::from(reset.stream_id()));
                assert_eq!(*error, Error::Reset { code: u32::from(reset.reason()).into() });
            }
        }
        Frame::GoAway(goaway) => {
            for (id, error) in &ours.failed {
                assert!(stream(*id) > u32::from(goaway.last_stream_id()));
                assert_eq!(*error, Error::GoneAway { code: u32::from(goaway.reason()).into() });
            }
        }
        Frame::Ping(ping) if !ping.is_ack() => {
            assert_eq!(ours.out, [b"\0\0\x08\x06\x01\0\0\0\0", &ping.payload()[..]].concat());
        }
        Frame::Settings(settings) if !settings.is_ack() => {
            assert!(ours.out.starts_with(b"\0\0\0\x04\x01\0\0\0\0"));
        }
        Frame::PushPromise(_) => panic!("it was taken"),
        Frame::Ping(_) | Frame::Priority(_) | Frame::Settings(_) | Frame::WindowUpdate(_) => {
            assert!(ours.data.is_none() && ours.fields.is_none());
        }
    }
    !ours.closed
}

/// What is refused because of streams, windows and settings, of which frames alone know nothing. The form of a frame is
/// not among it.
fn knows_more(frame: &[u8], error: Error) -> bool {
    use Violation::*;

    let Error::Violation(aquests_protocols::Violation::Http2(violation)) = error else {
        // Limits, those of blocks and of frames that bring nothing.
        return matches!(error, Error::TooLarge(_));
    };
    match violation {
        FlowControl | GoAway | IdleStream | Push | StreamClosed | WindowIncrement | WindowOverflow => true,
        // §6: it takes RST_STREAM on any stream.
        StreamId => frame[3] == 3,
        // §6.5.2 lets no server push, RFC 8441 §3 forbids the way back, and RFC 9218 §2.1 is not known to it.
        Setting => frame[HEAD..].chunks_exact(6).any(|setting| match setting {
            [0, 2, 0, 0, 0, 1] | [0, 8, 0, 0, 0, 0] => true,
            [0, 9, value @ ..] => value > &[0, 0, 0, 1][..],
            _ => false,
        }),
        // RFC 7541 §4.2, §5.1: it takes changes of the size anywhere, and larger integers.
        Compression(hpack::Error::TableSize | hpack::Error::Integer) => true,
        _ => false,
    }
}

/// Where it refuses what RFC 9113 does not, or the connection where one stream is enough. Nothing of what it refused may
/// have been told.
fn differs(frame: &[u8], ours: &Made) -> bool {
    assert!(ours.data.is_none());
    let (kind, flags, payload) = (frame[3], frame[4], &frame[HEAD..]);
    let on_stream = frame[5..HEAD] != [0; 4];
    match kind {
        // Malformed messages end their streams (§8.1.1), whole blocks on streams that are over concern nobody; a
        // dependency on oneself is of RFC 7540, and passed over (§5.3.2).
        1 if flags & 0x20 != 0 => true,
        1 | 9 => ours.fields.is_none(),
        // §5.3.2; of another length it is the stream's error (§6.3).
        2 => on_stream && (payload.len() == 5 || !ours.failed.is_empty()),
        // §6.9: by nothing, it is the stream's error.
        8 => on_stream && payload.len() == 4 && ours.out.len() + ours.failed.len() <= 14,
        _ => false,
    }
}
