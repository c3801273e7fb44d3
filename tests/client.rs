//! What a program sees of a client: requests as they arrive at a server, outcomes, callbacks, sources, handles, cancel.

mod support;

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aquests::http::Method;
use aquests::{Client, Error, ErrorKind, Logger, Outcome, Request};
use support::{Peer, must_end};

/// The targets that answered, or the kinds of errors, by request id.
fn fetch(client: &mut Client) -> Vec<Result<String, ErrorKind>> {
    let mut outcomes = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            outcomes.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes.into_iter().map(|(_, r)| r.map(|r| r.text().into_owned()).map_err(|e| e.kind())).collect()
}

#[test]
fn requests_arrive_as_they_were_written() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::new().unwrap();
        let all = [
            Request::get(peer.url("/get")).param("a b", "c&d").header("X-One", "1"),
            Request::delete(peer.url("/delete")),
            Request::options(peer.url("/options")),
            Request::trace(peer.url("/trace")),
            Request::post(peer.url("/form")).form(&[("author", "James Milton"), ("é", "&")]),
            Request::put(peer.url("/json")).json(&[1, 2]),
            Request::patch(peer.url("/xml")).xml("<a/>"),
            Request::post(peer.url("/nvp")).nvp(&[("a", "1"), ("b", "2")]),
            Request::post(peer.url("/raw")).body(&b"\0\xff"[..]).header("content-type", "x/y"),
            Request::post(peer.url("/empty")),
            Request::new(Method::from_bytes(b"PURGE").unwrap(), peer.url("/purge")),
        ];
        let count = all.len();
        for request in all {
            client.send(request).unwrap();
        }
        assert!(fetch(&mut client).iter().all(Result::is_ok));
        let seen = peer.seen();
        assert_eq!(seen.len(), count);
        let lines: Vec<_> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        assert_eq!(
            lines,
            [
                "GET /get?a+b=c%26d",
                "DELETE /delete",
                "OPTIONS /options",
                "TRACE /trace",
                "POST /form",
                "PUT /json",
                "PATCH /xml",
                "POST /nvp",
                "POST /raw",
                "POST /empty",
                "PURGE /purge"
            ]
        );
        assert_eq!(seen[0].field("x-one"), Some("1"));
        for (index, content_type, body) in [
            (4, "application/x-www-form-urlencoded", &b"author=James+Milton&%C3%A9=%26"[..]),
            (5, "application/json", b"[1,2]"),
            (6, "application/xml; charset=utf-8", b"<a/>"),
            (7, "text/namevalue; charset=utf-8", b"a=1\r\nb=2\r\n"),
            (8, "x/y", b"\0\xff"),
        ] {
            assert_eq!((seen[index].field("content-type"), &*seen[index].body), (Some(content_type), body));
        }
        assert_eq!(seen[9].field("content-length"), Some("0"), "a POST without a body says so");
        assert_eq!(seen[0].field("content-length"), None);
        assert!(seen.iter().all(|seen| seen.connection == 0), "one worker keeps one connection");
    });
}

