//! The client under faults: every request has one outcome, no answer reaches another request, and no request goes down a
//! connection of another route, whatever servers, time limits and cancels do to the connections in between.
#![cfg(feature = "http1")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aquests::{Client, Error, ErrorKind, Phase, Report, Request, RequestId};
use support::{FAULTS, Folder, Peer, must_end, refused};

/// What a request was to ask, as it comes back with its outcome.
#[derive(Clone, Debug)]
struct Asked {
    peer: usize,
    target: String,
}

/// What came of all requests of a run, by id.
#[derive(Default)]
struct Outcomes {
    answered: BTreeMap<RequestId, Asked>,
    failed: BTreeMap<RequestId, ErrorKind>,
}

impl Outcomes {
    fn len(&self) -> usize {
        self.answered.len() + self.failed.len()
    }
}

/// Runs everything, and checks that each outcome is the first of its request and its own.
fn fetch(client: &mut Client, mut meanwhile: impl FnMut(&mut Client)) -> (Outcomes, Report) {
    let mut outcomes = Outcomes::default();
    let report = client
        .fetch_all_with(|client, outcome| {
            let id = outcome.request_id();
            let asked = outcome.meta().get::<Asked>().expect("what was given comes back").clone();
            let before = outcomes.answered.contains_key(&id) || outcomes.failed.contains_key(&id);
            assert!(!before, "{asked:?} has two outcomes");
            match outcome.into_result() {
                Ok(response) => {
                    assert_eq!(response.text(), asked.target, "an answer reached another request");
                    outcomes.answered.insert(id, asked);
                }
                Err(error) => {
                    assert_eq!(error.request_id(), Some(id));
                    outcomes.failed.insert(id, error.kind());
                }
            }
            meanwhile(client);
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(report.requests(), outcomes.len() as u64, "{report}");
    assert_eq!(report.responses(), outcomes.answered.len() as u64, "{report}");
    assert_eq!(report.failed(), report.errors().values().sum::<u64>(), "{report}");
    (outcomes, report)
}

fn get(peer: usize, url: String) -> Request {
    let target = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("the URL has a path");
    Request::get(url).meta(Asked { peer, target })
}

/// Every request that a peer saw was meant for it, and each of its connections was one route's only.
fn assert_nothing_crossed(peers: &[Peer]) {
    for (number, peer) in peers.iter().enumerate() {
        let mut hosts: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for seen in peer.seen() {
            assert!(
                seen.target.starts_with(&format!("/peer-{number}/")),
                "peer {number} was asked for {}",
                seen.target
            );
            hosts.entry(seen.connection).or_default().insert(seen.field("host").unwrap_or_default().to_owned());
        }
        for (connection, hosts) in hosts {
            assert_eq!(hosts.len(), 1, "connection {connection} of peer {number} was shared by {hosts:?}");
        }
    }
}

fn builder(workers: usize) -> aquests::Builder {
    Client::builder().workers(workers).timeout(Duration::from_millis(100))
}

#[test]
fn every_request_has_one_outcome_in_each_fault() {
    must_end(|| {
        for pipeline in [1, 4] {
            for fault in 0..FAULTS {
                let peer = Peer::start(move |conn| conn.misbehave(fault));
                let mut client = builder(4).pipeline(pipeline).build().unwrap();
                for number in 0..24 {
                    client.send(get(0, peer.url(&format!("/peer-0/{number}")))).unwrap();
                }
                let (outcomes, report) = fetch(&mut client, |_| {});
                assert_eq!(outcomes.len(), 24, "fault {fault}");
                assert_eq!(!outcomes.answered.is_empty(), fault >= 9, "fault {fault}: {report}");
                if matches!(fault, 11..) && pipeline == 1 {
                    assert_eq!(outcomes.failed, BTreeMap::new(), "fault {fault} is none: {report}");
                }
                assert!(client.is_idle() && client.in_hand() == 0, "fault {fault}");
                assert_nothing_crossed(&[peer]);
            }
        }
    });
}

#[test]
fn nothing_crosses_between_routes_under_faults_timeouts_and_cancels() {
    must_end(|| {
        for pipeline in [1, 4] {
            let peers: Vec<Peer> = (0..5)
                .map(|peer| Peer::start(move |conn| conn.misbehave((conn.number() * 7 + peer) % FAULTS)))
                .collect();
            let nobody = refused();
            let mut client = builder(20).pipeline(pipeline).build().unwrap();
            let mut ids = Vec::new();
            for number in 0..1_500 {
                let peer = number * 13 % peers.len();
                let target = format!("/peer-{peer}/{number}");
                // Two names for one server are two routes.
                let url = match number % 3 {
                    0 => format!("http://localhost:{}{target}", peers[peer].address().port()),
                    _ => peers[peer].url(&target),
                };
                let request = match number % 50 {
                    49 => get(peer, format!("http://{nobody}{target}")),
                    7 => get(peer, url).timeout(Duration::from_millis(5)),
                    _ => get(peer, url),
                };
                ids.push(client.send(request).unwrap());
            }
            // One in ten outcomes cancels another request, wherever that is.
            let (mut count, mut cancelled) = (0, 0);
            let (outcomes, report) = fetch(&mut client, |client| {
                count += 1;
                if count % 10 == 0 {
                    cancelled += u64::from(client.cancel(ids[count * 31 % ids.len()]));
                }
            });
            assert_eq!(outcomes.len(), 1_500);
            let told = report.errors().get(&ErrorKind::Cancelled).copied().unwrap_or_default();
            assert_eq!(told, cancelled, "what nobody cancelled is not cancelled: {report}");
            assert!(outcomes.answered.len() > 500, "{report}");
            for (id, asked) in &outcomes.answered {
                assert!(asked.target.starts_with(&format!("/peer-{}/", asked.peer)), "{id} {asked:?}");
            }
            assert_nothing_crossed(&peers);
        }
    });
}

#[test]
fn a_post_is_seen_at_most_once_in_every_fault() {
    must_end(|| {
        let peers: Vec<Peer> = (0..FAULTS).map(|fault| Peer::start(move |conn| conn.misbehave(fault))).collect();
        let mut client = builder(30).build().unwrap();
        for number in 0..300 {
            let peer = number % peers.len();
            let target = format!("/peer-{peer}/{number}");
            let asked = Asked { peer, target: target.clone() };
            client.send(Request::post(peers[peer].url(&target)).body("once").meta(asked)).unwrap();
        }
        let (outcomes, _) = fetch(&mut client, |_| {});
        assert_eq!(outcomes.len(), 300);
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for seen in peers.iter().flat_map(Peer::seen) {
            *times.entry(seen.target).or_default() += 1;
        }
        assert!(times.values().all(|times| *times == 1), "{times:?}");
        assert_nothing_crossed(&peers);
    });
}

#[test]
fn a_get_is_seen_at_most_twice_in_every_fault() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.misbehave([2, 3, 4, 5, 9, 10, 11, 13][conn.number() % 8]));
        let mut client = builder(10).build().unwrap();
        for number in 0..500 {
            client.send(get(0, peer.url(&format!("/peer-0/{number}")))).unwrap();
        }
        let (outcomes, _) = fetch(&mut client, |_| {});
        assert_eq!(outcomes.len(), 500);
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for seen in peer.seen() {
            *times.entry(seen.target).or_default() += 1;
        }
        assert!(times.values().all(|times| *times <= 2), "{times:?}");
    });
}

