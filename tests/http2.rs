//! HTTP/2 against real servers: nginx, nghttpd and Apache, by ALPN, by prior knowledge and by upgrade; many streams,
//! large bodies, servers that leave.
#![cfg(feature = "http2")]

mod support;

use std::collections::BTreeMap;

use aquests::Version;
use aquests::{Client, Error, ErrorKind, Outcome, Report, Request, Response, Versions};
use support::{Apache, Folder, Nghttpd, Nginx, Peer, must_end};

/// The answers, by request id; there must be nothing else.
fn fetch(client: &mut Client) -> (Vec<Response>, Report) {
    let mut responses = Vec::new();
    let report = client
        .fetch_all_with(|_, outcome: Outcome| {
            responses.push(outcome.into_result()?);
            Ok::<_, Error>(())
        })
        .expect("all are answered");
    responses.sort_by_key(Response::request_id);
    assert_eq!((report.requests(), report.responses()), (responses.len() as u64, responses.len() as u64), "{report}");
    (responses, report)
}

fn one(client: &mut Client, request: Request) -> Response {
    client.send(request).unwrap();
    fetch(client).0.remove(0)
}

fn known() -> aquests::Builder {
    Client::builder().versions(Versions::Http2)
}

/// Pages that differ in content and in length.
fn pages(folder: &Folder) {
    for number in 0..100 {
        folder.write(&format!("page-{number}"), page(number));
    }
}

fn page(number: usize) -> String {
    format!("page {number}, {}", "x".repeat(number * number * 10))
}

/// Asks for all pages often, over few connections.
fn all_pages(client: &mut Client, url: impl Fn(&str) -> String, times: usize) -> Report {
    for number in 0..100 * times {
        client.get(url(&format!("/page-{}", number % 100))).unwrap();
    }
    let (responses, report) = fetch(client);
    for (number, response) in responses.iter().enumerate() {
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::Http2));
        assert!(response.text() == page(number % 100), "page {}", number % 100);
    }
    report
}

#[test]
fn every_page_arrives_whole_over_many_streams_from_three_servers() {
    must_end(|| {
        for (workers, streams) in [(1, 1), (1, 100), (4, 10)] {
            let folder = Folder::new();
            pages(&folder);
            let nginx = Nginx::http2(folder, "access_log access.log; keepalive_requests 100000;");
            let mut client = known().workers(workers).streams(streams).build().unwrap();
            let report = all_pages(&mut client, |path| nginx.url(path), 10);
            assert_eq!(report.versions(), &BTreeMap::from([(Version::Http2, 1000)]));

            let folder = Folder::new();
            pages(&folder);
            let server = Nghttpd::plain(folder, &[]);
            let mut client = known().workers(workers).streams(streams).build().unwrap();
            all_pages(&mut client, |path| server.url(path), 10);

            let folder = Folder::new();
            pages(&folder);
            let server = Apache::serve(folder, "h2c http/1.1", "");
            let mut client = known().workers(workers).streams(streams).build().unwrap();
            all_pages(&mut client, |path| server.url(path), 10);
        }
    });
}

#[test]
fn more_streams_than_the_server_allows_wait_for_their_turn() {
    must_end(|| {
        for allowed in ["1", "3", "1000"] {
            let folder = Folder::new();
            pages(&folder);
            let server = Nghttpd::plain(folder, &["--max-concurrent-streams", allowed]);
            let mut client = known().streams(500).build().unwrap();
            let report = all_pages(&mut client, |path| server.url(path), 10);
            assert_eq!(report.responses(), 1000);
        }
    });
}

