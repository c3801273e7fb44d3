//! What another client of PostgreSQL said, asked of ours: its bytes are read and made into requests again, so that what
//! ours writes for them can be compared. Nothing of what comes from a server is read here.

#![allow(dead_code)] // A fuzz target uses a part of it.

use core::str;

use aquests_protocols::postgres::{Client, End, Format, Login, Message, Parameter, Request, Step};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{ExchangeId, Protocol};

pub(crate) type AtClient = Side<Client, String>;

/// The user and the settings of a startup message, and the password that was thought of; the nonce is that of the
/// recording.
pub(crate) fn login(startup: &[u8], password: &str, entropy: [u8; 18]) -> Option<Login> {
    let mut texts = startup.get(8..)?.split(|byte| *byte == 0).map(str::from_utf8);
    let mut text = move || texts.next()?.ok().filter(|text| !text.is_empty());
    let (Some("user"), user) = (text(), text()?) else { return None };
    let mut login = Login::new(user).password(password, entropy);
    while let Some(name) = text() {
        login = login.parameter(name, text().unwrap_or_default());
    }
    Some(login)
}

/// Asks for what a run of a client's messages asks for. What is refused or makes no sense is left out: a client that was
/// recorded does neither.
pub(crate) fn say(side: &mut AtClient, mut bytes: &[u8], next: &mut u64) {
    let mut steps: Vec<OwnStep<'_>> = Vec::new();
    while let Some((kind, body, rest)) = message(bytes) {
        bytes = rest;
        let executed = matches!(steps.last(), Some(OwnStep::Execute { .. }));
        match kind {
            b'Q' => {
                let Some(sql) = text(&mut { body }) else { continue };
                let upper = sql.to_ascii_uppercase();
                let copies = upper.starts_with("COPY") && upper.contains("FROM STDIN");
                ask(side, next, if copies { Request::CopyIn(sql) } else { Request::Query(sql) });
            }
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                if executed && matches!(kind, b'P' | b'B') {
                    ask_steps(side, next, &std::mem::take(&mut steps), End::Later);
                }
                steps.extend(step(kind, body));
            }
            b'S' => ask_steps(side, next, &std::mem::take(&mut steps), End::Sync),
            b'H' => ask_steps(side, next, &std::mem::take(&mut steps), End::Flush),
            b'd' | b'c' => {
                if let Some((id, _)) = side.machine.wants_data() {
                    let _ = side.machine.send_data(id, body, kind == b'c', &mut side.out);
                }
            }
            b'X' => side.machine.close(&mut side.out),
            // The machine answers of itself what the server asks in a login.
            _ => {}
        }
    }
    if !steps.is_empty() {
        ask_steps(side, next, &steps, End::Later);
    }
}

pub(crate) fn see(message: Message<'_>) -> Seen<String> {
    match message {
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        other => Seen::Item(format!("{other:?}")),
    }
}

/// The first message with a type, and what follows it.
pub(crate) fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, a, b, c, d], rest) = bytes.split_first_chunk::<5>()?;
    let length = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4)?;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((kind, body, rest))
}

fn ask(side: &mut AtClient, next: &mut u64, request: Request<'_>) {
    if side.machine.send(ExchangeId(*next), request, &mut side.out).is_ok() {
        *next += 1;
    }
}

/// A step with values of its own.
enum OwnStep<'a> {
    Parse { name: &'a str, sql: &'a str, types: Vec<u32> },
    Bind { portal: &'a str, statement: &'a str, parameters: Vec<Parameter<'a>>, results: Vec<Format> },
    Describe(u8, &'a str),
    Execute { portal: &'a str, rows: u32 },
    Close(u8, &'a str),
}

fn ask_steps(side: &mut AtClient, next: &mut u64, steps: &[OwnStep<'_>], end: End) {
    let steps: Vec<_> = steps
        .iter()
        .map(|step| match step {
            OwnStep::Parse { name, sql, types } => Step::Parse { name, sql, types },
            OwnStep::Bind { portal, statement, parameters, results } => {
                Step::Bind { portal, statement, parameters, results }
            }
            OwnStep::Describe(b'S', name) => Step::DescribeStatement(name),
            OwnStep::Describe(_, name) => Step::DescribePortal(name),
            OwnStep::Execute { portal, rows } => Step::Execute { portal, rows: *rows },
            OwnStep::Close(b'S', name) => Step::CloseStatement(name),
            OwnStep::Close(_, name) => Step::ClosePortal(name),
        })
        .collect();
    ask(side, next, Request::Steps { steps: &steps, end });
}

fn step(kind: u8, mut body: &[u8]) -> Option<OwnStep<'_>> {
    let rest = &mut body;
    Some(match kind {
        b'P' => {
            let (name, sql) = (text(rest)?, text(rest)?);
            let types = (0..number(rest)?).map(|_| long(rest)).collect::<Option<_>>()?;
            OwnStep::Parse { name, sql, types }
        }
        b'B' => {
            let (portal, statement) = (text(rest)?, text(rest)?);
            let formats = (0..number(rest)?).map(|_| format(rest)).collect::<Option<Vec<_>>>()?;
            let mut parameters = Vec::new();
            for at in 0..usize::from(number(rest)?) {
                let length = long(rest)? as usize;
                let value = if length == u32::MAX as usize { None } else { Some(take(rest, length)?) };
                // None stands for text, one for all.
                let format = if formats.len() == 1 { formats.first() } else { formats.get(at) };
                parameters.push(Parameter { value, format: format.copied().unwrap_or_default() });
            }
            let results = (0..number(rest)?).map(|_| format(rest)).collect::<Option<_>>()?;
            OwnStep::Bind { portal, statement, parameters, results }
        }
        b'D' => OwnStep::Describe(*take(rest, 1)?.first()?, text(rest)?),
        b'C' => OwnStep::Close(*take(rest, 1)?.first()?, text(rest)?),
        _ => OwnStep::Execute { portal: text(rest)?, rows: long(rest)? },
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = bytes.iter().position(|byte| *byte == 0)?;
    let taken = take(bytes, length + 1)?;
    str::from_utf8(&taken[..length]).ok()
}

fn number(bytes: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(bytes, 2)?.try_into().ok()?))
}

fn long(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(bytes, 4)?.try_into().ok()?))
}

fn format(bytes: &mut &[u8]) -> Option<Format> {
    number(bytes).map(|code| if code == 0 { Format::Text } else { Format::Binary })
}
