//! Memory that servers of HTTP/2 can make us take: what the windows of held streams allow, and nothing for floods and
//! bombs. A binary of its own, which nothing else weighs on.
#![cfg(feature = "http2")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aquests::protocols::http2::Settings;
use aquests::{Client, Error, Flow, Request, Versions};
use support::frames::*;
use support::{H2, Peer, forget_peak, must_end, peak_memory, resident_memory};

const HELD: u64 = 20;
const WINDOW: u32 = 128 << 10;
/// What each of the held streams would bring, were it not held.
const LENGTH: u64 = 8 << 20;
/// What everything else may take: read buffers and the slack of the allocator.
const REST: u64 = 4 << 20;

// One test: others would be weighed too.
#[test]
fn held_streams_cost_their_windows_and_floods_cost_nothing() {
    must_end(|| {
        hold_streams();
        endure_floods();
    });
}

fn hold_streams() {
    let server = H2::start(&[]);
    let settings = Settings::default().window(WINDOW).most_window(WINDOW);
    let mut client = Client::builder().versions(Versions::Http2).http2_settings(settings).build().unwrap();
    let through = |client: &mut Client, requests: usize| {
        for _ in 0..requests {
            client.send(Request::get(server.url("/bytes/1000000")).discard()).unwrap();
        }
        let mut answered = 0;
        while answered < requests {
            client.turn(None).unwrap();
            while let Some(outcome) = client.next_outcome() {
                assert_eq!(outcome.into_result().expect("it was answered").received(), 1_000_000);
                answered += 1;
            }
        }
    };
    through(&mut client, 20);
    let before = resident_memory();
    forget_peak();

    let (got, (tell, told)) = (Arc::new(AtomicU64::new(0)), mpsc::channel());
    let held: Vec<_> = (0..HELD)
        .map(|_| {
            let (got, tell, mut first) = (got.clone(), tell.clone(), true);
            let request = Request::get(server.url(&format!("/bytes/{LENGTH}"))).on_chunk(move |_, bytes| {
                got.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if std::mem::take(&mut first) {
                    let _ = tell.send(());
                    return Ok::<_, Error>(Flow::Hold);
                }
                Ok(Flow::Continue)
            });
            client.send(request).unwrap()
        })
        .collect();
    while told.try_iter().count() == 0 {
        client.turn(None).unwrap();
    }
    // All are held by the time these are through, and the server has had every chance to send more.
    through(&mut client, 50);
    client.turn(Some(Duration::ZERO)).unwrap();
    let grown = peak_memory().saturating_sub(before);
    println!("the peak was {grown} bytes above what it was before, with {HELD} streams held");
    assert!(grown < HELD * u64::from(WINDOW) + REST, "memory grew by {grown} bytes");
    // What was on its way is told, and that is a window of each.
    let told = got.load(Ordering::Relaxed);
    assert!(told <= HELD * u64::from(WINDOW), "{told} bytes of held streams were told");

    for id in held {
        assert!(client.resume(id));
    }
    let mut answered = 0;
    client
        .fetch_all_with(|_, outcome| {
            answered += outcome.into_result()?.received();
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!((answered, got.load(Ordering::Relaxed)), (HELD * LENGTH, HELD * LENGTH));
}

fn endure_floods() {
    // Each as much as the client takes of it, on a connection that it ends.
    let bomb = [literal(0x40, b"x", &[b'v'; 4000]), vec![0xbe; 12_000]].concat();
    let part = |kind| frame(kind, 0, 1, [&b"\x88\0\x01x\x7f\x80\x7f"[..], &[b'v'; 16_000]].concat());
    let floods: [(Vec<u8>, Vec<u8>); 7] = [
        (part(HEADERS), part(CONTINUATION)),
        (frame(HEADERS, 0, 1, b"\x88"), frame(CONTINUATION, 0, 1, "")),
        (Vec::new(), ping(b"12345678")),
        (Vec::new(), settings(&[(INITIAL_WINDOW_SIZE, 5), (INITIAL_WINDOW_SIZE, 6)])),
        (frame(HEADERS, END_HEADERS, 1, bomb), frame(HEADERS, END_HEADERS, 1, b"\x88\xbe\xbe\xbe")),
        (head(1), data(1, 0, "")),
        // On a stream that is held, whatever its window allows.
        (head(1), data(1, 0, [b'x'; 16_384])),
    ];
    let mut client = Client::builder().versions(Versions::Http2).retries(0).build().unwrap();
    let before = resident_memory();
    forget_peak();
    for (number, (first, flood)) in floods.into_iter().enumerate() {
        // As few bytes for each write as do not slow it down, and not more than a few MiB of them all.
        let flood = flood.repeat((64 << 10) / flood.len());
        let peer = Peer::start(move |conn| {
            conn.take(PREFACE.len())?;
            conn.send([settings(&[]), first.clone()].concat())?;
            conn.send_for_ever(&flood)
        });
        let request = Request::get(peer.url("/")).on_chunk(|_, _| Ok::<_, Error>(Flow::Hold));
        client.send(request).unwrap();
        let mut errors = Vec::new();
        client
            .fetch_all_with(|_, outcome| {
                errors.extend(outcome.into_result().err());
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(errors.len(), 1, "flood {number}");
        // What a socket holds is more than what was read.
        assert!(peer.sent() < 32 << 20, "flood {number}: {} bytes were taken before {}", peer.sent(), errors[0]);
    }
    let grown = peak_memory().saturating_sub(before);
    println!("the peak was {grown} bytes above what it was before, under floods");
    assert!(grown < REST, "memory grew by {grown} bytes");
}
