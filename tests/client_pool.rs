//! Which connection a request takes: workers, keep-alive, retries, sessions, time limits, limits of memory.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aquests::{Client, Error, ErrorKind, Phase, Request, Versions};
use support::{Peer, must_end};

/// The bodies that came, or the errors, by request id.
fn fetch(client: &mut Client) -> Vec<Result<String, Error>> {
    let mut outcomes = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            outcomes.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes.into_iter().map(|(_, result)| result.map(|response| response.text().into_owned())).collect()
}

fn kinds(results: &[Result<String, Error>]) -> Vec<Option<ErrorKind>> {
    results.iter().map(|result| result.as_ref().err().map(Error::kind)).collect()
}

#[test]
fn there_are_never_more_connections_than_workers() {
    must_end(|| {
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let peers: Vec<_> = (0..5)
            .map(|_| {
                let (open, most) = (open.clone(), most.clone());
                Peer::start(move |conn| {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let result = conn.echo();
                    open.fetch_sub(1, Ordering::SeqCst);
                    result
                })
            })
            .collect();
        let mut client = Client::builder().workers(3).build().unwrap();
        for number in 0..500 {
            client.get(peers[number * 7 % 5].url(&format!("/{number}"))).unwrap();
        }
        for (number, result) in fetch(&mut client).into_iter().enumerate() {
            assert_eq!(result.unwrap(), format!("/{number}"));
        }
        for peer in &peers {
            assert_eq!(peer.requests(), 100);
            assert_eq!(peer.hosts(), [peer.address().to_string()].into(), "no request went astray");
        }
        // A peer sees the end of a connection a little after the client closed it.
        assert!(most.load(Ordering::SeqCst) <= 3 + 5, "{most:?} connections at once");
    });
}

#[test]
fn kept_connections_are_used_again() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().workers(4).build().unwrap();
        for round in 0..10 {
            for _ in 0..20 {
                client.get(peer.url("/")).unwrap();
            }
            assert_eq!(fetch(&mut client).len(), 20, "round {round}");
        }
        assert!(peer.connections() <= 4, "{} connections for 4 workers", peer.connections());
        // One request needs one connection, however many rest.
        client.get(peer.url("/one")).unwrap();
        fetch(&mut client);
        assert!(peer.connections() <= 4);
    });
}

#[test]
fn a_route_that_waits_is_not_overtaken_for_ever() {
    must_end(|| {
        let (busy, rare) = (Peer::echo(), Peer::echo());
        let mut client = Client::builder().workers(1).build().unwrap();
        for _ in 0..1_000 {
            client.get(busy.url("/")).unwrap();
        }
        client.get(rare.url("/rare")).unwrap();
        for _ in 0..1_000 {
            client.get(busy.url("/")).unwrap();
        }
        let (mut count, mut place) = (0, None);
        client
            .fetch_all_with(|_, outcome| {
                if outcome.response().expect("an answer").text() == "/rare" {
                    place = Some(count);
                }
                count += 1;
                Ok::<_, Error>(())
            })
            .unwrap();
        let place = place.expect("it was answered");
        assert!((1_000..1_100).contains(&place), "request 1000 was number {place} to be answered");
    });
}

/// Answers one request per connection and closes, without having said so, when the next one comes.
fn stale() -> Peer {
    Peer::start(|conn| {
        conn.request()?;
        conn.answer("first")?;
        conn.request()?;
        Ok(())
    })
}

#[test]
fn an_idempotent_request_is_sent_again_when_a_kept_connection_was_closed() {
    must_end(|| {
        let peer = stale();
        let mut client = Client::new().unwrap();
        for _ in 0..3 {
            client.get(peer.url("/")).unwrap();
        }
        assert!(fetch(&mut client).iter().all(Result::is_ok));
        // The first is answered; the second is lost and sent again; and so is the third.
        assert_eq!((peer.requests(), peer.connections()), (5, 3));
    });
}

