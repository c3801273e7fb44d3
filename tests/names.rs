//! From names to connections: what is asked of whom, what lying and silent servers cannot do, files, overrides, and which
//! of several addresses is taken. Nothing here asks a server that is not ours.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aquests::{Builder, Client, Error, ErrorKind, Phase, Resolver};
use support::{Asked, Folder, NameServer, Nsd, Peer, Says, must_end};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const NXDOMAIN: u8 = 3;

/// A builder that asks these servers and knows nothing of the machine that it runs on.
fn asking(folder: &Folder, servers: &[SocketAddr]) -> Builder {
    folder.write("resolv.conf", "options timeout:1 attempts:2\n");
    folder.write("hosts", "");
    Client::builder()
        .nameservers(servers.iter().copied())
        .resolv_conf(folder.path().join("resolv.conf"))
        .hosts(folder.path().join("hosts"))
}

/// The outcome of one GET.
fn get(client: &mut Client, url: &str) -> Result<String, Error> {
    client.get(url).expect("it is queued");
    let mut result = None;
    client
        .fetch_all_with(|_, outcome| {
            result = Some(outcome.into_result());
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    result.expect("an outcome").map(|response| response.text().into_owned())
}

fn kind(result: &Result<String, Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

/// Fetches `http://h.example` with this server for names, from a peer on 127.0.0.1.
#[track_caller]
fn reaches(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Vec<Asked> {
    let (server, peer, folder) = (NameServer::start(script), Peer::echo(), Folder::new());
    let mut client = asking(&folder, &[server.address]).build().unwrap();
    let result = get(&mut client, &format!("http://h.example:{}/x", peer.address().port()));
    assert_eq!(result.expect("it is reached"), "/x");
    server.asked()
}

#[test]
fn a_name_is_asked_for_once_however_many_want_it() {
    must_end(|| {
        let (server, peer, folder) = (NameServer::start(Asked::here), Peer::echo(), Folder::new());
        let mut client = asking(&folder, &[server.address]).workers(10).build().unwrap();
        let other = Peer::echo();
        for number in 0..50 {
            let port = [&peer, &other][number % 2].address().port();
            client.get(format!("http://H.example:{port}/")).unwrap();
        }
        let mut asking = 0;
        let report = client
            .fetch_all_with(|_, outcome| {
                let timings = outcome.into_result()?.timings();
                asking += usize::from(timings.resolve.is_some());
                assert!(timings.resolve.unwrap_or_default() <= timings.queued, "{timings:?}");
                Ok::<_, Error>(())
            })
            .unwrap();
        assert!((1..=2).contains(&asking), "{asking} requests had to wait for the name, over two routes");
        assert_eq!((report.responses(), report.failed()), (50, 0));
        assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
    });
}

#[test]
fn lies_are_not_believed() {
    must_end(|| {
        let asked = reaches(|asked| {
            let nowhere = [Says::Address([127, 0, 0, 99].into(), 60)];
            let mut id = asked.answer(0, &nowhere);
            id[1] ^= 1;
            let mut name = asked.answer(0, &nowhere);
            name[13] = b'x';
            let mut kind = asked.answer(0, &nowhere);
            kind[25] ^= 0x1d;
            [vec![vec![], vec![0; 12], id, name, kind, vec![0xff; 600]], asked.here()].concat()
        });
        assert_eq!(asked.len(), 2);
    });
}

#[test]
fn what_is_cut_off_comes_over_tcp() {
    must_end(|| {
        let asked = reaches(|asked| {
            if asked.tcp {
                return asked.here();
            }
            let mut cut = asked.answer(0, &[]);
            cut[2] |= 2;
            vec![cut]
        });
        assert!(asked.iter().any(|asked| asked.tcp && asked.a));
    });
}

#[test]
fn one_family_is_enough() {
    must_end(|| {
        // Nothing of the other, no such name, and no word at all.
        reaches(Asked::here);
        reaches(|asked| if asked.a { asked.here() } else { vec![asked.answer(NXDOMAIN, &[])] });
        reaches(|asked| if asked.a { asked.here() } else { Vec::new() });
    });
}

#[test]
fn aliases_are_followed_and_circles_refused() {
    must_end(|| {
        let alias = |from: &str, to: &str| Says::Alias(from.into(), to.into());
        let asked = reaches(move |asked| match asked.name.as_str() {
            "h.example" => vec![asked.answer(0, &[alias("h.example", "b.example")])],
            _ => asked.here(),
        });
        assert!(asked.iter().any(|asked| asked.name == "b.example"));
        let circle = NameServer::start(move |asked| {
            let to = if asked.name == "a.example" { "b.example" } else { "a.example" };
            vec![asked.answer(0, &[alias(&asked.name, to)])]
        });
        let folder = Folder::new();
        let mut client = asking(&folder, &[circle.address]).build().unwrap();
        let result = get(&mut client, "http://a.example/");
        assert_eq!(kind(&result), Some(ErrorKind::Resolve));
        assert!(result.unwrap_err().to_string().contains("alias"));
    });
}

#[test]
fn a_server_that_fails_leaves_it_to_the_next() {
    must_end(|| {
        let (peer, folder) = (Peer::echo(), Folder::new());
        let (failing, good) = (NameServer::start(|asked| vec![asked.answer(2, &[])]), NameServer::start(Asked::here));
        // Nobody at all is at the first address.
        let servers = [support::refused(), failing.address, good.address];
        let mut client = asking(&folder, &servers).build().unwrap();
        let url = format!("http://h.example:{}/x", peer.address().port());
        assert_eq!(get(&mut client, &url).unwrap(), "/x");
        assert_eq!((failing.asked().len(), good.asked().len()), (2, 2));
        let mut client = asking(&folder, &[failing.address]).build().unwrap();
        assert_eq!(kind(&get(&mut client, &url)), Some(ErrorKind::Resolve));
    });
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    must_end(|| {
        let asked = reaches(|asked| if asked.nth == 0 { Vec::new() } else { asked.here() });
        assert!(asked.iter().any(|asked| asked.a && asked.nth == 1));
    });
}

#[test]
fn a_name_that_is_not_there_is_not_asked_for_again() {
    must_end(|| {
        let server = NameServer::start(|asked| vec![asked.answer(NXDOMAIN, &[Says::Absent(3600)])]);
        let folder = Folder::new();
        let mut client = asking(&folder, &[server.address]).build().unwrap();
        for _ in 0..3 {
            let result = get(&mut client, "http://no.example/");
            assert_eq!(kind(&result), Some(ErrorKind::Resolve));
            assert!(result.unwrap_err().to_string().starts_with("cannot resolve no.example"));
        }
        assert_eq!(server.count("no.example"), 1);
    });
}

#[test]
fn an_answer_holds_as_long_as_it_says() {
    must_end(|| {
        let server = NameServer::start(|asked| asked.address(V4, if asked.name == "long.example" { 3600 } else { 1 }));
        // A new connection for each request.
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
            conn.close()
        });
        let folder = Folder::new();
        let mut client = asking(&folder, &[server.address]).build().unwrap();
        let port = peer.address().port();
        for _ in 0..3 {
            get(&mut client, &format!("http://long.example:{port}/")).unwrap();
            get(&mut client, &format!("http://short.example:{port}/")).unwrap();
            thread::sleep(Duration::from_millis(1_100));
        }
        assert_eq!((server.count("long.example"), server.count("short.example")), (1, 3));
    });
}

#[test]
fn resolving_has_a_limit_and_harms_nobody_else() {
    must_end(|| {
        let (mute, peer, folder) = (NameServer::mute(), Peer::echo(), Folder::new());
        let mut client =
            asking(&folder, &[mute.address]).workers(2).resolve_timeout(Duration::from_millis(300)).build().unwrap();
        client.get("http://quiet.example/").unwrap();
        for _ in 0..100 {
            client.get(peer.url("/x")).unwrap();
        }
        let (mut good, mut bad) = (0, Vec::new());
        client
            .fetch_all_with(|_, outcome| {
                match outcome.into_result() {
                    Ok(_) => good += 1,
                    Err(error) => bad.push(error),
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!((good, bad.len()), (100, 1));
        assert_eq!(bad[0].kind(), ErrorKind::Timeout(Phase::Resolve));
        assert!(bad[0].to_string().starts_with("resolving quiet.example:80 took too long"), "{}", bad[0]);
    });
}

#[test]
fn hundreds_of_names_are_looked_up_and_nobody_is_forgotten() {
    must_end(|| {
        let server = NameServer::start(|asked| {
            if asked.name.starts_with("no") { vec![asked.answer(NXDOMAIN, &[])] } else { asked.here() }
        });
        let (peer, folder) = (Peer::echo(), Folder::new());
        let mut client = asking(&folder, &[server.address]).workers(20).build().unwrap();
        let port = peer.address().port();
        for number in 0..300 {
            let start = if number % 3 == 0 { "no" } else { "h" };
            client.get(format!("http://{start}{number}.example:{port}/")).unwrap();
        }
        let report = client.fetch_all().unwrap();
        assert_eq!((report.responses(), report.failed()), (200, 100), "{report}");
        assert_eq!(report.errors()[&ErrorKind::Resolve], 100);
    });
}

/// The first answer, in a loop that looks at the client only when the descriptor or the deadline tells it to.
fn foreign_loop(client: &mut Client) -> String {
    client.turn(Some(Duration::ZERO)).unwrap();
    loop {
        if let Some(outcome) = client.next_outcome() {
            return outcome.into_result().expect("an answer").text().into_owned();
        }
        let deadline = client.next_deadline().expect("a limit runs");
        let wait = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let wait = rustix::event::Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let fd = client.as_fd();
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&wait)).expect("a poll works");
        client.turn(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_foreign_loop_sees_lookups_by_the_descriptor_and_the_deadline() {
    must_end(|| {
        // The first answer is lost: only the deadline says when to ask again.
        let server = NameServer::start(|asked| if asked.nth == 0 { Vec::new() } else { asked.here() });
        let (peer, folder) = (Peer::echo(), Folder::new());
        let mut client = asking(&folder, &[server.address]).build().unwrap();
        client.get(format!("http://h.example:{}/x", peer.address().port())).unwrap();
        assert_eq!(foreign_loop(&mut client), "/x");
    });
}

#[test]
fn search_list_and_hosts_are_read_and_read_again() {
    must_end(|| {
        let server = NameServer::start(|asked| {
            if asked.name == "h.inner.example" { asked.here() } else { vec![asked.answer(NXDOMAIN, &[])] }
        });
        let (peer, folder) = (Peer::echo(), Folder::new());
        let port = peer.address().port();
        let builder = asking(&folder, &[server.address]);
        folder.write("resolv.conf", "search outer.example inner.example\noptions timeout:1\n");
        folder.write("hosts", "127.0.0.1 known.example other\n");
        let mut client = builder.build().unwrap();
        for host in ["h", "known.example", "OTHER", "localhost", "x.localhost"] {
            assert_eq!(get(&mut client, &format!("http://{host}:{port}/x")).expect(host), "/x");
        }
        let names: Vec<_> = server.asked().into_iter().filter(|asked| asked.a).map(|asked| asked.name).collect();
        assert_eq!(names, ["h.outer.example", "h.inner.example"]);
        let url = format!("http://new.example:{port}/x");
        assert_eq!(kind(&get(&mut client, &url)), Some(ErrorKind::Resolve));
        folder.write("hosts", "127.0.0.1 new.example\n");
        // The files are looked at every few seconds.
        while get(&mut client, &url).is_err() {
            thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn the_user_has_the_first_word() {
    must_end(|| {
        let (mute, peer, folder) = (NameServer::mute(), Peer::echo(), Folder::new());
        let port = peer.address().port();
        let hooked = Arc::new(Mutex::new(Vec::new()));
        let seen = hooked.clone();
        let mut client = asking(&folder, &[mute.address])
            .resolve("One.example", port, [V4])
            .connect_to("two.example", 80, "127.0.0.1", port)
            .connect_to("three.example", 80, "one.example", port)
            .resolve_with(move |host| {
                seen.lock().unwrap().push(host.to_owned());
                (host == "four.example").then(|| vec![V4])
            })
            .build()
            .unwrap();
        let urls =
            [format!("http://one.example:{port}/1"), "http://two.example/2".into(), "http://three.example/3".into()];
        for (url, path) in urls.iter().zip(["/1", "/2", "/3"]) {
            assert_eq!(get(&mut client, url).expect(url), path);
        }
        // What is sent is for the host of the URL.
        assert!(peer.hosts().contains("two.example") && peer.hosts().contains("three.example"));
        assert_eq!(get(&mut client, &format!("http://four.example:{port}/4")).unwrap(), "/4");
        assert_eq!(*hooked.lock().unwrap(), ["four.example"]);
        assert_eq!(mute.asked(), []);
    });
}

#[test]
fn the_system_can_be_asked_instead() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().resolver(Resolver::System).build().unwrap();
        // Written as getaddrinfo reads addresses, and as we do not.
        let url = format!("http://127.1:{}/x", peer.address().port());
        assert_eq!(get(&mut client, &url).unwrap(), "/x");
    });
}

/// A port that is free on both loopback addresses.
fn port() -> u16 {
    (0..100)
        .map(|_| support::free_port())
        .find(|port| std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, *port)).is_ok())
        .expect("a port of both families")
}

fn client_for(port: u16, addresses: &[IpAddr]) -> Client {
    Client::builder()
        .connect_timeout(Duration::from_secs(120))
        .resolve("h.example", port, addresses.iter().copied())
        .build()
        .unwrap()
}

#[test]
fn ipv6_comes_first_where_both_are_there() {
    must_end(|| {
        let port = port();
        let peers = [V4, V6].map(|ip| Peer::at((ip, port).into(), support::Conn::echo));
        assert_eq!(get(&mut client_for(port, &[V4, V6]), &format!("http://h.example:{port}/x")).unwrap(), "/x");
        assert_eq!(peers.map(|peer| peer.requests()), [0, 1]);
    });
}

#[test]
fn an_address_that_refuses_or_is_dead_does_not_stand_in_the_way() {
    must_end(|| {
        let port = port();
        let peer = Peer::at((V4, port).into(), support::Conn::echo);
        let url = format!("http://h.example:{port}/x");
        // Nobody at the first; nobody at the first two.
        let other = IpAddr::from([127, 0, 0, 2]);
        assert_eq!(get(&mut client_for(port, &[V6, V4]), &url).unwrap(), "/x");
        assert_eq!(get(&mut client_for(port, &[V6, other, V4]), &url).unwrap(), "/x");
        // Dead ones, which would take the two minutes of the time limit.
        let _six = support::full_backlog_at((V6, port).into());
        let start = Instant::now();
        let mut client = client_for(port, &[V6, V4]);
        assert_eq!(get(&mut client, &url).unwrap(), "/x");
        let _four = support::full_backlog_at((other, port).into());
        assert_eq!(get(&mut client_for(port, &[V6, other, V4]), &url).unwrap(), "/x");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        assert_eq!(peer.requests(), 4, "every request is sent once");
    });
}

#[test]
fn a_foreign_loop_is_told_when_the_next_address_is_due() {
    must_end(|| {
        let port = port();
        let _peer = Peer::at((V4, port).into(), support::Conn::echo);
        let _six = support::full_backlog_at((V6, port).into());
        let mut client = client_for(port, &[V6, V4]);
        client.get(format!("http://h.example:{port}/x")).unwrap();
        let start = Instant::now();
        assert_eq!(foreign_loop(&mut client), "/x");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    });
}

#[test]
fn of_two_that_connect_at_once_one_is_used_and_the_other_closed() {
    must_end(|| {
        let (port, folder) = (port(), Folder::new());
        let peers = [V4, V6].map(|ip| Peer::at((ip, port).into(), support::Conn::echo));
        let server = NameServer::start(|asked| asked.address(if asked.a { V4 } else { V6 }, 60));
        let mut client = asking(&folder, &[server.address]).build().unwrap();
        client.get(format!("http://h.example:{port}/x")).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        while server.asked().len() < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        // The answers are read at the end of a turn, which begins the first attempt. Nobody sees that it connects until
        // the second, which is late by then, has connected too.
        while client.in_hand() > 0 {
            thread::sleep(Duration::from_millis(300));
            client.turn(Some(Duration::ZERO)).unwrap();
        }
        client.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(client.next_outcome().unwrap().into_result().unwrap().text(), "/x");
        assert!(format!("{client:?}").contains("connections: 1"), "{client:?}");
        assert_eq!(peers.iter().map(Peer::connections).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(peers.iter().map(Peer::requests).sum::<usize>(), 1);
        assert_eq!(get(&mut client, &format!("http://h.example:{port}/y")).unwrap(), "/y");
        assert_eq!(peers.iter().map(Peer::connections).sum::<usize>(), 2, "the one that won is kept");
    });
}

#[test]
fn many_requests_to_a_half_dead_host_are_all_answered_once() {
    must_end(|| {
        let port = port();
        let peer = Peer::at((V4, port).into(), support::Conn::echo);
        let _six = support::full_backlog_at((V6, port).into());
        let mut client = Client::builder().workers(10).resolve("h.example", port, [V6, V4]).build().unwrap();
        for _ in 0..200 {
            client.get(format!("http://h.example:{port}/x")).unwrap();
        }
        let report = client.fetch_all().unwrap();
        assert_eq!((report.responses(), report.failed(), peer.requests()), (200, 0, 200));
    });
}

#[test]
fn when_no_address_is_reached_the_error_says_why() {
    must_end(|| {
        let port = port();
        let url = format!("http://h.example:{port}/x");
        let result = get(&mut client_for(port, &[V6, V4]), &url);
        assert_eq!(kind(&result), Some(ErrorKind::Connect));
        let _dead = [V6, V4].map(|ip| support::full_backlog_at((ip, port).into()));
        let mut client = Client::builder()
            .connect_timeout(Duration::from_millis(700))
            .resolve("h.example", port, [V6, V4])
            .build()
            .unwrap();
        assert_eq!(kind(&get(&mut client, &url)), Some(ErrorKind::Timeout(Phase::Connect)));
    });
}

#[test]
fn nsd_is_understood() {
    must_end(|| {
        let mut zone = String::from(
            "www A 127.0.0.1\nboth A 127.0.0.1\nboth AAAA ::1\na CNAME b\nb CNAME c\nc CNAME www\nout CNAME www.other.\n",
        );
        // More than a datagram holds.
        for last in 0..120 {
            zone += &format!("big A 127.0.1.{last}\n");
        }
        let (nsd, peer, folder) =
            (Nsd::start(&zone), Peer::at((Ipv4Addr::UNSPECIFIED, 0).into(), support::Conn::echo), Folder::new());
        let port = peer.address().port();
        let mut client = asking(&folder, &[nsd.address()]).build().unwrap();
        for host in ["www.example", "both.example", "a.example", "big.example"] {
            assert_eq!(get(&mut client, &format!("http://{host}:{port}/x")).expect(host), "/x");
        }
        // Not there; no address; a name that is not nsd's.
        for host in ["nothing.example", "example", "out.example"] {
            assert_eq!(kind(&get(&mut client, &format!("http://{host}:{port}/x"))), Some(ErrorKind::Resolve), "{host}");
        }
    });
}
