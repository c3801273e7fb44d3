//! Minutes of load, fair and foul, in which memory and open files stay as they are. `tests/run --long` runs it, for
//! `AQUESTS_SOAK_SECONDS` (180) in each of its parts.

mod support;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aquests::load::{Control, Mode, Plan, run};
use aquests::postgres::Postgres;
use aquests::redis::Redis;
use aquests::{Client, Error, ErrorKind, Flow, Form, Handle, Outcome, Request};
use support::{FAULTS, Nginx, Peer, PostgresServer, RedisServer, raise_open_files, resident_memory};

/// Memory may move by this much after a fifth of the time: allocators keep and give back as they like.
const GROWTH: u64 = 4 << 20;

fn duration() -> Duration {
    let seconds = std::env::var("AQUESTS_SOAK_SECONDS").map_or(180, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

/// Watches memory while `work` runs for its time.
fn assert_flat(name: &str, work: impl FnOnce(Duration) + Send + 'static) {
    let (time, files, start) = (duration(), open_files(), Instant::now());
    let work = thread::spawn(move || work(time));
    let mut samples = Vec::new();
    while !work.is_finished() {
        thread::sleep(Duration::from_secs(1));
        if start.elapsed() > time / 5 {
            samples.push(resident_memory());
        }
    }
    work.join().expect("the work does not panic");
    let first = *samples.first().expect("it ran for longer than its fifth");
    let most = samples.iter().copied().max().unwrap_or(first);
    println!("{name}: {first} bytes after a fifth of the time, {most} at most from there on");
    assert!(most < first + GROWTH, "{name}: memory grew from {first} to {most} bytes: {samples:?}");
    assert!(open_files() <= files, "{name}: {} open files were left behind", open_files() - files);
}

fn load(plan: Plan) -> impl FnOnce(Duration) {
    move |time| {
        let report = run(&plan.duration(time), &Control::new()).expect("the loop works");
        println!("{report}");
        assert_eq!(report.responses() + report.errors().values().sum::<u64>(), report.requests());
        assert!(report.responses() > 0);
    }
}

// One test, so that nothing else moves the memory meanwhile.
#[test]
fn memory_and_open_files_stay_as_they_are() {
    raise_open_files(4_000);
    let nginx = Nginx::start(r#"keepalive_requests 10000; location = /2 { return 200 "ok"; }"#);
    let plan = Plan::new(&nginx.url("/2")).unwrap();
    assert_flat("a steady load", load(plan.connections(200)));

    let closing = Nginx::start(r#"keepalive_requests 50; location = /2 { return 200 "ok"; }"#);
    let plan = Plan::new(&closing.url("/2")).unwrap().connections(50).depth(4).rate(5_000.0);
    assert_flat("connections that come and go", load(plan));

    // Those that are well end too, else nobody would meet the others for long. Slow enough for the ports that each
    // connection takes for a minute.
    let peer = Peer::start(|conn| {
        let fault = conn.number() % FAULTS;
        if fault < 12 {
            return conn.misbehave(fault);
        }
        for _ in 0..200 {
            let target = conn.request()?.target;
            conn.answer(target)?;
        }
        conn.close()
    })
    .forgetful();
    let plan = Plan::new(&peer.url("/")).unwrap().connections(100).rate(1_000.0).timeout(Duration::from_millis(300));
    assert_flat("faults", load(plan));

    let url = peer.url("/");
    let client = move |time: Duration| {
        let over = Arc::new(AtomicBool::new(false));
        let mut client = Client::builder().workers(50).timeout(Duration::from_millis(300)).build().unwrap();
        let stop = over.clone();
        client.source(std::iter::from_fn(move || (!stop.load(Ordering::SeqCst)).then(|| Request::get(url.clone()))));
        let (start, mut count) = (Instant::now(), 0u64);
        let report = client
            .fetch_all_with(|_, _| {
                count += 1;
                over.store(start.elapsed() > time, Ordering::SeqCst);
                Ok::<_, Error>(())
            })
            .expect("the loop works");
        println!("{report}");
        assert_eq!(report.requests(), count);
    };
    assert_flat("a client under faults", client);

    let url = peer.url("/");
    let streams = move |time: Duration| {
        let mut client = Client::builder().workers(20).timeout(Duration::from_millis(300)).build().unwrap();
        let (handle, start, mut number) = (client.handle(), Instant::now(), 0u64);
        client.source(std::iter::from_fn(move || {
            number += 1;
            (start.elapsed() < time).then(|| streamed(&url, number, &handle))
        }));
        let mut count = 0;
        let report = client
            .fetch_all_with(|_, _| {
                count += 1;
                Ok::<_, Error>(())
            })
            .expect("the loop works");
        println!("{report}");
        assert_eq!(report.requests(), count);
    };
    assert_flat("streamed bodies under faults", streams);
    databases();
}

/// Servers that are restarted and hang up on their clients, again and again, until the work is over.
fn trouble<S: Send + 'static>(server: S, make: impl Fn(&mut S, u64) + Send + 'static) -> impl FnOnce() {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let troubled = thread::spawn(move || {
        let mut server = server;
        for number in 0.. {
            thread::sleep(Duration::from_millis(500));
            if ended.load(Ordering::SeqCst) {
                return;
            }
            make(&mut server, number);
        }
    });
    move || {
        over.store(true, Ordering::SeqCst);
        troubled.join().expect("the server comes back");
    }
}

/// Every tenth time it is restarted, and crashes in between; else its clients are told to go.
fn troubled_postgres(server: PostgresServer) -> impl FnOnce() {
    trouble(server, |server, number| match number % 10 {
        4 => {
            server.kill();
            server.restart();
        }
        9 => server.restart(),
        _ => drop(server.terminate_backends()),
    })
}

fn troubled_redis(server: RedisServer) -> impl FnOnce() {
    trouble(server, |server, number| match number % 10 {
        4 => {
            server.kill();
            server.restart();
        }
        9 => server.restart(),
        _ => drop(server.cli(&["CLIENT", "KILL", "TYPE", "normal"])),
    })
}

fn databases() {
    let start = || {
        let server = PostgresServer::start();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
        (server, db)
    };
    let (server, db) = start();
    let plan = |db: &Postgres| Plan::postgres(db, "SELECT $1::int + 1", ["{seq}"], Mode::Prepared).unwrap();
    assert_flat("a load of PostgreSQL", load(plan(&db).connections(20).depth(8)));
    let plan = plan(&db).connections(10).depth(4).rate(2_000.0);
    assert_flat("a load of PostgreSQL whose server hangs up", move |time| {
        let over = troubled_postgres(server);
        load(plan)(time);
        over();
    });

    let server = RedisServer::start();
    let db = Redis::at(&server.address().to_string());
    let plan = Plan::redis(&db, ["SET", "key:{rand:1:1000}", "{bytes:64}"]).unwrap();
    assert_flat("a load of Redis", load(plan.clone().connections(50).depth(16)));
    let plan = plan.connections(10).depth(4).rate(2_000.0);
    assert_flat("a load of Redis whose server hangs up", move |time| {
        let over = troubled_redis(server);
        load(plan)(time);
        over();
    });

    let (postgres, sql) = start();
    let redis = RedisServer::start();
    let words = Redis::at(&redis.address().to_string());
    assert_flat("a client of both, whose servers hang up", move |time| {
        let over = (troubled_postgres(postgres), troubled_redis(redis));
        let mut client = Client::builder().workers(20).timeout(Duration::from_secs(5)).build().unwrap();
        let (start, mut number) = (Instant::now(), 0u64);
        client.source(std::iter::from_fn(move || {
            number += 1;
            (start.elapsed() < time).then(|| asked(&sql, &words, number))
        }));
        let (mut count, mut answered) = (0, 0);
        let report = client
            .fetch_all_with(|_, outcome: Outcome| {
                count += 1;
                match outcome.error() {
                    None => answered += 1,
                    Some(error) => {
                        let kind = error.kind();
                        let gone = matches!(kind, ErrorKind::Closed | ErrorKind::Connect | ErrorKind::Io);
                        assert!(gone || kind == ErrorKind::Refused, "{error}");
                    }
                }
                Ok::<_, Error>(())
            })
            .expect("the loop works");
        println!("{report}");
        assert_eq!(report.requests(), count);
        assert!(answered > count / 2, "{answered} of {count} were answered");
        over.0();
        over.1();
    });
}

/// Statements and commands of every kind.
fn asked(sql: &Postgres, words: &Redis, number: u64) -> Request {
    match number % 8 {
        0 => sql.query(format!("SELECT {number}; SELECT repeat('x', 1000) FROM generate_series(1, 10)")).into(),
        1 => sql.execute("SELECT $1::int8 + 1", (number as i64,)).into(),
        // Another text for each of many: more than are kept prepared.
        2 => sql.execute(format!("SELECT $1::int8 + {}", number % 997), (number as i64,)).into(),
        3 => {
            Request::from(sql.query("COPY (SELECT repeat('x', 100) FROM generate_series(1, 100)) TO STDOUT")).discard()
        }
        4 => words.batch().add(words.incr("n")).add(words.get("key")).into(),
        5 => words.transaction().add(words.incr("n")).add(words.set("key", number)).into(),
        6 => words.set(format!("key:{}", number % 100), vec![b'x'; 1_000]).into(),
        _ => words.get(format!("key:{}", number % 100)).into(),
    }
}

/// Bodies from every kind of source, to every kind of sink.
fn streamed(url: &str, number: u64, handle: &Handle) -> Request {
    let request = Request::put(url).on_progress(|_| {});
    let request = match number % 5 {
        0 => request.body_reader(io::repeat(b'x').take(200_000), None),
        1 => request.body_reader(io::repeat(b'x').take(1_000), Some(1_001)),
        2 => request.body_file("Cargo.toml").expect_continue(),
        3 => request.multipart(Form::new().text("a", "b").file("c", "Cargo.toml")),
        _ => {
            let (request, writer) = request.body_writer(None);
            writer.try_write(b"all of it").expect("there is room");
            if !number.is_multiple_of(10) {
                writer.finish();
            }
            request
        }
    };
    let handle = handle.clone();
    match number % 7 {
        0 => request.discard(),
        1 => request.to_file("/dev/null"),
        2 => request.on_chunk(|_, _| Err("enough")),
        3 => request.on_chunk(|_, _| Ok::<_, Error>(Flow::Cancel)),
        4 => request.on_chunk(move |head, _| {
            handle.resume(head.request_id());
            Ok::<_, Error>(Flow::Hold)
        }),
        _ => request,
    }
}