#[test]
fn a_request_that_is_not_idempotent_is_never_sent_again() {
    must_end(|| {
        let peer = stale();
        let mut client = Client::new().unwrap();
        client.get(peer.url("/")).unwrap();
        client.send(Request::post(peer.url("/post"))).unwrap();
        client.get(peer.url("/")).unwrap();
        let results = fetch(&mut client);
        assert_eq!(kinds(&results), [None, Some(ErrorKind::Closed), None]);
        let error = results[1].as_ref().unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains(&peer.address().to_string()), "{error}");
        assert_eq!(peer.seen().iter().filter(|seen| seen.method == "POST").count(), 1);
    });
}

#[test]
fn a_new_connection_that_says_nothing_is_an_error_at_once() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.request().map(drop));
        let mut client = Client::builder().versions(Versions::Http1).build().unwrap();
        client.get(peer.url("/")).unwrap();
        let results = fetch(&mut client);
        assert_eq!((kinds(&results), peer.requests()), (vec![Some(ErrorKind::Closed)], 1));
        assert!(results[0].as_ref().unwrap_err().is_retryable(), "a GET may be tried another time");
    });
}

#[test]
fn pipelined_requests_behind_an_announced_end_are_sent_again() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            for number in 0.. {
                let seen = conn.request()?;
                if number == 2 {
                    let target = seen.target;
                    let head =
                        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", target.len());
                    conn.send(head + &target)?;
                    return conn.close();
                }
                conn.answer(seen.target)?;
            }
            Ok(())
        });
        let mut client = Client::builder().pipeline(8).build().unwrap();
        for number in 0..50 {
            client.get(peer.url(&format!("/{number}"))).unwrap();
        }
        for (number, result) in fetch(&mut client).into_iter().enumerate() {
            assert_eq!(result.unwrap(), format!("/{number}"));
        }
        assert_eq!(peer.connections(), 17);
    });
}

#[test]
fn a_session_keeps_its_connection_to_itself() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().workers(1).build().unwrap();
        let session = client.open(peer.url("/")).unwrap();
        for number in 0..20 {
            session.send(Request::get(peer.url(&format!("/session/{number}")))).unwrap();
            client.get(peer.url(&format!("/pool/{number}"))).unwrap();
        }
        assert!(fetch(&mut client).iter().all(Result::is_ok));
        let mut by_connection: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for seen in peer.seen() {
            by_connection.entry(seen.connection).or_default().push(seen.target);
        }
        assert_eq!(by_connection.len(), 2);
        for targets in by_connection.values() {
            let kind = targets[0].rsplit_once('/').unwrap().0;
            let wanted: Vec<_> = (0..20).map(|number| format!("{kind}/{number}")).collect();
            assert_eq!(*targets, wanted, "each in its order, and unmixed");
        }
        // Given back, it is used like any other: another session finds it.
        drop(session);
        client.turn(Some(Duration::ZERO)).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        let session = client.open(peer.url("/")).unwrap();
        session.send(Request::get(peer.url("/again"))).unwrap();
        assert_eq!(fetch(&mut client).len(), 1);
        assert_eq!(peer.connections(), 2);
        assert_eq!(client.report().requests(), 0);
    });
}

#[test]
fn a_session_that_lost_its_connection_fails_what_it_is_given_and_tries_nothing_again() {
    must_end(|| {
        let peer = stale();
        let mut client = Client::new().unwrap();
        let session = client.open(peer.url("/")).unwrap();
        for _ in 0..4 {
            session.send(Request::get(peer.url("/"))).unwrap();
        }
        let results = fetch(&mut client);
        let closed = Some(ErrorKind::Closed);
        assert_eq!(kinds(&results), [None, closed, closed, closed]);
        session.send(Request::get(peer.url("/"))).unwrap();
        let results = fetch(&mut client);
        assert_eq!(kinds(&results), [closed]);
        assert!(results[0].as_ref().unwrap_err().to_string().contains("session"));
        assert_eq!((peer.requests(), peer.connections()), (2, 1));
    });
}

#[test]
fn a_session_stays_with_its_server() {
    must_end(|| {
        let (one, two) = (Peer::echo(), Peer::echo());
        let mut client = Client::new().unwrap();
        let session = client.open(one.url("/")).unwrap();
        session.send(Request::get(two.url("/"))).unwrap();
        assert_eq!(kinds(&fetch(&mut client)), [Some(ErrorKind::InvalidRequest)]);
        assert_eq!(two.connections(), 0);
    });
}

