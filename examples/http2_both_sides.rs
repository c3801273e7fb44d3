//! HTTP/2 from both sides: a server of a few lines on the reactor, and a client that sends it a thousand requests over
//! one connection, a hundred at once. `cargo run --example http2_both_sides [URL]` asks another server instead.

use std::collections::VecDeque;
use std::thread;

use aquests::protocols::http2::Server;
use aquests::protocols::semantics::{Body, Message, PreparedResponse, RequestHead, Response};
use aquests::protocols::{Established, ExchangeId, Replay};
use aquests::reactor::{At, Flow, Handler, Listener, Reactor, Reason, Sender};
use aquests::{Client, Versions};

/// Answers every request with its path. For one connection at a time, so that a name is enough to know a request by.
struct Site {
    head: PreparedResponse,
    paths: VecDeque<(ExchangeId, String)>,
}

impl Handler<Server> for Site {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Server {
        Server::new()
    }

    fn pull(&mut self, _at: At, to: &mut Sender<'_, Server>) {
        while to.slots() > 0
            && let Some((id, path)) = self.paths.pop_front()
        {
            // Nothing else than a client that went away keeps an answer from being sent, and that one needs none.
            let _ = to.send(id, Response { head: &self.head, body: Body::Whole(path.as_bytes()) });
        }
    }

    fn on_message(
        &mut self,
        _at: At,
        id: Option<ExchangeId>,
        message: Message<'_, RequestHead<'_>>,
        _done: bool,
    ) -> Flow {
        if let (Some(id), Message::Head(head)) = (id, message) {
            self.paths.push_back((id, head.target.to_owned()));
        }
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, _id: ExchangeId, _reason: &Reason, _replay: Replay) {}

    fn on_closed(&mut self, _at: At, _opened: bool, _reason: &Reason) {
        self.paths.clear();
    }
}

fn serve() -> std::io::Result<String> {
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut reactor = Reactor::new()?;
    reactor.listen(listener, 0)?;
    thread::spawn(move || {
        let head = PreparedResponse::new(200, "").expect("200 is a status");
        let mut site = Site { head, paths: VecDeque::new() };
        while reactor.turn(None, &mut site).is_ok() {}
    });
    Ok(url)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).map_or_else(serve, Ok)?;
    // Over https, `Versions::Any` (the default) does: the server says what it speaks. On plain http it is asked with the
    // first request; that it knows HTTP/2 is known here.
    let mut client = Client::builder().versions(Versions::Http2).streams(100).build()?;
    for page in 0..1_000 {
        client.get(format!("{url}/pages/{page}"))?;
    }
    let report = client.fetch_all_with(|_, outcome| {
        let response = outcome.into_result()?;
        if response.url().target().ends_with("/500") {
            println!("{} {}: {}", response.version(), response.status(), response.text());
        }
        Ok::<_, aquests::Error>(())
    })?;
    println!("{report}");
    Ok(())
}