#[test]
fn one_request_asks_for_the_upgrade_and_the_server_is_known_from_then_on() {
    must_end(|| {
        let folder = Folder::new();
        pages(&folder);
        let log = "CustomLog access.log \"%H %{upgrade}i\"";
        let path = folder.path().join("access.log");
        let server = Apache::serve(folder, "h2c http/1.1", log);
        let mut client = Client::builder().workers(2).keep_alive(std::time::Duration::ZERO).build().unwrap();
        let first = one(&mut client, Request::get(server.url("/page-3")));
        assert_eq!((first.version(), &*first.text()), (Version::Http2, &*page(3)));
        all_pages(&mut client, |path| server.url(path), 2);
        let mut asked = 0;
        for _ in 0..100 {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            asked = text.lines().filter(|line| line.ends_with("h2c")).count();
            if text.lines().count() == 201 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(asked, 1, "{}", std::fs::read_to_string(&path).unwrap());
    });
}

#[test]
fn what_must_not_be_asked_twice_does_not_ask_for_the_upgrade() {
    must_end(|| {
        let folder = Folder::new();
        pages(&folder);
        let server = Apache::serve(folder, "h2c http/1.1", "");
        let mut client = Client::new().unwrap();
        let secret = Request::get(server.url("/page-1")).header("authorization", "Basic YTpi");
        assert_eq!(one(&mut client, secret).version(), Version::Http11);
        let cookie = Request::get(server.url("/page-1")).header("Cookie", "a=b");
        assert_eq!(one(&mut client, cookie).version(), Version::Http11);
        let body = Request::post(server.url("/page-1")).body("hello");
        assert_eq!(one(&mut client, body).version(), Version::Http11);
        assert_eq!(one(&mut client, Request::get(server.url("/page-1"))).version(), Version::Http2);
        let secret = Request::get(server.url("/page-1")).header("authorization", "Basic YTpi");
        assert_eq!(one(&mut client, secret).version(), Version::Http2, "the server is known by now");
    });
}

#[test]
fn a_server_that_declines_goes_on_in_http1_on_the_same_connection_and_is_not_asked_again() {
    must_end(|| {
        let folder = Folder::new();
        pages(&folder);
        let nginx = Nginx::serve(folder, "");
        let mut client = Client::new().unwrap();
        for number in 0..20 {
            client.get(nginx.url(&format!("/page-{number}"))).unwrap();
        }
        let (responses, _) = fetch(&mut client);
        assert!(responses.iter().all(|response| response.version() == Version::Http11));

        let peer = Peer::echo();
        let mut client = Client::builder().workers(3).build().unwrap();
        for number in 0..30 {
            client.get(peer.url(&format!("/{number}"))).unwrap();
        }
        fetch(&mut client);
        let seen = peer.seen();
        let asking: Vec<_> = seen.iter().filter(|seen| seen.field("upgrade").is_some()).collect();
        assert_eq!(asking.len(), 1, "{seen:?}");
        assert_eq!(asking[0].field("connection"), Some("upgrade, http2-settings"));
        client.get(peer.url("/later")).unwrap();
        fetch(&mut client);
        assert!(peer.seen().last().unwrap().field("upgrade").is_none());
    });
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("large", vec![b'x'; 16 << 20]);
        let nginx = Nginx::http2(folder, "location /put/ { dav_methods PUT; create_full_put_path on; }");
        let body = |number: usize| vec![b'a' + number as u8; (4 << 20) + number];
        let mut client = known().build().unwrap();
        for number in 0..4 {
            client.get(nginx.url("/large")).unwrap();
            client.send(Request::put(nginx.url(&format!("/put/{number}"))).body(body(number))).unwrap();
        }
        let (responses, _) = fetch(&mut client);
        for pair in responses.chunks(2) {
            assert!(pair[0].content().len() == 16 << 20 && pair[0].content().iter().all(|byte| *byte == b'x'));
            assert_eq!(pair[1].status(), 201);
        }
        for number in 0..4 {
            let response = one(&mut client, Request::get(nginx.url(&format!("/put/{number}"))));
            assert!(response.content() == body(number));
        }

        let server = Nghttpd::plain(Folder::new(), &[]);
        let mut client = known().build().unwrap();
        for number in 0..8 {
            client.send(Request::post(server.url("/echo")).body(body(number))).unwrap();
        }
        for (number, response) in fetch(&mut client).0.iter().enumerate() {
            assert!(response.content() == body(number), "echo {number} came back changed");
        }
    });
}

#[test]
fn a_server_that_leaves_again_and_again_loses_no_request() {
    must_end(|| {
        // nginx says GOAWAY after so many requests on a connection, whatever else is on its way.
        let folder = Folder::new();
        pages(&folder);
        let nginx = Nginx::http2(folder, "keepalive_requests 7;");
        for (workers, streams) in [(1, 1), (1, 100), (3, 20)] {
            let mut client = known().workers(workers).streams(streams).retries(0).build().unwrap();
            all_pages(&mut client, |path| nginx.url(path), 10);
        }
    });
}

