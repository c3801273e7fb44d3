//! HTTP/2 against the `h2` crate, which most servers in Rust are made of: every kind of answer, windows of every size and
//! windows that change, resets, refusals and goodbyes. What each path answers is said in `tests/servers/h2`.
#![cfg(feature = "http2")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::Version;
use aquests::protocols::http2::Settings;
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Report, Request, RequestId, Response, Versions};
use support::{H2, must_end};

type Outcomes = BTreeMap<RequestId, Result<Response, Error>>;

/// What came of every request; there must be nothing else, and nothing twice.
fn fetch(client: &mut Client) -> (Outcomes, Report) {
    let mut outcomes = BTreeMap::new();
    let report = client
        .fetch_all_with(|_, outcome: Outcome| {
            let before = outcomes.insert(outcome.request_id(), outcome.into_result());
            assert!(before.is_none(), "two outcomes: {before:?}");
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(report.requests(), outcomes.len() as u64, "{report}");
    assert!(client.is_idle() && client.in_hand() == 0);
    (outcomes, report)
}

#[track_caller]
fn one(client: &mut Client, request: Request) -> Result<Response, Error> {
    client.send(request).expect("it can be sent");
    let (mut outcomes, _) = fetch(client);
    outcomes.pop_first().expect("there was an outcome").1
}

#[track_caller]
fn get(client: &mut Client, url: String) -> Response {
    let response = one(client, Request::get(&url)).unwrap_or_else(|error| panic!("{url}: {error}"));
    assert_eq!(response.version(), Version::Http2);
    response
}

fn known() -> aquests::Builder {
    Client::builder().versions(Versions::Http2)
}

/// What `/bytes/N` answers.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at * 7 % 26) as u8).collect()
}

#[test]
fn answers_of_every_kind_arrive_as_they_were_sent() {
    must_end(|| {
        for manner in [&[][..], &["table=0"], &["table=65536", "frame=1048576", "streams=1"]] {
            let server = H2::start(manner);
            let mut client = known().build().unwrap();
            for length in [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 1 << 20] {
                for path in ["bytes", "chunks"] {
                    let response = get(&mut client, server.url(&format!("/{path}/{length}")));
                    assert!(response.content() == pattern(length), "/{path}/{length} arrived otherwise");
                }
            }
            let response = get(&mut client, server.url("/trailers"));
            assert_eq!((response.content(), &response.trailers()["x-sum"]), (&b"body"[..], &"4".parse().unwrap()));
            for count in [1, 100] {
                let path = format!("/interim/{count}");
                assert_eq!(get(&mut client, server.url(&path)).text(), path);
            }
            assert_eq!(get(&mut client, server.url("/delay/30")).text(), "/delay/30");
            let head = one(&mut client, Request::head(server.url("/x"))).unwrap();
            assert_eq!((&head.headers()["content-length"], head.content()), (&"7".parse().unwrap(), &b""[..]));
        }
    });
}

#[test]
fn sixty_kilobytes_of_fields_go_both_ways_and_more_end_their_stream_alone() {
    must_end(|| {
        let server = H2::start(&[]);
        let mut client = known().build().unwrap();
        for length in [0, 100, 16_000, 60_000] {
            let big = "b".repeat(length);
            let url = server.url(&format!("/fields/{length}"));
            let response = one(&mut client, Request::get(url).header("x-big", &big)).unwrap();
            let there: usize = response.headers().get_all("x-part").iter().map(|part| part.len()).sum();
            assert!((there, response.content()) == (length, big.as_bytes()), "{length} bytes of fields");
        }
        // The limits of a head and of interim answers.
        let beside: Vec<_> = (0..20).map(|_| client.get(server.url("/delay/20")).unwrap()).collect();
        let large = client.get(server.url("/fields/70000")).unwrap();
        let many = client.get(server.url("/interim/101")).unwrap();
        let (outcomes, report) = fetch(&mut client);
        for (id, words) in [(large, "header bytes"), (many, "interim responses")] {
            let error = outcomes[&id].as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert!(error.to_string().contains(words) && error.to_string().contains(error.peer()), "{error}");
        }
        assert!(beside.iter().all(|id| outcomes[id].is_ok()), "{report}");
    });
}

/// Bodies of many kinds, to an echo that takes them no faster than they are taken from it.
fn echo(client: &mut Client, server: &H2, lengths: &[usize]) {
    let mut expected = Vec::new();
    for &length in lengths {
        let (post, body) = (|| Request::post(server.url("/echo")), || io::Cursor::new(pattern(length)));
        for request in [
            post().body(pattern(length)),
            post().body_reader(body(), Some(length as u64)),
            post().body_reader(body(), None),
        ] {
            client.send(request).unwrap();
            expected.push(length);
        }
    }
    for (outcome, length) in fetch(client).0.into_values().zip(expected) {
        let response = outcome.expect("it was answered");
        assert!(response.content() == pattern(length), "{length} bytes came back as {}", response.received());
    }
}

#[test]
fn windows_as_small_as_they_can_be_let_everything_through() {
    must_end(|| {
        for window in [1, 7, 100] {
            let server = H2::start(&[&format!("window={window}")]);
            let settings = Settings::default().window(window).most_window(window);
            let mut client = known().http2_settings(settings).build().unwrap();
            echo(&mut client, &server, &[0, 1, 100, 3_000]);
            let length = 3_000 * window as usize;
            assert!(get(&mut client, server.url(&format!("/bytes/{length}"))).content() == pattern(length));
        }
    });
}

#[test]
fn windows_that_go_up_and_down_while_bodies_are_on_their_way_lose_no_byte() {
    must_end(|| {
        for windows in ["0,1,70000", "1000000,10,0,65535", "2147483647,0"] {
            let server = H2::start(&[&format!("windows={windows}")]);
            let mut client = known().build().unwrap();
            echo(&mut client, &server, &[1, 10_000, 70_000, 300_000, 1 << 20]);
        }
    });
}

#[test]
fn large_frames_and_windows_are_used_as_far_as_they_are_allowed() {
    must_end(|| {
        let server = H2::start(&["frame=16777215", "window=2147483647"]);
        let settings = Settings::default().frame(1 << 20).window(4 << 20).connection_window(64 << 20);
        let mut client = known().http2_settings(settings).build().unwrap();
        echo(&mut client, &server, &[4 << 20]);
        assert!(get(&mut client, server.url("/bytes/16777216")).content() == pattern(16 << 20));
    });
}

#[test]
fn a_reader_that_pauses_again_and_again_gets_every_byte_and_so_do_the_others() {
    must_end(|| {
        const LENGTH: usize = 2 << 20;
        let server = H2::start(&[]);
        let mut client = known().build().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&got);
        let request = Request::post(server.url("/echo")).body_reader(io::Cursor::new(pattern(LENGTH)), None);
        let held = client
            .send(request.on_chunk(move |_, bytes| {
                told.lock().unwrap().extend_from_slice(bytes);
                Ok::<_, Error>(Flow::Hold)
            }))
            .unwrap();
        let others: Vec<_> = (0..30).map(|_| client.get(server.url("/bytes/100000")).unwrap()).collect();
        let mut outcomes = Outcomes::new();
        while !client.is_idle() {
            client.turn(Some(Duration::from_millis(1))).unwrap();
            client.resume(held);
            while let Some(outcome) = client.next_outcome() {
                outcomes.insert(outcome.request_id(), outcome.into_result());
            }
        }
        assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(outcomes.len(), others.len() + 1);
        assert!(*got.lock().unwrap() == pattern(LENGTH), "what was paused arrived otherwise");
    });
}

