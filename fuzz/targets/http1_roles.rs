//! Our client against our server: whatever requests and answers there are, each exchange ends once, and bodies come out
//! as they went in.
//!
//! The input is four bytes for each exchange: method and body of the request, body of the answer, lengths, closing.
#![no_main]
// A plain function is not general enough over the lifetime inside of the head.
#![allow(clippy::redundant_closure)]

use std::cell::RefCell;
use std::rc::Rc;

use aquests_protocols::http1::{Client, Server};
use aquests_protocols::semantics::{Body, Message, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::testing::{Pair, Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [depth, seed, shapes @ ..] = input else { return };
    let shapes: Rc<[[u8; 4]]> = shapes.chunks_exact(4).take(64).map(|shape| shape.try_into().unwrap()).collect();
    let came = Rc::new(RefCell::new(Vec::new()));
    let (client, server) = (client(shapes.clone(), *depth), server(shapes.clone(), came.clone()));
    let (client, server) = Pair::new(client, server).run(u64::from(*seed));
    assert_eq!((client.error, server.error), (None, None), "{shapes:?}");
    for (id, body) in came.borrow().iter().enumerate() {
        assert_eq!(*body, payload(&shapes[id]), "the body of request {id} of {shapes:?}");
    }
    for event in &client.events {
        if let Event::Message { id, message: Seen::Data(data), .. } = event {
            assert_eq!(*data, payload(&shapes[id.0 as usize]), "the answer to request {id:?} of {shapes:?}");
        }
    }
});

fn payload(shape: &[u8; 4]) -> Vec<u8> {
    vec![shape[2]; usize::from(shape[2]) * usize::from(shape[0] >> 4)]
}

fn client(shapes: Rc<[[u8; 4]]>, depth: u8) -> Side<Client, ()> {
    let mut next = 0;
    Side::client(Client::new().pipeline(depth.into()), |message| see(message)).acting(move |side, _| {
        while let Some(shape) = shapes.get(next).filter(|_| side.machine.slots() > 0) {
            let method = ["GET", "HEAD", "PUT", "POST", "DELETE"][usize::from(shape[0] % 5)];
            let mut head = PreparedRequest::new(method, "/", "h").unwrap();
            if shape[3] == 1 {
                head.field("connection", b"close").unwrap();
            }
            let payload = payload(shape);
            let body = [Body::Whole(&payload), Body::Parts(Some(payload.len() as u64)), Body::Parts(None)];
            let (id, body) = (ExchangeId(next as u64), body[usize::from(shape[1] % 3)]);
            if side.machine.send(id, Request { head: &head, body }, &mut side.out).is_err() {
                break;
            }
            next += 1;
        }
        give(side, &shapes);
    })
}

fn server(shapes: Rc<[[u8; 4]]>, came: Rc<RefCell<Vec<Vec<u8>>>>) -> Side<Server, ()> {
    let mut body = Vec::new();
    Side::server(Server::new(), |message| see(message)).acting(move |side, event| {
        if let Some(Event::Message { id, message, done }) = event {
            if let Seen::Data(data) = message {
                body.extend_from_slice(data);
            }
            if *done {
                came.borrow_mut().push(core::mem::take(&mut body));
                let shape = &shapes[id.0 as usize];
                let mut head = PreparedResponse::new([200, 204, 304, 404][usize::from(shape[3] >> 6)], "").unwrap();
                if shape[3] == 2 {
                    head.field("connection", b"close").unwrap();
                }
                let payload = payload(shape);
                let body = [Body::Whole(&payload), Body::Parts(Some(payload.len() as u64)), Body::Parts(None)];
                let body = body[usize::from(shape[1] / 3 % 3)];
                side.machine.send(*id, Response { head: &head, body }, &mut side.out).unwrap();
            }
        }
        give(side, &shapes);
    })
}

/// Whoever sends a body in parts gives the next ones: chunks in two, promised bytes seven by seven.
fn give<P: Protocol>(side: &mut Side<P, ()>, shapes: &[[u8; 4]]) {
    while let Some((id, room)) = side.machine.wants_data() {
        let payload = payload(&shapes[id.0 as usize]);
        let rest = &payload[payload.len() - room.min(payload.len())..];
        let (part, more) = rest.split_at(if room == usize::MAX { rest.len() / 2 } else { rest.len().min(7) });
        let taken = side.machine.send_data(id, part, more.is_empty(), &mut side.out).unwrap();
        assert_eq!(taken, part.len());
        if room == usize::MAX && !more.is_empty() {
            side.machine.send_data(id, more, true, &mut side.out).unwrap();
        }
    }
}

fn see<H>(message: Message<'_, H>) -> Seen<()> {
    if let Message::Data(bytes) = message { Seen::Data(bytes.to_vec()) } else { Seen::Item(()) }
}