#[test]
fn a_response_has_all_its_parts() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Nicht gefunden\r\nX-A: 1\r\nx-a: 2\r\n")?;
            conn.send("content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
            conn.send("3\r\n[1,\r\n2\r\n2]\r\n0\r\nx-end: yes\r\n\r\n")
        });
        let mut client = Client::new().unwrap();
        #[derive(Clone, Debug, PartialEq)]
        struct Job(&'static str);
        client.send(Request::get(peer.url("/a?b")).meta(Job("one"))).unwrap();
        let mut checked = false;
        let report = client
            .fetch_all_with(|_, outcome| {
                let response = outcome.response().expect("an answer");
                assert_eq!((response.status().as_u16(), &*response.reason()), (404, "Nicht gefunden"));
                assert_eq!(response.version().to_string(), "HTTP/1.1");
                assert_eq!(response.headers().get_all("X-A").iter().collect::<Vec<_>>(), ["1", "2"]);
                assert_eq!(response.trailers()["x-end"], "yes");
                assert_eq!(response.json::<Vec<u8>>().unwrap(), [1, 2]);
                assert_eq!((response.content(), response.encoding()), (&b"[1,2]"[..], "UTF-8"));
                assert_eq!(outcome.meta().get::<Job>(), Some(&Job("one")));
                assert_eq!((outcome.request_id().as_u64(), outcome.request_method()), (0, &Method::GET));
                assert!(response.url().to_string().ends_with("/a?b"));
                let timings = response.timings();
                assert!(timings.connect.expect("it is the first") <= timings.queued);
                assert!(timings.queued + timings.first_byte <= timings.total);
                assert!(outcome.to_string().starts_with("REQ get-0. HTTP/1.1 404 Nicht gefunden 5 bytes received"));
                checked = true;
                Ok::<_, Error>(())
            })
            .unwrap();
        assert!(checked);
        assert_eq!((report.requests(), report.failed(), report.bytes()), (1, 0, 5));
        assert_eq!(report.statuses()[&404], 1);
    });
}

#[test]
fn what_is_wrong_with_a_request_is_said_by_send_and_the_request_comes_back() {
    let mut client = Client::new().unwrap();
    for (request, words) in [
        (Request::get("nonsense://h/"), "scheme"),
        (Request::get("http://h/").header("a", "b\r\nc: d"), "control character"),
        (Request::get("http://h/").header("a b", "c"), "token"),
        (Request::get("http://h/").header("Host", "other"), "host"),
        (Request::post("http://h/").nvp(&[("a", "b\nc")]), "line break"),
        (Request::trace("http://h/").body("x"), "TRACE"),
        (Request::new(Method::CONNECT, "http://h/"), "CONNECT"),
    ] {
        let rejected = client.send(request).expect_err(words);
        assert_eq!(rejected.error().kind(), ErrorKind::InvalidRequest);
        assert!(rejected.to_string().contains(words), "{rejected}");
    }
    assert!(client.is_idle(), "nothing of it was queued");
    assert_eq!(client.fetch_all().unwrap().requests(), 0);
}

#[test]
fn exactly_one_callback_has_each_outcome() {
    must_end(|| {
        let peer = Peer::echo();
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let count = |index: usize| {
            let counts = counts.clone();
            move |_: &mut Client, _: Outcome| {
                counts[index].fetch_add(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            }
        };
        let mut client = Client::builder().workers(3).callback(count(0)).build().unwrap();
        let told = || counts.each_ref().map(|count| count.swap(0, Ordering::SeqCst));
        client.get(peer.url("/")).unwrap();
        client.send(Request::get(peer.url("/")).callback(count(1))).unwrap();
        client.fetch_all().unwrap();
        assert_eq!(told(), [1, 1, 0]);
        client.get(peer.url("/")).unwrap();
        client.send(Request::get(peer.url("/")).callback(count(1))).unwrap();
        client.fetch_all_with(count(2)).unwrap();
        assert_eq!(told(), [0, 1, 1]);
        // In somebody else's loop.
        client.send(Request::get(peer.url("/")).callback(count(1))).unwrap();
        client.get(peer.url("/")).unwrap();
        for _ in 0..2 {
            let outcome = loop {
                match client.next_outcome() {
                    Some(outcome) => break outcome,
                    None => client.turn(None).unwrap(),
                }
            };
            client.deliver(outcome).unwrap();
        }
        assert_eq!(told(), [1, 1, 0]);
    });
}

#[test]
fn a_callback_may_send_more_and_its_error_ends_the_run() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().workers(2).build().unwrap();
        for _ in 0..10 {
            client.get(peer.url("/")).unwrap();
        }
        let (mut seen, mut sent) = (0, 10);
        let report = client.fetch_all_with(|client, _| {
            seen += 1;
            if sent < 50 {
                client.get(peer.url("/more"))?;
                sent += 1;
            }
            Ok::<_, Error>(())
        });
        assert_eq!((report.unwrap().requests(), seen), (50, 50));

        for _ in 0..10 {
            client.get(peer.url("/")).unwrap();
        }
        let mut seen = 0;
        let error = client
            .fetch_all_with(|_, _| {
                seen += 1;
                if seen == 3 { Err("that is enough") } else { Ok(()) }
            })
            .expect_err("the callback failed");
        assert_eq!((error.kind(), seen), (ErrorKind::Callback, 3));
        assert!(error.to_string().contains("that is enough"), "{error}");
        let mut rest = 0;
        while let Some(outcome) = client.next_outcome() {
            rest += 1;
            assert!(outcome.response().is_some() || outcome.error().unwrap().kind() == ErrorKind::Cancelled);
        }
        assert_eq!(rest, 7, "nothing is lost");
        assert!(client.is_idle());
        // And it goes on working.
        client.get(peer.url("/again")).unwrap();
        assert_eq!(fetch(&mut client), [Ok("/again".to_owned())]);
    });
}

