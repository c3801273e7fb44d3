//! The peer, frame by frame: what it sends is built here byte by byte, and what the machine says is read here, with
//! nothing of the machine's own framing. Only header blocks of the machine are read with its decoder, which `hpack`
//! tests against the standard.

use aquests_protocols::http2::Code;
use aquests_protocols::http2::hpack::Decoder;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;
pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
pub(crate) const NO_RFC7540_PRIORITIES: u16 = 9;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, payload.collect::<Vec<_>>())
}

pub(crate) fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, [])
}

/// HEADERS that are a whole block.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, block(fields))
}

/// A whole response without a body.
pub(crate) fn answer(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &[(":status", "200")])
}

/// The head of a response with a body.
pub(crate) fn head(stream: u32) -> Vec<u8> {
    headers(stream, 0, &[(":status", "200")])
}

/// The fields of a request.
pub(crate) fn asking(method: &str) -> [(&str, &str); 4] {
    [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "h")]
}

/// A whole request without a body.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &asking("GET"))
}

/// The head of a request with a body.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &asking("POST"))
}

pub(crate) fn data(stream: u32, flags: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

pub(crate) fn rst_stream(stream: u32, code: Code) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.0.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, more.to_be_bytes())
}

pub(crate) fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, payload)
}

pub(crate) fn goaway(last: u32, code: Code) -> Vec<u8> {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), code.0.to_be_bytes()].concat())
}

/// A header block in which every field is written out (RFC 7541 §6.2.2), without Huffman.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name.as_bytes(), value.as_bytes())).collect()
}

/// One field, written out: `first` is 0x00 not to be indexed, 0x40 to be, 0x10 never to be.
pub(crate) fn literal(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[first][..], &length(name.len()), name, &length(value.len()), value].concat()
}

/// RFC 7541 §5.1 with a prefix of 7 bits.
fn length(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![length as u8];
    }
    let (mut bytes, mut left) = (vec![127], length - 127);
    while left >= 128 {
        bytes.push((left % 128) as u8 | 128);
        left /= 128;
    }
    bytes.push(left as u8);
    bytes
}

/// What a machine says, one line for each frame: `HEADERS 1 END_STREAM | :method: GET | …`, `DATA 1 "hi"`.
pub(crate) fn said(out: &[u8]) -> Vec<String> {
    said_after(&mut Decoder::new(4096), out)
}

/// The same, where header blocks came before.
pub(crate) fn said_after(decoder: &mut Decoder, out: &[u8]) -> Vec<String> {
    let mut rest = out.strip_prefix(PREFACE).unwrap_or(out);
    let mut lines = Vec::new();
    if rest.len() < out.len() {
        lines.push("PREFACE".to_string());
    }
    let (mut block, mut begun) = (Vec::new(), String::new());
    while !rest.is_empty() {
        let (head, after) = rest.split_first_chunk::<9>().expect("a whole frame head");
        let length = number(&head[..3]) as usize;
        let (kind, flags, stream) = (head[3], head[4], number(&head[5..]));
        let (payload, after) = after.split_at_checked(length).expect("a whole frame");
        rest = after;
        if matches!(kind, HEADERS | CONTINUATION) {
            if kind == HEADERS {
                begun = format!("HEADERS {stream}{}", if flags & END_STREAM != 0 { " END_STREAM" } else { "" });
            } else {
                begun += " +";
            }
            block.extend_from_slice(payload);
            if flags & END_HEADERS != 0 {
                let mut line = core::mem::take(&mut begun);
                let each = |name: &[u8], value: &[u8]| {
                    line += &format!(" | {}: {}", name.escape_ascii(), value.escape_ascii());
                };
                decoder.decode(&block, each).expect("a block that can be decoded");
                block.clear();
                lines.push(line);
            }
            continue;
        }
        assert!(block.is_empty(), "a frame in the middle of a block");
        lines.push(match kind {
            DATA => {
                let end = if flags & END_STREAM != 0 { " END_STREAM" } else { "" };
                format!("DATA {stream}{end} \"{}\"", payload.escape_ascii())
            }
            RST_STREAM => format!("RST_STREAM {stream} {}", Code(number(payload))),
            SETTINGS if flags & ACK != 0 => "SETTINGS ACK".into(),
            SETTINGS => {
                let each = |setting: &[u8]| format!(" {}={}", number(&setting[..2]), number(&setting[2..]));
                format!("SETTINGS{}", payload.chunks(6).map(each).collect::<String>())
            }
            PING => format!("PING{} \"{}\"", if flags & ACK != 0 { " ACK" } else { "" }, payload.escape_ascii()),
            GOAWAY => format!("GOAWAY {} {}", number(&payload[..4]), Code(number(&payload[4..8]))),
            WINDOW_UPDATE => format!("WINDOW_UPDATE {stream} {}", number(payload)),
            _ => panic!("a frame of kind {kind}"),
        });
    }
    lines
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