#[test]
fn a_reset_ends_one_exchange_with_its_code_and_gives_what_came_before() {
    must_end(|| {
        let server = H2::start(&[]);
        let mut client = known().build().unwrap();
        for (code, name) in
            [(2u32, "INTERNAL_ERROR"), (8, "CANCEL"), (11, "ENHANCE_YOUR_CALM"), (4_000_000_000, "4000000000")]
        {
            for length in [0, 1, 50_000] {
                let got = Arc::new(Mutex::new(Vec::new()));
                let told = Arc::clone(&got);
                let url = server.url(&format!("/reset/{code}/{length}"));
                let broken = client
                    .send(Request::get(url).on_chunk(move |_, bytes| {
                        told.lock().unwrap().extend_from_slice(bytes);
                        Ok::<_, Error>(Flow::Continue)
                    }))
                    .unwrap();
                let others: Vec<_> = (0..10).map(|_| client.get(server.url("/bytes/70000")).unwrap()).collect();
                let (outcomes, _) = fetch(&mut client);
                let error = outcomes[&broken].as_ref().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
                assert!(error.to_string().contains(name) && error.to_string().contains("127.0.0.1"), "{error}");
                assert!(*got.lock().unwrap() == pattern(length), "{length} bytes before the reset");
                assert!(others.iter().all(|id| outcomes[id].as_ref().unwrap().content() == pattern(70_000)));
            }
        }
    });
}

