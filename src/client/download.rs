//! Bodies on their way in that are not collected: who gets the bytes, and how far a request is. Runs inside turns, so
//! nothing here gets a client.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use http::{HeaderMap, StatusCode};

use super::collected::Collected;
use super::{BoxError, RequestId};
use crate::reactor::Flow;
use crate::url::Url;
use crate::version::Version;

/// The head of an answer whose body is still coming, as it came.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub(super) id: RequestId,
    pub(super) url: &'a Url,
    pub(super) collected: &'a Collected,
}

impl<'a> Head<'a> {
    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.id
    }

    /// The URL that answers.
    pub fn url(&self) -> &'a Url {
        self.url
    }

    /// The status code, 100 to 999.
    pub fn status(&self) -> StatusCode {
        self.collected.status()
    }

    /// The reason phrase; often empty.
    pub fn reason(&self) -> Cow<'a, str> {
        self.collected.reason()
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.collected.version()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.collected.fields().get(name)
    }

    /// All headers. They are read anew with each call.
    pub fn headers(&self) -> HeaderMap {
        self.collected.header_map()
    }

    /// How long the body will be, where the head says so.
    pub fn content_length(&self) -> Option<u64> {
        self.collected.announced()
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("request_id", &self.id)
            .field("url", &self.url)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// How far a request is, in bytes of bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the request's body that were handed to the connection. When it is sent again, this begins again.
    pub sent: u64,
    /// How many there will be, where that is known.
    pub to_send: Option<u64>,
    /// Bytes of the answer's body that came.
    pub received: u64,
    /// How many there will be, where the answer says so with a `content-length`.
    pub to_receive: Option<u64>,
}

pub(super) type ChunkCallback = Box<dyn FnMut(Head<'_>, &[u8]) -> Result<Flow, BoxError> + Send>;
pub(super) type ProgressCallback = Box<dyn FnMut(Progress) + Send>;

/// Who gets the body of an answer.
pub(super) enum Sink {
    Call(ChunkCallback),
    File { path: PathBuf, file: Option<BufWriter<File>> },
    Discard,
}

/// What a sink cannot do, and why.
pub(super) enum Trouble {
    Callback(BoxError),
    File(std::io::Error),
}

impl Sink {
    pub(super) fn file(path: PathBuf) -> Self {
        Sink::File { path, file: None }
    }

    /// A body begins: behind the one before, where an answer has several.
    pub(super) fn begin(&mut self) -> Result<(), Trouble> {
        if let Sink::File { path, file: file @ None } = self {
            *file = Some(BufWriter::new(File::create(path).map_err(Trouble::File)?));
        }
        Ok(())
    }

    /// More of it came.
    pub(super) fn take(&mut self, head: Head<'_>, bytes: &[u8]) -> Result<Flow, Trouble> {
        match self {
            Sink::Call(_) if bytes.is_empty() => Ok(Flow::Continue),
            Sink::Call(callback) => callback(head, bytes).map_err(Trouble::Callback),
            Sink::File { file: Some(file), .. } => {
                file.write_all(bytes).map(|()| Flow::Continue).map_err(Trouble::File)
            }
            Sink::File { file: None, .. } | Sink::Discard => Ok(Flow::Continue),
        }
    }

    /// It is whole.
    pub(super) fn end(&mut self) -> Result<(), Trouble> {
        match self {
            Sink::File { file: Some(file), .. } => file.flush().map_err(Trouble::File),
            _ => Ok(()),
        }
    }

    /// The file that an answer was written to, which is closed now.
    pub(super) fn left_behind(&mut self) -> Option<&PathBuf> {
        match self {
            Sink::File { path, file } => file.take().map(|_| &*path),
            _ => None,
        }
    }
}
