//! Messages of a server against another implementation: whatever ours takes, `postgres-protocol` takes too and finds the
//! same in it. Ours takes less: what comes out of order, or is not as it was described.
//!
//! The first byte says what was asked: an even one a simple query, an odd one a typed statement.
#![no_main]

use aquests_protocols::postgres::{Client, End, ErrorRef, Login, Message, Parameter, Request, Step, Transaction};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use libfuzzer_sys::fuzz_target;
use postgres_protocol::message::backend::{ErrorFields, Message as Theirs};

const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

fuzz_target!(|input: &[u8]| {
    let [kind, bytes @ ..] = input else { return };
    let (mut client, mut out) = (Client::new(Login::new("me")).unwrap().pipeline(4), Vec::new());
    client.connected(Established::default(), &mut out);
    for at in [0, 9] {
        client.receive(Input { bytes: &HELLO[at..], eof: false }, &mut out).unwrap();
    }
    let values = [Parameter::text("a")];
    let steps = [
        Step::Parse { name: "s", sql: "SELECT $1", types: &[] },
        Step::DescribeStatement("s"),
        Step::Bind { portal: "", statement: "s", parameters: &values, results: &[] },
        Step::Execute { portal: "", rows: 2 },
    ];
    for id in 0..3 {
        let request = match kind % 2 {
            0 => Request::Query("SELECT 1"),
            _ => Request::Steps { steps: &steps, end: End::Sync },
        };
        client.send(ExchangeId(id), request, &mut out).unwrap();
    }
    let mut at = 0;
    while let Ok((used, event)) = client.receive(Input { bytes: &bytes[at..], eof: false }, &mut out) {
        let frame = &bytes[at..at + used];
        at += used;
        let ours = match event {
            Event::Message { message, .. } | Event::Push(message) => Some(message),
            Event::Progress => None,
            Event::Failed { .. } => continue,
            _ => return,
        };
        if used == 0 {
            continue;
        }
        // What is copied is told as it comes, and its frames are cut anywhere.
        if matches!(ours, Some(Message::CopyIn(_) | Message::CopyOut(_))) {
            return;
        }
        let mut rest = BytesMut::from(frame);
        let theirs = Theirs::parse(&mut rest);
        let Ok(Some(theirs)) = theirs else { panic!("theirs does not take {}", frame.escape_ascii()) };
        assert!(rest.is_empty(), "theirs ends earlier in {}", frame.escape_ascii());
        if let Some(ours) = ours {
            assert!(is_same(ours, &theirs), "{ours:?} of {}", frame.escape_ascii());
        }
    }
});

fn is_same(ours: Message<'_>, theirs: &Theirs) -> bool {
    // What is not UTF-8 it does not show.
    let text = |ours: &[u8], theirs: std::io::Result<&str>| {
        theirs.map_or(str::from_utf8(ours).is_err(), |text| text.as_bytes() == ours)
    };
    match (ours, theirs) {
        (Message::Row(row), Theirs::DataRow(body)) => {
            let fields = body.ranges().map(|range| Ok(range.map(|range| &body.buffer()[range])));
            fields.collect::<Vec<_>>().is_ok_and(|theirs| theirs == row.fields().collect::<Vec<_>>())
        }
        (Message::RowDescription(columns), Theirs::RowDescription(body)) => {
            // One name that is not UTF-8 hides them all.
            let Ok(fields) = body.fields().collect::<Vec<_>>() else {
                return columns.columns().any(|column| str::from_utf8(column.name).is_err());
            };
            let same = |(ours, theirs): (
                aquests_protocols::postgres::Column<'_>,
                &postgres_protocol::message::backend::Field<'_>,
            )| {
                (
                    ours.name,
                    ours.table,
                    ours.attribute as i16,
                    ours.type_oid,
                    ours.type_size,
                    ours.type_modifier,
                    ours.format as i16,
                ) == (
                    theirs.name().as_bytes(),
                    theirs.table_oid(),
                    theirs.column_id(),
                    theirs.type_oid(),
                    theirs.type_size(),
                    theirs.type_modifier(),
                    theirs.format(),
                )
            };
            usize::from(columns.count()) == fields.len() && columns.columns().zip(&fields).all(same)
        }
        (Message::ParameterDescription(types), Theirs::ParameterDescription(body)) => {
            body.parameters().collect::<Vec<_>>().is_ok_and(|theirs| theirs == types.oids().collect::<Vec<_>>())
        }
        (Message::Complete(tag), Theirs::CommandComplete(body)) => text(tag.as_bytes(), body.tag()),
        (Message::Error(error), Theirs::ErrorResponse(body)) => is_same_error(error, body.fields()),
        (Message::Notice(notice), Theirs::NoticeResponse(body)) => is_same_error(notice, body.fields()),
        (Message::Notification(one), Theirs::NotificationResponse(body)) => {
            one.process == body.process_id() as u32
                && text(one.channel, body.channel())
                && text(one.payload, body.message())
        }
        (Message::Parameter { name, value }, Theirs::ParameterStatus(body)) => {
            text(name, body.name()) && text(value, body.value())
        }
        (Message::Ready(transaction), Theirs::ReadyForQuery(body)) => {
            let theirs = match body.status() {
                b'I' => Transaction::Idle,
                b'T' => Transaction::Open,
                _ => Transaction::Failed,
            };
            transaction == theirs
        }
        (Message::NoData, Theirs::NoData)
        | (Message::Empty, Theirs::EmptyQueryResponse)
        | (Message::Suspended, Theirs::PortalSuspended) => true,
        _ => false,
    }
}

fn is_same_error(ours: ErrorRef<'_>, theirs: ErrorFields<'_>) -> bool {
    let theirs = theirs.map(|field| Ok((field.type_(), field.value_bytes().to_vec()))).collect::<Vec<_>>();
    theirs.is_ok_and(|theirs| theirs == ours.fields().map(|(kind, value)| (kind, value.to_vec())).collect::<Vec<_>>())
}