#[test]
fn a_graceful_restart_under_load_loses_no_request() {
    must_end(|| {
        let folder = Folder::new();
        pages(&folder);
        let server = Apache::serve(folder, "h2c http/1.1", "");
        // A child of Apache that ends with something unread resets its connections, and what it said last is lost: such
        // requests are asked again as often as the user allows, and those whose answers it had begun by the user.
        let mut client = known().workers(2).streams(10).retries(5).build().unwrap();
        for number in 0..3000 {
            client.get(server.url(&format!("/page-{}", number % 100))).unwrap();
        }
        let (mut answered, mut restarts, mut lost) = (0, 0, 0);
        client
            .fetch_all_with(|client, outcome| {
                match outcome.into_result() {
                    Ok(response) => {
                        assert_eq!(response.status(), 200);
                        answered += 1;
                        if answered % 500 == 250 {
                            server.restart_gracefully();
                            restarts += 1;
                        }
                    }
                    Err(error) => {
                        assert!(error.kind() == ErrorKind::Closed && error.is_retryable(), "{error}");
                        lost += 1;
                        client.get(server.url("/page-1"))?;
                    }
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(answered, 3000);
        assert!(lost <= restarts * 20, "{restarts} restarts cost {lost} answers, of 20 that were begun at once");
    });
}

#[test]
fn heads_of_many_kinds_and_sizes_come_back() {
    must_end(|| {
        let folder = Folder::new();
        let long = "v".repeat(3000);
        let nginx = Nginx::http2(
            folder,
            &format!(
                "add_header x-long {long}; add_header x-two one; add_header x-two two;
                large_client_header_buffers 8 64k;
                location = /204 {{ return 204; }}
                location = /301 {{ return 301 /; }}
                location = /404 {{ return 404 no; }}
                location = /fields {{ return 200 \"$http_x_a|$http_x_big|$http_cookie\"; }}"
            ),
        );
        let mut client = known().build().unwrap();
        let empty = one(&mut client, Request::get(nginx.url("/204")));
        assert_eq!((empty.status().as_u16(), empty.content().len()), (204, 0));
        assert_eq!(empty.headers()["x-long"], long);
        let two: Vec<_> = empty.headers().get_all("x-two").iter().collect();
        assert_eq!(two, ["one", "two"]);
        assert_eq!(one(&mut client, Request::get(nginx.url("/301"))).headers()["location"], nginx.url("/"));
        assert_eq!(one(&mut client, Request::get(nginx.url("/404"))).status(), 404);
        let head = one(&mut client, Request::head(nginx.url("/fields")));
        assert_eq!((head.status().as_u16(), head.content().len()), (200, 0));
        // More than one frame holds.
        for size in [1, 100, 5_000, 20_000, 60_000] {
            let big = "b".repeat(size);
            let request = Request::get(nginx.url("/fields"))
                .header("X-A", "1")
                .header("x-big", &big)
                .header("cookie", "c=d; e=f");
            assert!(one(&mut client, request).text() == format!("1|{big}|c=d; e=f"), "{size}");
        }
    });
}

#[cfg(feature = "tls")]
mod over_tls {
    use aquests::TlsSettings;
    use support::tls::Authority;

    use super::*;

    fn folder(authority: &Authority) -> Folder {
        let (folder, identity) = (Folder::new(), authority.localhost());
        folder.write("server.pem", &identity.chain);
        folder.write("server.key", &identity.key);
        pages(&folder);
        folder
    }

    fn trusting(authority: &Authority) -> aquests::Builder {
        Client::builder().tls(TlsSettings::new().roots_pem(authority.pem.as_str()))
    }

    #[test]
    fn alpn_chooses_the_version_among_those_that_are_allowed() {
        must_end(|| {
            let authority = Authority::new("root");
            let both = Nginx::secure_http2(folder(&authority), "");
            let old = Nginx::secure(folder(&authority), "");
            for (server, versions, expected) in [
                (&both, Versions::Any, Version::Http2),
                (&both, Versions::Http1, Version::Http11),
                (&both, Versions::Http2, Version::Http2),
                (&old, Versions::Any, Version::Http11),
                (&old, Versions::Http1, Version::Http11),
            ] {
                let mut client = trusting(&authority).versions(versions).build().unwrap();
                let response = one(&mut client, Request::get(server.url("/page-5")));
                assert_eq!((response.version(), &*response.text()), (expected, &*page(5)), "{versions:?}");
            }
            let mut client = trusting(&authority).build().unwrap();
            let request = Request::get(both.url("/page-1")).versions(Versions::Http1);
            assert_eq!(one(&mut client, request).version(), Version::Http11);
            assert_eq!(one(&mut client, Request::get(both.url("/page-1"))).version(), Version::Http2);
        });
    }

    #[test]
    fn only_the_connections_that_are_needed_are_made() {
        must_end(|| {
            let authority = Authority::new("root");
            let server = Nginx::secure_http2(folder(&authority), "location = /connection { return 200 $connection; }");
            let mut client = trusting(&authority).workers(20).build().unwrap();
            for _ in 0..100 {
                client.get(server.url("/connection")).unwrap();
            }
            let connections: std::collections::BTreeSet<_> =
                fetch(&mut client).0.iter().map(|response| response.text().into_owned()).collect();
            assert_eq!(connections.len(), 1, "{connections:?}");
        });
    }

    #[test]
    fn every_page_arrives_whole_over_tls() {
        must_end(|| {
            let authority = Authority::new("root");
            let server = Nghttpd::secure(folder(&authority), &[]);
            for (workers, streams) in [(1, 100), (3, 10)] {
                let mut client = trusting(&authority).workers(workers).streams(streams).build().unwrap();
                all_pages(&mut client, |path| server.url(path), 5);
            }
        });
    }
}
