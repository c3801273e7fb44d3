//! Minutes of load, fair and foul, in which memory and open files stay as they are. `tests/run --long` runs it, for
//! `AQUESTS_SOAK_SECONDS` (180) in each of its parts.

mod support;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aquests::load::{Control, Plan, run};
use aquests::{Client, Error, Flow, Form, Handle, Request};
use support::{FAULTS, Nginx, Peer, raise_open_files, resident_memory};

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
