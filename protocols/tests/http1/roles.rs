//! Our client against our server, over a wire that cuts as it likes: whatever one writes, the other reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use aquests_protocols::testing::Pair;

use super::*;

/// Requests of every shape, by number, so that a failure can be repeated with its seed alone.
#[derive(Clone, Copy)]
struct Shape(u64);

const SHAPES: u64 = 4 * 5 * 3;

impl Shape {
    fn method(self) -> &'static str {
        ["GET", "HEAD", "PUT", "POST"][(self.0 % 4) as usize]
    }

    fn payload(self) -> Vec<u8> {
        (0..self.0 * 37 % 300).map(|byte| (byte * 7 + self.0) as u8).collect()
    }

    fn sends_in_parts(self) -> Option<Option<u64>> {
        match self.0 / 4 % 5 {
            0 | 1 => None,
            2 => Some(Some(self.payload().len() as u64)),
            _ => Some(None),
        }
    }

    fn sends_trailers(self) -> bool {
        self.0 / 4 % 5 == 4
    }

    /// How the server sends it back.
    fn comes_back(self) -> u64 {
        self.0 / 20 % 3
    }

    fn head(self) -> PreparedRequest {
        let mut head = PreparedRequest::new(self.method(), &format!("/{}", self.0), "h").unwrap();
        head.field("x-shape", self.0.to_string().as_bytes()).unwrap();
        head
    }
}

/// A client that sends the shapes in order, as its slots allow, and gives bodies in small parts.
fn asking(depth: u16, shapes: u64) -> AtClient {
    let (mut next, mut given) = (0, BTreeMap::<u64, usize>::new());
    let client = Side::client(Client::new().pipeline(depth), see_response);
    client.acting(move |side, event| {
        if event.is_some() {
            return;
        }
        loop {
            let before = (next, given.clone());
            if next < shapes && side.machine.slots() > 0 {
                let (shape, payload) = (Shape(next), Shape(next).payload());
                let body = shape.sends_in_parts().map_or(Body::Whole(&payload), Body::Parts);
                let head = shape.head();
                // What must be alone waits until it is.
                if side.machine.send(ExchangeId(next), Request { head: &head, body }, &mut side.out).is_ok() {
                    next += 1;
                }
            }
            if let Some((id, room)) = side.machine.wants_data() {
                let (shape, payload, at) = (Shape(id.0), Shape(id.0).payload(), given.entry(id.0).or_default());
                let part = &payload[*at..payload.len().min(*at + 50.min(room))];
                *at += part.len();
                let last = *at == payload.len();
                side.machine.send_data(id, part, last && !shape.sends_trailers(), &mut side.out).unwrap();
                if last && shape.sends_trailers() {
                    side.machine.send_trailers(id, b"x-end: yes\r\n", &mut side.out).unwrap();
                }
            }
            if before == (next, given.clone()) {
                return;
            }
        }
    })
}

/// A server that sends back what it gets.
fn echoing(closes_at: Option<u64>) -> AtServer {
    let body = Rc::new(RefCell::new(Vec::new()));
    mute().acting(move |side, event| {
        let Some(Event::Message { id, message, done }) = event else { return };
        if let Seen::Data(bytes) = message {
            body.borrow_mut().extend_from_slice(bytes);
        }
        if !done {
            if matches!(message, Seen::Item(_)) {
                answer(side, id.0, 103, Body::EMPTY);
            }
            return;
        }
        let payload = core::mem::take(&mut *body.borrow_mut());
        if closes_at == Some(id.0) {
            side.machine.close(&mut side.out);
        }
        match Shape(id.0).comes_back() {
            0 => answer(side, id.0, 200, Body::Whole(&payload)),
            way => {
                answer(side, id.0, 200, Body::Parts((way == 1).then_some(payload.len() as u64)));
                for part in payload.chunks(70) {
                    if side.machine.wants_data().is_some() {
                        side.machine.send_data(*id, part, false, &mut side.out).unwrap();
                    }
                }
                if side.machine.wants_data().is_some() {
                    side.machine.send_data(*id, b"", true, &mut side.out).unwrap();
                }
            }
        }
    })
}