#[test]
fn one_broken_server_costs_the_others_nothing() {
    must_end(|| {
        // Faults that end at once: those that wait would hold all workers for their time.
        for fault in [0, 1, 2, 3, 4, 5, 6] {
            let peers = [Peer::start(move |conn| conn.misbehave(fault)), Peer::echo(), Peer::echo()];
            let mut client = builder(6).build().unwrap();
            for number in 0..150 {
                let peer = number % 3;
                client.send(get(peer, peers[peer].url(&format!("/peer-{peer}/{number}")))).unwrap();
            }
            let (outcomes, report) = fetch(&mut client, |_| {});
            assert_eq!((outcomes.answered.len(), outcomes.failed.len()), (100, 50), "fault {fault}: {report}");
            assert_nothing_crossed(&peers);
        }
    });
}

#[test]
fn errors_say_where_it_went_wrong() {
    must_end(|| {
        let folder = Folder::new();
        let silent = Peer::start(|conn| conn.misbehave(7));
        let closing = Peer::start(|conn| conn.misbehave(3));
        let garbage = Peer::start(|conn| conn.misbehave(6));
        let endless = Peer::start(|conn| {
            conn.request()?;
            conn.send_for_ever("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20))
        });
        let mut client = builder(10).build().unwrap();
        let none = folder.path().join("none");
        let kinds = [
            (get(0, silent.url("/x")), ErrorKind::Timeout(Phase::Silence)),
            (get(0, silent.url("/x")).timeout(Duration::from_millis(5)), ErrorKind::Timeout(Phase::Total)),
            (get(0, closing.url("/x")), ErrorKind::Closed),
            (get(0, garbage.url("/x")), ErrorKind::Protocol),
            (get(0, endless.url("/x")), ErrorKind::TooLarge),
            (get(0, format!("http://{}/x", refused())), ErrorKind::Connect),
            (get(0, "http://unix/x".to_owned()).unix_socket(none), ErrorKind::Connect),
            (get(0, "http://this-name-does-not-exist.invalid/x".to_owned()), ErrorKind::Resolve),
        ];
        let expected: BTreeMap<RequestId, ErrorKind> =
            kinds.into_iter().map(|(request, kind)| (client.send(request).unwrap(), kind)).collect();
        let (outcomes, _) = fetch(&mut client, |_| {});
        assert_eq!(outcomes.failed, expected);
    });
}

#[test]
fn a_client_that_is_dropped_in_the_middle_closes_its_connections() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.misbehave(7));
        let mut client = Client::builder().workers(10).build().unwrap();
        for number in 0..100 {
            client.send(get(0, peer.url(&format!("/peer-0/{number}")))).unwrap();
        }
        while peer.requests() < 10 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        drop(client);
        // Each script waits for its client to leave; `alive` is 0 when all have.
        while peer.alive() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