#[test]
fn silence_has_a_limit_and_a_drip_has_another() {
    must_end(|| {
        let silent = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\n")?;
            conn.stall()
        });
        let dripping = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
            conn.drip(vec![b'x'; 1_000_000], Duration::from_millis(5))
        });
        let other = Peer::echo();
        let mut client = Client::builder().workers(3).timeout(Duration::from_millis(400)).build().unwrap();
        client.get(silent.url("/")).unwrap();
        client.send(Request::get(dripping.url("/")).timeout(Duration::from_millis(1_500))).unwrap();
        client.get(other.url("/")).unwrap();
        let results = fetch(&mut client);
        let (silence, total) = (ErrorKind::Timeout(Phase::Silence), ErrorKind::Timeout(Phase::Total));
        assert_eq!(kinds(&results), [Some(silence), Some(total), None]);
        let error = results[0].as_ref().unwrap_err().to_string();
        assert!(error.contains("silent") && error.contains(&silent.address().to_string()), "{error}");
    });
}

#[test]
fn a_request_that_waits_too_long_in_the_queue_ends_too() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.wait();
            conn.answer("late")?;
            conn.echo()
        });
        let mut client = Client::new().unwrap();
        client.get(peer.url("/slow")).unwrap();
        client.send(Request::get(peer.url("/waits")).timeout(Duration::from_millis(50))).unwrap();
        let mut results = Vec::new();
        client
            .fetch_all_with(|_, outcome| {
                results.push(outcome.error().map(Error::kind));
                peer.open_gate();
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(results, [Some(ErrorKind::Timeout(Phase::Total)), None]);
        assert_eq!(peer.requests(), 1, "it was never sent");
    });
}

#[test]
fn connecting_has_a_limit_and_refusal_is_told_at_once() {
    must_end(|| {
        let full = support::full_backlog();
        let refused = support::refused();
        let mut client = Client::builder().workers(2).connect_timeout(Duration::from_millis(300)).build().unwrap();
        client.get(format!("http://{}/", full.address)).unwrap();
        for _ in 0..3 {
            client.get(format!("http://{refused}/")).unwrap();
        }
        let results = fetch(&mut client);
        let connect = Some(ErrorKind::Connect);
        assert_eq!(kinds(&results), [Some(ErrorKind::Timeout(Phase::Connect)), connect, connect, connect]);
        let error = results[1].as_ref().unwrap_err();
        assert!(error.to_string().contains(&refused.to_string()) && error.is_retryable(), "{error}");
    });
}

#[test]
fn names_are_resolved_off_the_loop_and_all_addresses_are_tried() {
    must_end(|| {
        // `localhost` may be ::1 first, where nobody listens.
        let peer = Peer::echo();
        let mut client = Client::builder().workers(2).build().unwrap();
        for _ in 0..4 {
            client.get(format!("http://localhost:{}/x", peer.address().port())).unwrap();
        }
        let results = fetch(&mut client);
        assert!(results.iter().all(|result| result.as_ref().is_ok_and(|text| text == "/x")), "{results:?}");
        // RFC 6761 §6.4: never a host.
        client.get("http://no-such-host.invalid/").unwrap();
        let results = fetch(&mut client);
        assert_eq!(kinds(&results), [Some(ErrorKind::Resolve)]);
        let error = results[0].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("cannot resolve no-such-host.invalid"), "{error}");
    });
}

#[test]
fn an_answer_that_is_too_large_ends_alone() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            let seen = conn.request()?;
            if seen.target == "/small" {
                return conn.answer("small");
            }
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            conn.send_for_ever([b'x'; 8192])
        });
        let mut client = Client::builder().workers(2).reply_limit(1 << 20).build().unwrap();
        client.get(peer.url("/large")).unwrap();
        client.get(peer.url("/small")).unwrap();
        let results = fetch(&mut client);
        assert_eq!(kinds(&results), [Some(ErrorKind::TooLarge), None]);
        assert!(results[0].as_ref().unwrap_err().to_string().contains("1048576"), "the limit is named");
    });
}

