//! Our client against our server, over a wire that cuts as it likes: whatever one writes, the other reads, and every
//! exchange ends once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use aquests_protocols::testing::Pair;

use super::*;

/// Requests of every shape, by number, so that a failure can be repeated with its seed alone.
#[derive(Clone, Copy)]
struct Shape(u64);

const SHAPES: u64 = 4 * 5 * 3 * 2;

impl Shape {
    fn method(self) -> &'static str {
        ["GET", "HEAD", "PUT", "POST"][(self.0 % 4) as usize]
    }

    /// Some are larger than the windows.
    fn payload(self) -> Vec<u8> {
        let length = if self.0.is_multiple_of(7) { 9_000 } else { self.0 * 37 % 300 };
        (0..length).map(|byte| (byte * 7 + self.0) as u8).collect()
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

    /// The reader of the answer is slow.
    fn is_held(self) -> bool {
        self.0 / 60 % 2 == 1
    }

    fn head(self) -> PreparedRequest {
        let mut head = PreparedRequest::new(self.method(), &format!("/{}", self.0), "h").unwrap();
        head.field("x-shape", self.0.to_string().as_bytes()).unwrap();
        head.field("cookie", b"a=1").unwrap().field("user-agent", b"something/1.0").unwrap();
        head
    }
}

/// Windows that are soon used up, so that every transfer meets them.
fn narrow(seed: u64) -> Settings {
    let window = [70, 1_000, 70_000][(seed % 3) as usize];
    Settings::default().window(window).most_window(4 * window).connection_window(65_535).streams(7)
}

type Given = Rc<RefCell<BTreeMap<u64, usize>>>;

/// Gives the next part of one body, in small pieces. `false`: there is nothing to do.
fn give<P: Protocol>(side: &mut Side<P, String>, given: &Given, shape: impl Fn(u64) -> Shape, trailers: bool) -> bool {
    let Some((id, room)) = side.machine.wants_data() else { return false };
    let (shape, mut given) = (shape(id.0), given.borrow_mut());
    let (payload, at) = (shape.payload(), given.entry(id.0).or_default());
    let part = &payload[*at..payload.len().min(*at + 400.min(room))];
    *at += part.len();
    let (last, trailers) = (*at == payload.len(), trailers && shape.sends_trailers());
    let taken = side.machine.send_data(id, part, last && !trailers, &mut side.out).unwrap();
    assert_eq!(taken, part.len());
    if last && trailers {
        side.machine.send_trailers(id, b"x-end: yes\r\n", &mut side.out).unwrap();
    }
    true
}

/// A client that sends the shapes in order, as its slots allow, and resumes what it held.
fn asking(settings: Settings, cancels: bool) -> AtClient {
    let (mut next, given, mut held) = (0, Given::default(), Vec::new());
    Side::client(Client::with(settings), see_response).acting(move |side, event| match event {
        Some(Event::Message { id, done: false, .. }) if Shape(id.0).is_held() => {
            side.machine.hold(*id);
            held.push(*id);
        }
        Some(Event::Message { id, done: false, .. }) if cancels && id.0 % 5 == 0 => {
            assert!(side.machine.cancel(*id, &mut side.out));
        }
        Some(_) => {}
        None => {
            held.drain(..).for_each(|id| side.machine.resume(id, &mut side.out));
            while next < SHAPES && side.machine.slots() > 0 {
                let (shape, payload) = (Shape(next), Shape(next).payload());
                let body = shape.sends_in_parts().map_or(Body::Whole(&payload), Body::Parts);
                send(side, next, &shape.head(), body);
                next += 1;
            }
            while give(side, &given, Shape, true) {}
        }
    })
}

/// A server that sends back what it gets, and leaves after so many requests if it is told to.
fn echoing(settings: Settings, leaves_at: Option<u64>) -> AtServer {
    let (bodies, given) = (Rc::new(RefCell::new(BTreeMap::<u64, (Shape, Vec<u8>)>::new())), Given::default());
    Side::server(Server::with(settings), see_request).acting(move |side, event| match event {
        Some(Event::Message { id, message, done }) => {
            let mut bodies = bodies.borrow_mut();
            match message {
                Seen::Item(head) if !head.starts_with("trailers") => {
                    let (_, shape) = head.split_once("x-shape: ").expect("every head has its shape");
                    let shape = Shape(shape.split(' ').next().unwrap().parse().unwrap());
                    bodies.insert(id.0, (shape, Vec::new()));
                    if shape.0.is_multiple_of(3) {
                        reply(side, id.0, 103, Body::EMPTY);
                    }
                }
                Seen::Item(_) => {}
                Seen::Data(bytes) => bodies.get_mut(&id.0).unwrap().1.extend_from_slice(bytes),
            }
            if *done {
                if leaves_at == Some(id.0) {
                    side.machine.inner().leave(&mut side.out);
                }
                let (shape, body) = &bodies[&id.0];
                assert_eq!(*body, shape.payload(), "the body of request {}", shape.0);
                let body = match shape.comes_back() {
                    0 => Body::Whole(body),
                    way => Body::Parts((way == 1).then_some(body.len() as u64)),
                };
                reply(side, id.0, 200, body);
            }
        }
        Some(_) => {}
        None => while give(side, &given, |id| bodies.borrow()[&id].0, false) {},
    })
}