#[test]
fn fetch_all_inside_a_callback_is_refused() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::new().unwrap();
        client.get(peer.url("/")).unwrap();
        client
            .fetch_all_with(|client, _| {
                assert_eq!(client.fetch_all().expect_err("refused").kind(), ErrorKind::InvalidRequest);
                Ok::<_, Error>(())
            })
            .unwrap();
    });
}

#[test]
fn a_source_is_pulled_as_workers_become_free() {
    must_end(|| {
        let peer = Peer::echo();
        let pulled = Arc::new(AtomicUsize::new(0));
        let mut client = Client::builder().workers(4).logger(Logger::none()).build().unwrap();
        let (url, count) = (peer.url("/"), pulled.clone());
        client.source((0..5_000).map(move |number| {
            count.fetch_add(1, Ordering::SeqCst);
            // A bad one in between has its outcome too.
            Request::get(if number == 77 { "nonsense://".to_owned() } else { format!("{url}{number}") })
        }));
        let (mut done, mut most, mut targets) = (0, 0, BTreeSet::new());
        let report = client
            .fetch_all_with(|client, outcome| {
                done += 1;
                most = most.max(client.in_hand()).max(pulled.load(Ordering::SeqCst) - done);
                targets.extend(outcome.response().map(|response| response.text().into_owned()));
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!((report.requests(), report.failed(), targets.len()), (5_000, 1, 4_999));
        assert!(most <= 16, "{most} requests were held for 4 workers");
    });
}

#[test]
fn another_thread_sends_cancels_and_wakes() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            while conn.request()?.target != "/never" {
                conn.answer("ok")?;
            }
            conn.stall()
        });
        let mut client = Client::builder().workers(2).build().unwrap();
        let never = client.get(peer.url("/never")).unwrap();
        let handle = client.handle();
        let thread = std::thread::spawn({
            let url = peer.url("/");
            move || {
                for _ in 0..100 {
                    handle.send(Request::get(&url)).unwrap();
                }
                assert!(handle.send(Request::get("nonsense://")).is_err());
                handle.wake();
                handle.cancel(never);
                handle
            }
        });
        let (mut answered, mut cancelled) = (0, 0);
        while answered + cancelled < 101 {
            client.turn(None).unwrap();
            while let Some(outcome) = client.next_outcome() {
                match outcome.error() {
                    None => answered += 1,
                    Some(error) => {
                        assert_eq!((error.kind(), error.request_id()), (ErrorKind::Cancelled, Some(never)));
                        cancelled += 1;
                    }
                }
            }
        }
        assert_eq!((answered, cancelled), (100, 1));
        drop(client);
        let handle = thread.join().unwrap();
        let rejected = handle.send(Request::get(peer.url("/"))).expect_err("the client is gone");
        assert_eq!(rejected.error().kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn cancelling_ends_a_request_wherever_it_is_and_harms_no_other() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            while conn.request()?.target != "/never" {
                conn.answer("ok")?;
            }
            conn.stall()
        });
        let mut client = Client::new().unwrap();
        let on_its_way = client.get(peer.url("/never")).unwrap();
        let waiting = client.get(peer.url("/waiting")).unwrap();
        let other = client.get(peer.url("/other")).unwrap();
        while peer.requests() == 0 {
            client.turn(Some(Duration::from_millis(5))).unwrap();
        }
        assert!(client.cancel(waiting));
        assert!(!client.cancel(waiting), "once is enough");
        assert!(client.cancel(on_its_way));
        assert_eq!(
            fetch(&mut client),
            [Err(ErrorKind::Cancelled), Err(ErrorKind::Cancelled), Ok("ok".to_owned())],
            "{other} came after them"
        );
        assert!(peer.seen().iter().all(|seen| seen.target != "/waiting"));
    });
}

