//! Nothing is allocated per request: a run of twice the length allocates as often. A binary of its own, for its allocator.
#![cfg(feature = "load")]

mod support;

use aquests::load::{Control, Plan, run};
use support::counting::{Counting, counts};
use support::{Folder, Nginx};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a run on this thread, without the one of each interval of its series: those come with time, and not
/// with requests.
fn allocations(plan: &Plan, requests: u64) -> u64 {
    let plan = plan.clone().requests(requests);
    let before = counts().allocations;
    let report = run(&plan, &Control::new()).expect("the loop works");
    let after = counts().allocations;
    assert_eq!((report.requests(), report.failed()), (requests, 0), "{report}");
    (after - before).saturating_sub(report.series().len() as u64)
}

/// What is allocated once, at a moment that chance chooses (a list that grows when several are ready at once), may fall
/// into the longer run only.
const CHANCE: u64 = 32;

#[track_caller]
fn assert_no_allocation_per_request(name: &str, plan: &Plan) {
    // Lazily made statics are made here.
    allocations(plan, 100);
    let (once, twice) = (allocations(plan, 10_000), allocations(plan, 20_000));
    // The tables of header compression grow when the date changes for the first time: once on each connection.
    let chance = if name.starts_with("HTTP/2") { CHANCE + 20 * 10 } else { CHANCE };
    assert!(twice <= once + chance, "{name}: {once} allocations in 10,000 requests, {twice} in 20,000");
}

#[test]
fn a_request_allocates_nothing() {
    let folder = Folder::new();
    folder.write("page", "x".repeat(4_096));
    folder.write("large", "x".repeat(100_000));
    folder.write("page.html", "<p>hello</p>".repeat(20));
    let locations = r#"
        keepalive_requests 1000000;
        location = /2 { return 200 "ok"; }
        location = /chunked { sub_filter_types *; sub_filter hello howdy; try_files /page.html =404; }
    "#;
    let nginx = Nginx::serve(folder, locations);
    let get = |path: &str| Plan::new(&nginx.url(path)).expect("this URL is good");
    assert_no_allocation_per_request("one connection", &get("/2").connections(1));
    assert_no_allocation_per_request("many connections", &get("/2").connections(100));
    assert_no_allocation_per_request("pipelined", &get("/2").connections(10).depth(16));
    assert_no_allocation_per_request("at a rate", &get("/2").connections(10).rate(20_000.0));
    assert_no_allocation_per_request("a page", &get("/page").connections(10));
    assert_no_allocation_per_request("in chunks", &get("/chunked").connections(10));
    assert_no_allocation_per_request("over a unix socket", &get("/2").unix_socket(nginx.socket()).connections(10));
    assert_no_allocation_per_request("with templates", &get("/page?{seq}&{rand:1:1000}&{uuid}").connections(10));
    let post = get("/2").method("POST").header("x-id", "{seq}").body("{bytes:1000}");
    assert_no_allocation_per_request("with a body", &post.connections(10));
    over_http2();
    to_redis();
}

#[cfg(not(feature = "redis"))]
fn to_redis() {}

#[cfg(feature = "redis")]
fn to_redis() {
    use aquests::redis::Redis;

    let server = support::RedisServer::start();
    server.cli(&["MSET", "key:1", "short", "key:2", "x", "long", &"x".repeat(100_000)]);
    let db = Redis::at(&server.address().to_string());
    let plan = |words: &[&str]| Plan::redis(&db, words).expect("this is a command").connections(10);
    assert_no_allocation_per_request("Redis", &plan(&["GET", "key:1"]));
    assert_no_allocation_per_request("Redis, pipelined", &plan(&["GET", "key:{rand:1:2}"]).depth(16));
    let set = plan(&["SET", "key:{seq}:{uuid}", "{bytes:64}"]).depth(16);
    assert_no_allocation_per_request("Redis, with words of all lengths", &set);
    assert_no_allocation_per_request("Redis, with errors", &plan(&["LPUSH", "key:1", "{seq}"]).depth(16));
    assert_no_allocation_per_request("Redis, with long strings", &plan(&["GET", "long"]));
    assert_no_allocation_per_request("Redis, at a rate", &plan(&["GET", "key:1"]).rate(20_000.0));
    let plan = Plan::redis(&Redis::unix_socket(server.socket()), ["GET", "key:1"]).expect("this is a command");
    assert_no_allocation_per_request("Redis, over a unix socket", &plan.connections(10));
}

#[cfg(not(feature = "http2"))]
fn over_http2() {}

#[cfg(feature = "http2")]
fn over_http2() {
    use aquests::Versions;

    let folder = Folder::new();
    folder.write("page", "x".repeat(4_096));
    let locations = r#"keepalive_requests 1000000; location = /2 { return 200 "ok"; }"#;
    let nginx = Nginx::http2(folder, locations);
    let get = |path: &str| Plan::new(&nginx.url(path)).expect("this URL is good").versions(Versions::Http2);
    assert_no_allocation_per_request("HTTP/2, one stream", &get("/2").connections(10));
    assert_no_allocation_per_request("HTTP/2, many streams", &get("/2").connections(2).depth(100));
    assert_no_allocation_per_request("HTTP/2, a page", &get("/page").connections(10).depth(10));
    let seq = get("/page?{seq}").header("x-id", "{uuid}");
    assert_no_allocation_per_request("HTTP/2, with templates", &seq.connections(5).depth(20));
    let post = get("/2").method("POST").body("{bytes:1000}");
    assert_no_allocation_per_request("HTTP/2, with a body", &post.connections(5).depth(20));
}