#[test]
fn what_was_refused_is_asked_again_whatever_it_is() {
    must_end(|| {
        let server = H2::start(&[]);
        let mut client = known().retries(0).build().unwrap();
        for _ in 0..20 {
            client.get(server.url("/refuse")).unwrap();
            client.send(Request::post(server.url("/refuse")).body("once")).unwrap();
            let body = io::Cursor::new(pattern(1000));
            client.send(Request::post(server.url("/refuse")).body_reader(body, None)).unwrap();
        }
        // A reader can be read again only if it was not read before: that one alone may fail, and says that it was refused.
        for (number, outcome) in fetch(&mut client).0.into_values().enumerate() {
            match outcome {
                Ok(response) => assert_eq!(response.text(), "/refuse"),
                Err(error) => {
                    assert!(number % 3 == 2 && error.to_string().contains("REFUSED_STREAM"), "{number}: {error}");
                }
            }
        }
    });
}

#[test]
fn a_server_that_leaves_gracefully_under_load_loses_no_request() {
    must_end(|| {
        for (workers, streams, leaves) in [(1, 1, 1), (1, 100, 7), (3, 20, 10)] {
            let server = H2::start(&[&format!("leaves={leaves}")]);
            let mut client = known().workers(workers).streams(streams).retries(0).build().unwrap();
            for number in 0..300 {
                let request = match number % 3 {
                    0 => Request::get(server.url("/bytes/20000")),
                    // What must not be asked twice, and was not.
                    1 => Request::post(server.url("/swallow")).body(pattern(20_000)),
                    _ => Request::get(server.url("/delay/1")),
                };
                client.send(request).unwrap();
            }
            let (outcomes, report) = fetch(&mut client);
            let failed: Vec<_> = outcomes.values().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.is_empty(), "{} of 300, such as {}; {report}", failed.len(), failed[0]);
            for response in outcomes.values().skip(1).step_by(3).flatten() {
                assert_eq!(response.text(), "20000");
            }
            let connections: BTreeSet<_> =
                outcomes.values().step_by(3).flatten().map(|response| &response.headers()["x-connection"]).collect();
            // What was on its way is answered on the connection that it came on.
            assert!(connections.len() > 100 / (leaves + streams as usize), "it left only {} times", connections.len());
        }
    });
}

#[test]
fn requests_that_are_taken_back_in_the_middle_leave_the_connection_as_it_was() {
    must_end(|| {
        let server = H2::start(&[]);
        let mut client = known().build().unwrap();
        for round in 0..20 {
            let large: Vec<_> = (0..20).map(|_| client.get(server.url("/bytes/3000000")).unwrap()).collect();
            let small = client.get(server.url("/bytes/30000")).unwrap();
            client.turn(Some(Duration::from_millis(round))).unwrap();
            for id in large {
                client.cancel(id);
            }
            let (outcomes, _) = fetch(&mut client);
            assert!(outcomes[&small].as_ref().unwrap().content() == pattern(30_000));
        }
    });
}

#[cfg(feature = "load")]
#[test]
fn a_load_loses_nothing_while_the_server_leaves_again_and_again() {
    use aquests::load::{Control, Plan, run};

    must_end(|| {
        for (manner, connections, depth) in [("leaves=50", 4, 20), ("streams=3", 2, 50), ("leaves=1", 3, 10)] {
            let server = H2::start(&[manner]);
            let plan = Plan::new(&server.url("/bytes/1000")).unwrap().versions(Versions::Http2);
            let plan = plan.connections(connections).depth(depth).requests(1_000);
            let report = run(&plan, &Control::new()).unwrap();
            assert_eq!(
                (report.requests(), report.responses(), report.failed()),
                (1_000, 1_000, 0),
                "{manner}: {report}"
            );
            assert_eq!(report.versions(), &BTreeMap::from([(Version::Http2, 1_000)]));
        }
    });
}