/// Every request is answered with what it sent.
fn assert_answered(run: &Run<String>, but: impl Fn(u64) -> bool) {
    let mut bodies = BTreeMap::<u64, (bool, Vec<u8>)>::new();
    for event in &run.events {
        if let Event::Message { id, message, done } = event {
            let (whole, body) = bodies.entry(id.0).or_default();
            *whole |= done;
            if let Seen::Data(bytes) = message {
                body.extend_from_slice(bytes);
            }
        }
    }
    for id in (0..SHAPES).filter(|id| !but(*id)) {
        let expected = if Shape(id).method() == "HEAD" { Vec::new() } else { Shape(id).payload() };
        assert_eq!(bodies.get(&id), Some(&(true, expected)), "the answer to request {id}");
    }
}

#[test]
fn client_and_server_understand_each_other_whatever_the_pieces() {
    for seed in 0..40 {
        let pair = Pair::new(asking(narrow(seed), false), echoing(narrow(seed + 1), None));
        let (client, server) = pair.run(seed);
        assert_eq!((client.error, server.error), (None, None), "seed {seed}");
        assert_eq!((client.unfinished.len(), server.unfinished.len()), (0, 0), "seed {seed}");
        assert_answered(&client, |_| false);
    }
}

#[test]
fn cancelled_exchanges_leave_the_others_alone() {
    for seed in 0..40 {
        let (client, server) = Pair::new(asking(narrow(seed), true), echoing(narrow(seed + 1), None)).run(seed);
        assert_eq!((client.error, server.error), (None, None), "seed {seed}");
        assert_eq!((client.unfinished.len(), server.unfinished.len()), (0, 0), "seed {seed}");
        assert_answered(&client, |id| id % 5 == 0 && !Shape(id).is_held());
    }
}

/// RFC 9113 §6.8: a graceful shutdown in the middle loses no request: each is answered, or may be sent again for sure, or
/// was never taken.
#[test]
fn a_server_that_leaves_loses_no_request() {
    for seed in 0..40 {
        let pair = Pair::new(asking(narrow(seed), false), echoing(narrow(seed), Some(20 + seed)));
        let (client, server) = pair.run(seed);
        assert_eq!((client.error, server.error), (None, None), "seed {seed}");
        let mut ends = BTreeMap::new();
        for event in &client.events {
            match event {
                Event::Message { id, done: true, .. } => assert_eq!(ends.insert(id.0, "answered"), None),
                Event::Failed { id, replay, .. } => {
                    assert_eq!(*replay, Replay::NotProcessed, "seed {seed}");
                    assert_eq!(ends.insert(id.0, "failed"), None);
                }
                _ => {}
            }
        }
        assert_eq!(client.unfinished, [], "seed {seed}");
        assert!(ends.len() as u64 > 20 + seed && (ends.len() as u64) < SHAPES, "seed {seed}: {} ended", ends.len());
        assert_eq!(client.events.last(), Some(&Event::Closed));
        assert_eq!(server.events.last(), Some(&Event::Closed));
    }
}

/// Large bodies both ways at once, through windows that grow.
#[test]
fn large_bodies_pass_through_windows_that_grow() {
    const SIZE: usize = 3 << 20;
    for seed in 0..3 {
        let client = {
            let mut sent = 0;
            Side::client(Client::with(Settings::default().window(20_000)), see_response).acting(move |side, event| {
                if event.is_some() {
                    return;
                }
                if side.machine.slots() == 100 && sent == 0 {
                    send(side, 0, &request("POST"), Body::Parts(Some(SIZE as u64)));
                }
                while let Some((id, room)) = side.machine.wants_data() {
                    let part = vec![b'x'; room];
                    sent += room;
                    side.machine.send_data(id, &part, sent == SIZE, &mut side.out).unwrap();
                }
            })
        };
        let server = {
            let (mut left, mut whole) = (SIZE, false);
            Side::server(Server::with(Settings::default().window(30_000)), see_request).acting(move |side, event| {
                match event {
                    Some(Event::Message { id, message: Seen::Item(_), .. }) => {
                        reply(side, id.0, 200, Body::Parts(None))
                    }
                    Some(Event::Message { id, done: true, .. }) => {
                        whole = true;
                        side.machine.resume(*id, &mut side.out);
                    }
                    Some(_) => {}
                    None => {
                        while let Some((id, room)) = side.machine.wants_data() {
                            // The last byte waits for the end of the request, which is cut off otherwise.
                            let part = room.min(if whole { left } else { left - 1 });
                            left -= part;
                            if part == 0 {
                                side.machine.stall(id);
                            } else {
                                side.machine.send_data(id, &vec![b'y'; part], left == 0, &mut side.out).unwrap();
                            }
                        }
                    }
                }
            })
        };
        let (client, server) = Pair::new(client, server).run(seed);
        assert_eq!((client.error, server.error), (None, None));
        for (run, letter) in [(&client, b'y'), (&server, b'x')] {
            let data = run.events.iter().find_map(|event| match event {
                Event::Message { message: Seen::Data(data), .. } => Some(data),
                _ => None,
            });
            let data = data.expect("a body");
            assert!(data.len() == SIZE && data.iter().all(|byte| *byte == letter), "{} bytes", data.len());
        }
    }
}
