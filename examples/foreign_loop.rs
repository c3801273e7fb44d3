//! Inside somebody else's event loop, here that of the `polling` crate: the loop waits for the client's descriptor and
//! deadline among its own affairs, and gives it turns that do not block. `cargo run --example foreign_loop [URL]`

mod support;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use aquests::{Client, Request};
use polling::{Event, Events, Poller};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = support::http_server();
    let mut client = Client::builder().workers(4).build()?;
    for page in 0..20 {
        client.get(format!("{url}/{page}"))?;
    }

    // Another thread sends as well, and wakes the loop.
    let handle = client.handle();
    let late = url.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        handle.send(Request::get(format!("{late}/from-a-thread"))).expect("the client lives");
    });

    let poller = Poller::new()?;
    // SAFETY: the descriptor is taken out of the poller before the client that owns it is dropped.
    #[allow(unsafe_code)]
    unsafe {
        poller.add(&client.as_fd(), Event::readable(1))?
    };
    let mut events = Events::new();
    let (mut outcomes, mut ticks) = (0, 0);
    while outcomes < 21 {
        // A turn that does not block, then whatever came of it.
        client.turn(Some(Duration::ZERO))?;
        while let Some(outcome) = client.next_outcome() {
            outcomes += 1;
            println!("{outcome}");
        }
        // The loop's own affairs: here, a tick every 20 ms.
        ticks += 1;
        let tick = Instant::now() + Duration::from_millis(20);
        let until = client.next_deadline().map_or(tick, |deadline| deadline.min(tick));
        events.clear();
        poller.wait(&mut events, Some(until.saturating_duration_since(Instant::now())))?;
        poller.modify(client.as_fd(), Event::readable(1))?;
    }
    poller.delete(client.as_fd())?;
    println!("{outcomes} outcomes in {ticks} rounds of the loop");
    println!("{}", client.report());
    Ok(())
}
