//! Our client against our server: whatever requests and answers there are, each exchange ends once, and bodies come out
//! as they went in.
//!
//! The input is windows, seed of the wire, then four bytes for each exchange: method and bodies, lengths, what happens.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use aquests_protocols::http2::{Client, Server, Settings};
use aquests_protocols::semantics::{Body, Message, PreparedRequest, PreparedResponse, Request, RequestHead, Response};
use aquests_protocols::testing::{Pair, Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [windows, seed, shapes @ ..] = input else { return };
    let shapes: Rc<[Shape]> = shapes.chunks_exact(4).take(64).map(|shape| Shape(shape.try_into().unwrap())).collect();
    let came = Rc::new(RefCell::new(BTreeMap::new()));
    let settings = |windows: u8| {
        let window = [30, 500, 65_535, 300_000][usize::from(windows % 4)];
        Settings::default().window(window).most_window(4 * window).streams(1 + u32::from(windows / 4 % 8))
    };
    let client = client(settings(*windows), shapes.clone());
    let server = server(settings(windows / 32), shapes.clone(), came.clone());
    let (client, server) = Pair::new(client, server).run(u64::from(*seed));
    assert_eq!((client.error, server.error), (None, None), "{shapes:?}");
    assert_eq!(client.unfinished, [], "{shapes:?}");
    for (at, body) in came.borrow().iter() {
        let shape = shapes[*at];
        assert!(shape.is_cut_off() || *body == shape.payload(), "the body of request {at} of {shapes:?}");
    }
    // Answers come in turns.
    let mut answers = BTreeMap::<ExchangeId, Vec<u8>>::new();
    for event in &client.events {
        if let Event::Message { id, message: Seen::Data(data), done } = event {
            let (answer, payload) = (answers.entry(*id).or_default(), shapes[id.0 as usize].payload());
            answer.extend_from_slice(data);
            let right = if *done { *answer == payload } else { payload.starts_with(answer) };
            assert!(right, "the answer to {id:?} of {shapes:?}");
        }
    }
});

#[derive(Clone, Copy, Debug)]
struct Shape([u8; 4]);

impl Shape {
    fn method(self) -> &'static str {
        ["GET", "HEAD", "PUT", "POST", "DELETE"][usize::from(self.0[0] % 5)]
    }

    fn payload(self) -> Vec<u8> {
        vec![self.0[2]; usize::from(self.0[2]) * usize::from(self.0[0] >> 4)]
    }

    fn body(self, payload: &[u8], kind: u8) -> Body<'_> {
        [Body::Whole(payload), Body::Parts(Some(payload.len() as u64)), Body::Parts(None)][usize::from(kind % 3)]
    }

    /// The client gives it up when it hears of it, or the server does.
    fn is_cancelled(self) -> (bool, bool) {
        (self.0[3] & 1 != 0, self.0[3] & 2 != 0)
    }

    /// The server answers before it has read everything.
    fn is_early(self) -> bool {
        self.0[3] & 4 != 0
    }

    fn is_held(self) -> bool {
        self.0[3] & 8 != 0
    }

    fn is_cut_off(self) -> bool {
        self.is_early() || self.is_cancelled() != (false, false)
    }
}

fn client(settings: Settings, shapes: Rc<[Shape]>) -> Side<Client, String> {
    let (mut next, mut held, mut given) = (0, Vec::new(), BTreeMap::new());
    Side::client(Client::with(settings), |message| see(message, |head| format!("status {}", head.status))).acting(
        move |side, event| match event {
            Some(Event::Message { id, done: false, .. }) => {
                let shape = shapes[id.0 as usize];
                if shape.is_cancelled().0 {
                    assert!(side.machine.cancel(*id, &mut side.out));
                } else if shape.is_held() {
                    side.machine.hold(*id);
                    held.push(*id);
                }
            }
            Some(_) => {}
            None => {
                held.drain(..).for_each(|id| side.machine.resume(id, &mut side.out));
                while let Some(shape) = shapes.get(next).filter(|_| side.machine.slots() > 0) {
                    let mut head = PreparedRequest::new(shape.method(), &format!("/{next}"), "h").unwrap();
                    head.field("x-shape", next.to_string().as_bytes()).unwrap();
                    let payload = shape.payload();
                    let body = shape.body(&payload, shape.0[1]);
                    side.machine.send(ExchangeId(next as u64), Request { head: &head, body }, &mut side.out).unwrap();
                    next += 1;
                }
                give(side, &mut given, |id| shapes[id.0 as usize]);
            }
        },
    )
}

fn server(
    settings: Settings,
    shapes: Rc<[Shape]>,
    came: Rc<RefCell<BTreeMap<usize, Vec<u8>>>>,
) -> Side<Server, String> {
    let (mut places, mut given) = (Vec::new(), BTreeMap::new());
    Side::server(Server::with(settings), |message| see(message, number)).acting(move |side, event| match event {
        Some(Event::Message { id, message, done }) => {
            if let Seen::Item(text) = message
                && let Ok(place) = text.parse::<usize>()
            {
                places.push(place);
            }
            let place = places[id.0 as usize];
            let shape = shapes[place];
            let mut came = came.borrow_mut();
            let body = came.entry(place).or_default();
            if let Seen::Data(data) = message {
                body.extend_from_slice(data);
            }
            if shape.is_cancelled().1 {
                let _ = side.machine.cancel(*id, &mut side.out);
            } else if *done || shape.is_early() {
                let head = PreparedResponse::new([200, 204, 304, 404][usize::from(shape.0[3] >> 6)], "").unwrap();
                let payload = shape.payload();
                let body = shape.body(&payload, shape.0[1] / 3);
                // Refused is what was answered early.
                let sent = side.machine.send(*id, Response { head: &head, body }, &mut side.out);
                assert!(sent.is_ok() || shape.is_early());
            }
        }
        Some(_) => {}
        None => give(side, &mut given, |id| shapes[places[id.0 as usize]]),
    })
}

/// Whoever sends a body in parts gives the next ones.
fn give<P: Protocol>(
    side: &mut Side<P, String>,
    given: &mut BTreeMap<ExchangeId, usize>,
    shape: impl Fn(ExchangeId) -> Shape,
) {
    while let Some((id, room)) = side.machine.wants_data() {
        let (payload, at) = (shape(id).payload(), given.entry(id).or_default());
        let part = &payload[*at..payload.len().min(*at + room.min(700))];
        *at += part.len();
        let taken = side.machine.send_data(id, part, *at == payload.len(), &mut side.out).unwrap();
        assert_eq!(taken, part.len());
    }
}

/// Of a head, what `text` makes of it.
fn see<H>(message: Message<'_, H>, text: impl Fn(H) -> String) -> Seen<String> {
    match message {
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Head(head) | Message::Informational(head) => Seen::Item(text(head)),
        Message::Trailers(_) => Seen::Item("trailers".into()),
    }
}

fn number(request: RequestHead<'_>) -> String {
    String::from_utf8_lossy(request.fields.get("x-shape").unwrap_or_default()).into_owned()
}
