//! Bodies that are never whole in memory: a file, a form with a file, and pieces from another thread on their way up; to a
//! file, and to a callback that says "not so fast", on their way down. `cargo run --example upload_download [URL]`

mod support;

use std::io::Write;
use std::sync::mpsc;
use std::{env, fs, thread};

use aquests::{BoxError, Client, Flow, Form, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = support::http_server();
    let folder = env::temp_dir().join(format!("aquests-upload-download-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (photo, copy) = (folder.join("mycar.jpg"), folder.join("copy"));
    fs::write(&photo, vec![0xd8; 3_000_000])?;
    let mut client = Client::builder().workers(4).build()?;

    // Up: a file, with its length in front; the server is asked first whether it wants it.
    client.send(Request::put(format!("{url}/photo")).body_file(&photo).expect_continue().on_progress(|progress| {
        if Some(progress.sent) == progress.to_send && progress.received == 0 {
            println!("the photo is on its way: {} bytes", progress.sent);
        }
    }))?;
    // Up: a form, whose file is read as it is sent.
    let form = Form::new().text("author", "James Milton").file("file", &photo);
    client.send(Request::post(format!("{url}/book")).multipart(form))?;
    // Up: pieces from another thread, which waits while the server is slow.
    let (request, mut writer) = Request::post(format!("{url}/pieces")).body_writer(Some(1_000_000));
    client.send(request)?;
    let pieces = thread::spawn(move || {
        for _ in 0..1_000 {
            writer.write_all(&[b'x'; 1_000])?;
        }
        writer.finish();
        Ok::<_, std::io::Error>(())
    });

    // Down: to a file.
    client.send(Request::get(format!("{url}/bytes/2000000")).to_file(&copy))?;
    // Down: to a thread that is slow. While it has a piece in hand the server is held back, and we do not wait for it.
    let (to_consumer, from_client) = mpsc::channel::<(aquests::RequestId, usize)>();
    let handle = client.handle();
    let consumer = thread::spawn(move || {
        let mut bytes = 0;
        for (id, piece) in from_client {
            thread::sleep(std::time::Duration::from_millis(1));
            bytes += piece;
            handle.resume(id);
        }
        bytes
    });
    client.send(Request::get(format!("{url}/bytes/5000000")).on_chunk(move |head, piece| {
        to_consumer.send((head.request_id(), piece.len()))?;
        Ok::<_, BoxError>(Flow::Hold)
    }))?;

    let report = client.fetch_all_with(|_, outcome| {
        let response = outcome.into_result()?;
        println!("{} {}: {} bytes came", response.request_method(), response.url(), response.received());
        Ok::<_, aquests::Error>(())
    })?;
    println!("{report}");

    pieces.join().expect("it does not panic")?;
    assert_eq!(consumer.join().expect("it does not panic"), 5_000_000);
    assert_eq!(fs::metadata(&copy)?.len(), 2_000_000);
    fs::remove_dir_all(&folder)?;
    Ok(())
}