#[test]
fn a_full_queue_gives_the_request_back() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().queue_limit(3).build().unwrap();
        let handle = client.handle();
        for _ in 0..2 {
            client.get(peer.url("/")).unwrap();
        }
        handle.send(Request::get(peer.url("/"))).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        let mut request = Request::get(peer.url("/back"));
        for _ in 0..2 {
            let rejected = client.send(request).expect_err("it is full");
            assert_eq!(rejected.error().kind(), ErrorKind::QueueFull);
            request = rejected.into_request();
        }
        assert_eq!(fetch(&mut client).len(), 3);
        client.send(request).unwrap();
        assert_eq!(fetch(&mut client), [Ok("/back".to_owned())]);
    });
}

#[test]
fn a_turn_with_no_time_never_blocks_and_the_descriptor_tells_when_to_call_it() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.wait();
            conn.answer("late")
        });
        let mut client = Client::builder().timeout(Duration::from_secs(100)).build().unwrap();
        assert_eq!(client.next_deadline(), None, "nothing is to be done");
        client.get(peer.url("/")).unwrap();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while peer.requests() == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                peer.open_gate();
            });
            loop {
                client.turn(Some(Duration::ZERO)).unwrap();
                if let Some(outcome) = client.next_outcome() {
                    break outcome;
                }
                let deadline = client.next_deadline().expect("connecting and silence have limits");
                assert!(deadline > Instant::now() + Duration::from_secs(1), "until then only the descriptor counts");
                let fd = client.as_fd();
                let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
                let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
                assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1, "it becomes readable by itself");
            }
        });
        assert_eq!(outcome.response().expect("an answer").text(), "late");
    });
}

#[test]
fn each_outcome_is_a_line_in_the_log_and_no_line_has_a_secret() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nset-cookie: hunter2\r\ncontent-length: 2\r\n\r\nok")?;
            conn.request()?;
            conn.send("rubbish")
        });
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = lines.clone();
        let logger = Logger::function(move |line| sink.lock().unwrap().push(line.to_string()));
        let mut client = Client::builder().logger(logger).build().unwrap();
        let mut shown = String::new();
        for _ in 0..2 {
            let request = Request::get(peer.url("/p?token=hunter2")).header("authorization", "hunter2");
            shown += &format!("{request:?}");
            client.send(request).unwrap();
        }
        client
            .fetch_all_with(|client, outcome| {
                shown += &format!("{outcome:?} {client:?}");
                Ok::<_, Error>(())
            })
            .unwrap();
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0], "REQ get-0. HTTP/1.1 200 OK 2 bytes received");
        assert!(lines[1].starts_with("REQ get-1. ") && lines[1].contains("broke the protocol"), "{}", lines[1]);
        assert_eq!(lines.len(), 2);
        assert!(!shown.contains("hunter2") && !lines[1].contains("hunter2"), "{shown} {}", lines[1]);
    });
}

#[test]
fn a_log_file_is_appended_to_and_its_folder_is_made() {
    must_end(|| {
        let folder = support::Folder::new();
        let path = folder.path().join("logs/aquests.log");
        let peer = Peer::echo();
        for _ in 0..2 {
            let mut client = Client::builder().logger(Logger::file(&path).unwrap()).build().unwrap();
            client.get(peer.url("/")).unwrap();
            client.fetch_all().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with(" REQ get-0. HTTP/1.1 200 OK 1 bytes received\n"), "{text}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    });
}
