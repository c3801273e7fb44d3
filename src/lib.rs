//! Asks many servers many things at once, from one thread, without tokio: one queue, one pool, one callback style, one
//! report.
//!
//! Three ways in:
//!
//! - [`Client`] sends [`Request`]s and hands over [`Outcome`]s, in its own loop ([`Client::fetch_all`]) or in yours
//!   ([`Client::turn`]).
//! - [`load`] drives a server as hard, or as evenly, as a plan says, and measures it.
//! - [`reactor`] carries a protocol of your own; [`protocols`] has those of this project, each a state machine without
//!   sockets or clocks.
//!
//! ```no_run
//! let mut client = aquests::Client::new()?;
//! client.get("http://127.0.0.1:5000/")?;
//! let report = client.fetch_all()?;
//! println!("{report}");
//! # Ok::<(), aquests::Error>(())
//! ```
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | none | the reactor |
//! | `http1` (default) | the client, with HTTP/1.1 |
//! | `http2` (default) | HTTP/2, where a server has it; brings `http1` |
//! | `tls` (default) | TLS, for the client and for protocols of one's own |
//! | `load` | load generation |
//! | `redis` | Redis |
//! | `postgres` | PostgreSQL |
//! | `full` | all of them |
//!
//! # Contracts
//!
//! One thread at a time: a [`Client`] can be sent to another thread but not shared; a [`Handle`] can. Nothing blocks but
//! [`Client::turn`] without a limit and what is built on it. Callbacks run between turns, handlers of the reactor inside
//! them, and so do readers and files of bodies and the callbacks of streamed ones: what they do is what the loop waits
//! for. A wake-up is never lost. Errors are input, panics are bugs.

mod buffer;
#[cfg(feature = "client")]
mod client;
mod connection;
#[cfg(feature = "client")]
mod error;
mod handler;
mod listener;
#[cfg(feature = "load")]
pub mod load;
#[cfg(feature = "client")]
mod logger;
#[cfg(feature = "client")]
mod pool;
#[cfg(feature = "postgres")]
pub mod postgres;
mod precise;
pub mod reactor;
mod reason;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "client")]
mod report;
#[cfg(feature = "client")]
mod resolve;
#[cfg(feature = "client")]
mod route;
mod time;
mod timers;
mod transport;
#[cfg(feature = "client")]
mod url;
#[cfg(feature = "client")]
mod version;
#[cfg(feature = "client")]
mod wire;

pub use aquests_protocols as protocols;
#[cfg(feature = "client")]
pub use client::{
    BodyWriter, BoxError, Builder, Client, Form, Handle, Head, Outcome, Part, Progress, Push, Rejected, Request,
    RequestId, Response, Session, Target, Timings,
};
#[cfg(feature = "client")]
pub use error::{Error, ErrorKind, Phase};
#[cfg(feature = "client")]
pub use http;
#[cfg(feature = "client")]
pub use logger::Logger;
#[cfg(feature = "client")]
pub use reactor::Flow;
#[cfg(feature = "tls")]
pub use reactor::{TlsSettings, TlsVersion};
#[cfg(feature = "client")]
pub use report::{Interval, Latency, Report};
#[cfg(feature = "client")]
pub use resolve::Resolver;
#[cfg(feature = "client")]
pub use url::Url;
#[cfg(feature = "client")]
pub use version::{Version, Versions};
