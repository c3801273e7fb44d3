//! A server of HTTP/2 by another hand: the `h2` crate on tokio, over plain TCP, for clients that know beforehand. What it
//! answers is said by the path (see `answer`), how it behaves on every connection by its arguments (see `Manner`). It
//! listens on a port that the system gives, prints it, and runs until it is killed.
//!
//! Nothing of what is tested is used here.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};

type Trouble = Box<dyn std::error::Error>;

/// What every connection is like.
#[derive(Clone, Debug, Default)]
struct Manner {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    streams: Option<u32>,
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    window: Option<u32>,
    /// SETTINGS_MAX_FRAME_SIZE.
    frame: Option<u32>,
    /// SETTINGS_HEADER_TABLE_SIZE.
    table: Option<u32>,
    /// It leaves gracefully after so many requests on a connection.
    leaves: Option<u64>,
    /// It says SETTINGS every millisecond, each time with the next of these as SETTINGS_INITIAL_WINDOW_SIZE.
    windows: Vec<u32>,
}

impl Manner {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, Trouble> {
        let mut manner = Self::default();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or("arguments are name=value")?;
            match name {
                "streams" => manner.streams = Some(value.parse()?),
                "window" => manner.window = Some(value.parse()?),
                "frame" => manner.frame = Some(value.parse()?),
                "table" => manner.table = Some(value.parse()?),
                "leaves" => manner.leaves = Some(value.parse()?),
                "windows" => manner.windows = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                _ => return Err(format!("no such argument: {name}").into()),
            }
        }
        Ok(manner)
    }
}

fn main() -> Result<(), Trouble> {
    let manner = Manner::of(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            let manner = manner.clone();
            tokio::task::spawn_local(async move {
                // What a client does wrong is told: no test listens, whoever looks into one does.
                if let Err(trouble) = serve(stream, manner).await {
                    eprintln!("connection: {trouble}");
                }
            });
        }
    })
}

async fn serve(stream: TcpStream, manner: Manner) -> Result<(), Trouble> {
    stream.set_nodelay(true)?;
    let mut builder = server::Builder::new();
    builder.max_header_list_size(1 << 20);
    if let Some(streams) = manner.streams {
        builder.max_concurrent_streams(streams);
    }
    if let Some(window) = manner.window {
        builder.initial_window_size(window);
    }
    if let Some(frame) = manner.frame {
        builder.max_frame_size(frame);
    }
    if let Some(table) = manner.table {
        builder.header_table_size(table);
    }
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let (mut requests, mut windows) = (0, manner.windows.iter().cycle());
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    loop {
        let next = poll_fn(|context| {
            if !manner.windows.is_empty() && ticks.poll_tick(context).is_ready() {
                return Poll::Ready(None);
            }
            connection.poll_accept(context).map(Some)
        });
        match next.await {
            None => {
                if let Some(window) = windows.next() {
                    // Those before may not be acknowledged yet; then there is the next time.
                    let _ = connection.set_initial_window_size(*window);
                }
            }
            Some(None) => return Ok(()),
            Some(Some(accepted)) => {
                let (request, respond) = accepted?;
                requests += 1;
                if manner.leaves.is_some_and(|leaves| requests == leaves) {
                    connection.graceful_shutdown();
                }
                tokio::task::spawn_local(async move {
                    // A client that takes its request back is within its rights.
                    if let Err(trouble) = answer(request, respond, number).await {
                        eprintln!("stream: {trouble}");
                    }
                });
            }
        }
    }
}