#[test]
fn answers_that_nobody_takes_have_a_limit_together() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            loop {
                conn.request()?;
                conn.answer([b'x'; 10_000])?;
            }
        });
        let mut client = Client::builder().workers(4).buffer_limit(105_000).build().unwrap();
        for _ in 0..20 {
            client.get(peer.url("/")).unwrap();
        }
        while client.in_hand() > 0 {
            client.turn(Some(Duration::from_millis(5))).unwrap();
        }
        let (mut answered, mut too_large) = (0, 0);
        while let Some(outcome) = client.next_outcome() {
            match outcome.error() {
                None => answered += 1,
                Some(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    too_large += 1;
                }
            }
        }
        assert_eq!((answered, too_large), (10, 10));
        // Taken, they leave room again.
        client.get(peer.url("/")).unwrap();
        assert!(fetch(&mut client)[0].is_ok());
    });
}

#[test]
fn a_unix_socket_takes_the_place_of_the_address() {
    must_end(|| {
        let folder = support::Folder::new();
        let path = folder.path().join("http.sock");
        let peer = Peer::unix(&path, |conn| conn.echo());
        let mut client = Client::new().unwrap();
        client.send(Request::get("http://example.org/over-unix").unix_socket(&path)).unwrap();
        assert_eq!(fetch(&mut client)[0].as_ref().unwrap(), "/over-unix");
        assert_eq!(peer.hosts(), ["example.org".to_owned()].into());
        client.send(Request::get("http://example.org/").unix_socket(folder.path().join("none"))).unwrap();
        let results = fetch(&mut client);
        assert_eq!(kinds(&results), [Some(ErrorKind::Connect)]);
        assert!(results[0].as_ref().unwrap_err().to_string().contains("none"), "the path is named");
    });
}

#[test]
fn a_server_that_cannot_pipeline_is_found_out_and_loses_nothing() {
    must_end(|| {
        // HTTP/1.0: the connection ends behind each answer, without a word.
        let peer = Peer::start(|conn| {
            let seen = conn.request()?;
            let target = seen.target;
            conn.send(format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{target}", target.len()))?;
            conn.close()
        });
        // What the user allows is for a server that was asked, and this one ended before.
        let mut client = Client::builder().pipeline(8).workers(2).retries(0).build().unwrap();
        for number in 0..50 {
            client.get(peer.url(&format!("/{number}"))).unwrap();
        }
        for (number, result) in fetch(&mut client).into_iter().enumerate() {
            assert_eq!(result.unwrap(), format!("/{number}"));
        }
    });
}

#[test]
fn a_request_that_must_be_alone_takes_another_connection_where_workers_are_free() {
    must_end(|| {
        // The first connection answers when the gate opens, which the answer to the POST does.
        let peer = Peer::start(|conn| {
            loop {
                let seen = conn.request()?;
                if seen.method == "GET" {
                    conn.wait();
                }
                conn.answer(&seen.method)?;
            }
        });
        let mut client = Client::builder().workers(4).pipeline(4).versions(Versions::Http1).build().unwrap();
        client.get(peer.url("/slow")).unwrap();
        client.send(Request::post(peer.url("/"))).unwrap();
        let mut order = Vec::new();
        client
            .fetch_all_with(|_, outcome| {
                order.push(outcome.into_result()?.text().into_owned());
                peer.open_gate();
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(order, ["POST", "GET"]);
    });
}

#[test]
fn a_session_keeps_the_connection_that_it_took_from_the_pool() {
    must_end(|| {
        let peer = Peer::echo();
        let builder = Client::builder().versions(Versions::Http1).keep_alive(Duration::from_millis(100));
        let mut client = builder.build().unwrap();
        client.get(peer.url("/first")).unwrap();
        fetch(&mut client);
        let session = client.open(peer.url("/")).unwrap();
        // Longer than the pool keeps what nobody uses.
        for _ in 0..10 {
            client.turn(Some(Duration::from_millis(30))).unwrap();
        }
        session.send(Request::get(peer.url("/second"))).unwrap();
        assert!(fetch(&mut client)[0].is_ok());
        assert_eq!(peer.connections(), 1);
    });
}
