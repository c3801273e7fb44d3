//! The client and real servers.
#![cfg(feature = "http1")]

mod support;

use std::collections::BTreeMap;

use aquests::http::Method;
use aquests::{Client, Error, Outcome, Report, Request, Response};
use support::{Folder, Nginx, Python, must_end};

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
    assert_eq!(report.bytes(), responses.iter().map(|response| response.content().len() as u64).sum::<u64>());
    (responses, report)
}

#[test]
fn every_page_arrives_whole_over_many_workers() {
    must_end(|| {
        let folder = Folder::new();
        for number in 0..100 {
            folder.write(&format!("page-{number}"), format!("page {number}, {}", "x".repeat(number * number * 10)));
        }
        let nginx = Nginx::serve(folder, "keepalive_requests 9;");
        for (workers, pipeline) in [(1, 1), (20, 1), (5, 16)] {
            let mut client = Client::builder().workers(workers).pipeline(pipeline).build().unwrap();
            for number in 0..1_000 {
                client.get(nginx.url(&format!("/page-{}", number % 100))).unwrap();
            }
            let (responses, report) = fetch(&mut client);
            assert_eq!(report.statuses(), &BTreeMap::from([(200, 1_000)]));
            for (number, response) in responses.iter().enumerate() {
                let number = number % 100;
                assert_eq!(response.text(), format!("page {number}, {}", "x".repeat(number * number * 10)));
                assert_eq!(response.headers()["content-length"], response.content().len().to_string());
            }
        }
    });
}

#[test]
fn chunked_answers_and_a_unix_socket() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("page.html", "<p>hello</p>".repeat(5_000));
        let nginx = Nginx::serve(folder, "sub_filter_types *; sub_filter hello howdy; sub_filter_once off;");
        let mut client = Client::builder().workers(3).build().unwrap();
        for number in 0..60 {
            let request = Request::get(nginx.url("/page.html"));
            client.send(if number % 2 == 0 { request } else { request.unix_socket(nginx.socket()) }).unwrap();
        }
        for response in fetch(&mut client).0 {
            assert_eq!(response.headers()["transfer-encoding"], "chunked");
            assert!(response.text() == "<p>howdy</p>".repeat(5_000));
        }
    });
}

#[test]
fn large_bodies_go_both_ways() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("large", vec![b'x'; 16 << 20]);
        let nginx = Nginx::serve(folder, "location /put/ { dav_methods PUT; create_full_put_path on; }");
        let body = |number: usize| vec![b'a' + number as u8; (16 << 20) + number];
        let mut client = Client::builder().workers(4).build().unwrap();
        for number in 0..4 {
            client.get(nginx.url("/large")).unwrap();
            client.send(Request::put(nginx.url(&format!("/put/{number}"))).body(body(number))).unwrap();
        }
        for (number, response) in fetch(&mut client).0.iter().enumerate() {
            match number % 2 {
                0 => assert!(response.content() == vec![b'x'; 16 << 20]),
                _ => assert_eq!(response.status().as_u16(), 201, "{response:?}"),
            }
        }
        for number in 0..4 {
            let stored = std::fs::read(nginx.folder().join(format!("put/{number}"))).expect("it was stored");
            assert!(stored == body(number), "body {number} arrived otherwise");
        }
    });
}

#[test]
fn all_methods_are_understood_by_another_implementation() {
    must_end(|| {
        let python = Python::echo();
        let methods = [
            Method::GET,
            Method::DELETE,
            Method::HEAD,
            Method::OPTIONS,
            Method::TRACE,
            Method::PUT,
            Method::POST,
            Method::PATCH,
        ];
        let mut client = Client::builder().workers(2).build().unwrap();
        for method in &methods {
            client
                .send(Request::new(method.clone(), python.url("/a/b")).param("c", "d e&f").header("x-y", "z"))
                .unwrap();
        }
        for (response, method) in fetch(&mut client).0.iter().zip(&methods) {
            if method == Method::HEAD {
                assert!(response.content().is_empty() && response.headers()["content-length"] != "0");
                continue;
            }
            let told: serde_json::Value = response.json().expect("it is JSON");
            assert_eq!(told["method"], method.as_str());
            assert_eq!(told["path"], "/a/b?c=d+e%26f");
            let headers = told["headers"].as_array().unwrap();
            let value = |name: &str| headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].clone());
            assert_eq!(value("x-y"), Some("z".into()));
            assert!(value("host").is_some() && value("user-agent").is_some(), "{headers:?}");
            let sends_length = matches!(method.as_str(), "PUT" | "POST" | "PATCH");
            assert_eq!(value("content-length"), sends_length.then(|| "0".into()), "{method}");
        }
    });
}

#[test]
fn what_the_server_says_is_an_answer_whatever_it_says() {
    must_end(|| {
        let python = Python::echo();
        let mut client = Client::builder().workers(5).build().unwrap();
        let statuses = [200, 201, 202, 203, 206, 299, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 599];
        for status in statuses {
            client.get(python.url(&format!("/?status={status}&header=x-twice:1&header=x-twice:2"))).unwrap();
        }
        for (response, status) in fetch(&mut client).0.iter().zip(statuses) {
            assert_eq!(response.status().as_u16(), status);
            let twice: Vec<_> = response.headers().get_all("x-twice").iter().collect();
            assert_eq!(twice, ["1", "2"]);
        }
    });
}

#[test]
fn a_server_of_http_1_0_is_asked_on_a_new_connection_each_time() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("page", "hello");
        let python = Python::files(folder);
        let mut client = Client::builder().workers(3).build().unwrap();
        for _ in 0..50 {
            client.get(python.url("/page")).unwrap();
        }
        for response in fetch(&mut client).0 {
            assert_eq!((response.text().as_ref(), response.version().to_string().as_str()), ("hello", "HTTP/1.0"));
        }
    });
}