/// | path | answer |
/// |---|---|
/// | `/bytes/N` | N bytes of a pattern, with their length, and the number of the connection in `x-connection` |
/// | `/chunks/N` | the same, without |
/// | `/echo` | the body, as it comes and no faster than it is taken |
/// | `/swallow` | how many bytes the body had |
/// | `/trailers` | a body, and fields behind it |
/// | `/interim/N` | N times 103, then 200 |
/// | `/fields/N` | a head with N bytes in its fields, and the value of `x-big` as the body |
/// | `/delay/MS` | later |
/// | `/reset/CODE/N` | a head and N bytes, then RST_STREAM with this code |
/// | `/refuse` | every other time REFUSED_STREAM |
/// | anything else | the path itself |
///
/// HEAD is told of seven bytes, wherever it asks.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: u64,
) -> Result<(), Trouble> {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    if request.method() == Method::HEAD {
        respond.send_response(Response::builder().header("content-length", 7).body(())?, true)?;
        return Ok(());
    }
    let path = request.uri().path().to_owned();
    let mut parts = path[1..].split('/');
    let what = parts.next().unwrap_or_default();
    let mut number = || parts.next().map_or(Ok(0), str::parse::<u64>);
    match what {
        "bytes" | "chunks" => {
            let length = number()?;
            let mut head = Response::builder().header("x-connection", connection);
            if what == "bytes" {
                head = head.header("content-length", length);
            }
            let mut body = respond.send_response(head.body(())?, length == 0)?;
            send_pattern(&mut body, length, true).await
        }
        "echo" => {
            let mut asked = request.into_body();
            let mut body = respond.send_response(Response::new(()), false)?;
            while let Some(bytes) = asked.data().await {
                let bytes = bytes?;
                let length = bytes.len();
                send(&mut body, bytes).await?;
                asked.flow_control().release_capacity(length)?;
            }
            Ok(body.send_data(Bytes::new(), true)?)
        }
        "swallow" => {
            let (mut asked, mut count) = (request.into_body(), 0);
            while let Some(bytes) = asked.data().await {
                let length = bytes?.len();
                count += length;
                asked.flow_control().release_capacity(length)?;
            }
            say(respond, count.to_string()).await
        }
        "trailers" => {
            let mut body = respond.send_response(Response::new(()), false)?;
            send(&mut body, Bytes::from_static(b"body")).await?;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("4"));
            Ok(body.send_trailers(trailers)?)
        }
        "interim" => {
            for count in 0..number()? {
                respond.send_informational(Response::builder().status(103).header("x-count", count).body(())?)?;
            }
            say(respond, path).await
        }
        "fields" => {
            let mut head = Response::builder();
            let mut left = number()? as usize;
            while left > 0 {
                let length = left.min(3000);
                head = head.header("x-part", "v".repeat(length));
                left -= length;
            }
            let big = request.headers().get("x-big").map_or_else(Bytes::new, |v| Bytes::copy_from_slice(v.as_bytes()));
            let mut body = respond.send_response(head.body(())?, false)?;
            send(&mut body, big).await?;
            Ok(body.send_data(Bytes::new(), true)?)
        }
        "delay" => {
            tokio::time::sleep(Duration::from_millis(number()?)).await;
            say(respond, path).await
        }
        "reset" => {
            let (code, length) = (number()?, number()?);
            let mut body = respond.send_response(Response::new(()), false)?;
            send_pattern(&mut body, length, false).await?;
            // A reset overtakes what is not written yet (h2 clears its queue): let that go first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            body.send_reset(Reason::from(code as u32));
            Ok(())
        }
        "refuse" if REFUSED.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
            respond.send_reset(Reason::REFUSED_STREAM);
            Ok(())
        }
        _ => say(respond, path).await,
    }
}

async fn say(mut respond: SendResponse<Bytes>, words: String) -> Result<(), Trouble> {
    let mut body = respond.send_response(Response::new(()), false)?;
    send(&mut body, words.into()).await?;
    Ok(body.send_data(Bytes::new(), true)?)
}

/// Letters in an order that has 26 as its period, and so no power of two.
async fn send_pattern(body: &mut SendStream<Bytes>, length: u64, end: bool) -> Result<(), Trouble> {
    let whole: Bytes = (0..26 * 1260).map(|at| b'a' + (at * 7 % 26) as u8).collect();
    let mut left = length;
    while left > 0 {
        let part = whole.slice(..whole.len().min(usize::try_from(left)?));
        left -= part.len() as u64;
        send(body, part).await?;
    }
    if end && length > 0 {
        body.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

/// Sends as the windows allow, and keeps nothing else.
async fn send(body: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), Trouble> {
    while bytes.has_remaining() {
        body.reserve_capacity(bytes.len());
        let room = poll_fn(|context| body.poll_capacity(context)).await.ok_or("the stream is over")??;
        body.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}