/// What came back for each exchange that ended.
fn bodies(run: &Run<String>) -> BTreeMap<u64, Vec<u8>> {
    let mut bodies = BTreeMap::<u64, Vec<u8>>::new();
    for event in &run.events {
        if let Event::Message { id, message, .. } = event {
            let body = bodies.entry(id.0).or_default();
            if let Seen::Data(bytes) = message {
                body.extend_from_slice(bytes);
            }
        }
    }
    bodies
}

/// Every shape of request, one after another and pipelined: all are answered, with what was sent.
#[test]
fn whatever_is_sent_comes_back() {
    for depth in [1, 2, 7] {
        for seed in 0..40 {
            let (client, server) = Pair::new(asking(depth, SHAPES), echoing(None)).run(seed);
            assert_eq!((client.error, server.error), (None, None), "depth {depth}, seed {seed}");
            assert_eq!((client.unfinished.len(), server.unfinished.len()), (0, 0), "depth {depth}, seed {seed}");
            let bodies = bodies(&client);
            for shape in (0..SHAPES).map(Shape) {
                let expected = if shape.method() == "HEAD" { Vec::new() } else { shape.payload() };
                assert_eq!(bodies[&shape.0], expected, "depth {depth}, seed {seed}, {} {}", shape.method(), shape.0);
            }
        }
    }
}

/// The server reads the requests in the order in which they were sent, with their fields and trailers.
#[test]
fn requests_arrive_in_order_with_all_that_belongs_to_them() {
    let (_, server) = Pair::new(asking(5, SHAPES), echoing(None)).run(99);
    let lines = told(&server);
    let heads: Vec<_> = lines.iter().filter(|line| line.contains(" HTTP/1.1 ")).collect();
    let trailers = lines.iter().filter(|line| line.ends_with(" trailers | x-end: yes done")).count() as u64;
    assert_eq!(heads.len() as u64, SHAPES);
    for (number, head) in heads.iter().enumerate() {
        let shape = Shape(number as u64);
        let expected = format!("{number} {} /{number} HTTP/1.1 | host: h | x-shape: {number}", shape.method());
        assert!(head.starts_with(&expected), "{head}");
    }
    assert_eq!(trailers, (0..SHAPES).filter(|shape| Shape(*shape).sends_trailers()).count() as u64);
}

/// Conservation, when the server leaves in the middle: what was answered is done, what was behind it was not processed.
#[test]
fn when_the_server_leaves_every_request_ends_once() {
    for closes_at in [0, 1, 4, 5, 40, SHAPES - 1] {
        for seed in 0..10 {
            let (client, server) = Pair::new(asking(6, SHAPES), echoing(Some(closes_at))).run(seed);
            assert_eq!((client.error, server.error), (None, None), "closes at {closes_at}, seed {seed}");
            assert_eq!(bodies(&client).len() as u64, closes_at + 1, "closes at {closes_at}, seed {seed}");
            for (id, replay) in &client.unfinished {
                assert!(id.0 > closes_at, "{id:?} was answered");
                assert_eq!(
                    *replay,
                    aquests_protocols::Replay::NotProcessed,
                    "closes at {closes_at}, seed {seed}, {id:?}"
                );
            }
        }
    }
}

/// A tunnel through both roles: each sees the other's first bytes as left over.
#[test]
fn both_roles_hand_over_at_the_same_byte() {
    for head in [upgrade(), request("CONNECT")] {
        for seed in 0..30 {
            let connect = head.method() == "CONNECT";
            let head = head.clone();
            let client = sent(Client::new(), &[head]).acting(|side, event| {
                if let Some(Event::Switched { .. }) = event {
                    side.out.extend_from_slice(b"from the client");
                }
            });
            let server = mute().acting(move |side, event| match event {
                Some(Event::Message { id, done: true, .. }) => {
                    answer(side, id.0, if connect { 200 } else { 101 }, Body::EMPTY);
                }
                Some(Event::Switched { .. }) => side.out.extend_from_slice(b"from the server"),
                _ => {}
            });
            let (client, server) = Pair::new(client, server).run(seed);
            assert_eq!(
                (told(&client).last().unwrap().as_str(), &client.left[..]),
                ("0 switched", &b"from the server"[..])
            );
            assert_eq!(
                (told(&server).last().unwrap().as_str(), &server.left[..]),
                ("0 switched", &b"from the client"[..])
            );
        }
    }
}
