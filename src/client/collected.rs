//! What came for a request, as it came, whatever its protocol: what `core` puts in, and `response` and `report` take out.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

#[cfg(feature = "redis")]
use super::replies::Replies;
#[cfg(feature = "postgres")]
use crate::postgres;
#[cfg(feature = "redis")]
use crate::protocols::redis::Value;
use crate::protocols::semantics::{Fields, ResponseHead};
use crate::report::Verdict;
use crate::version::Version;

/// What came.
#[derive(Default)]
pub(super) struct Collected {
    said: Said,
    /// The body, or the part of it that is kept.
    pub(super) content: Vec<u8>,
    /// Bytes of the body that came, whoever got them.
    pub(super) received: u64,
    /// What its connection spoke, where that does not show in what came.
    pub(super) version: Option<Version>,
}

/// In the words of the protocol.
#[derive(Default)]
enum Said {
    #[default]
    Nothing,
    Http(Http),
    #[cfg(feature = "redis")]
    Redis(Replies),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Collected>),
}

#[derive(Default)]
struct Http {
    version: Option<Version>,
    status: u16,
    reason: Vec<u8>,
    /// Field lines.
    fields: Vec<u8>,
    /// Field lines behind the body.
    trailers: Vec<u8>,
}

impl Collected {
    pub(super) fn head(&mut self, head: &ResponseHead<'_>) {
        self.said = Said::Http(Http {
            version: Some(head.version.into()),
            status: head.status,
            reason: head.reason.to_vec(),
            fields: head.fields.block().to_vec(),
            trailers: Vec::new(),
        });
    }

    pub(super) fn set_trailers(&mut self, fields: Fields<'_>) {
        if let Said::Http(http) = &mut self.said {
            http.trailers = fields.block().to_vec();
        }
    }

    fn http(&self) -> Option<&Http> {
        match &self.said {
            Said::Http(http) => Some(http),
            _ => None,
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn replies(&self) -> Option<&Replies> {
        match &self.said {
            Said::Redis(replies) => Some(replies),
            _ => None,
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn results(&self) -> Option<&postgres::Results> {
        match &self.said {
            Said::Postgres(collected) => Some(collected.results()),
            _ => None,
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn take_results(&mut self) -> postgres::Results {
        match &mut self.said {
            Said::Postgres(collected) => collected.take(),
            _ => postgres::Results::default(),
        }
    }

    /// The results, which begin with this, and are limited to so many bytes.
    #[cfg(feature = "postgres")]
    pub(super) fn results_mut(&mut self, limit: usize) -> &mut postgres::Collected {
        if !matches!(self.said, Said::Postgres(_)) {
            self.said = Said::Postgres(Box::new(postgres::Collected::new(limit)));
        }
        match &mut self.said {
            Said::Postgres(collected) => collected,
            _ => unreachable!("it was made just now"),
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn take_replies(&mut self) -> Vec<Value> {
        match &mut self.said {
            Said::Redis(replies) => std::mem::take(&mut replies.values),
            _ => Vec::new(),
        }
    }

    /// The replies, which begin with this.
    #[cfg(feature = "redis")]
    pub(super) fn replies_mut(&mut self) -> &mut Replies {
        if !matches!(self.said, Said::Redis(_)) {
            self.said = Said::Redis(Replies::default());
        }
        match &mut self.said {
            Said::Redis(replies) => replies,
            _ => unreachable!("it was made just now"),
        }
    }

    /// Memory that it holds, in bytes. Streamed bodies are not in it.
    pub(super) fn size(&self) -> usize {
        let said = match &self.said {
            Said::Nothing => 0,
            Said::Http(http) => http.fields.len(),
            #[cfg(feature = "redis")]
            Said::Redis(replies) => replies.size,
            #[cfg(feature = "postgres")]
            Said::Postgres(collected) => collected.size(),
        };
        self.content.len() + said
    }

    /// How long the body will be, where that was said.
    pub(super) fn announced(&self) -> Option<u64> {
        #[cfg(feature = "redis")]
        if let Said::Redis(replies) = &self.said {
            return replies.long.flatten();
        }
        let mut fields = self.fields().iter();
        let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
        std::str::from_utf8(length).ok()?.trim().parse().ok()
    }

    pub(super) fn has_begun(&self) -> bool {
        match &self.said {
            Said::Nothing => false,
            // What is said of a statement that is being prepared is no answer yet.
            #[cfg(feature = "postgres")]
            Said::Postgres(collected) => collected.has_begun(),
            _ => true,
        }
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::new(self.http().map_or(&[], |http| &http.fields))
    }

    pub(super) fn trailers(&self) -> Fields<'_> {
        Fields::new(self.http().map_or(&[], |http| &http.trailers))
    }

    pub(super) fn header_map(&self) -> HeaderMap {
        header_map(self.fields().block())
    }

    /// What is counted.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        match &self.said {
            Said::Nothing => Verdict::Ok,
            Said::Http(http) => Verdict::Status(http.status),
            #[cfg(feature = "redis")]
            Said::Redis(replies) => replies.verdict(),
            #[cfg(feature = "postgres")]
            Said::Postgres(collected) => {
                collected.results().error().map_or(Verdict::Ok, |error| Verdict::Error(error.code()))
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self.verdict() {
            // The machine lets nothing else through.
            Verdict::Status(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Verdict::Ok => StatusCode::OK,
            Verdict::Error(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn reason(&self) -> Cow<'_, str> {
        match (self.http(), self.verdict()) {
            (Some(http), _) => String::from_utf8_lossy(&http.reason),
            (None, Verdict::Error(code)) => code.into(),
            (None, _) => "OK".into(),
        }
    }

    pub(super) fn version(&self) -> Version {
        match &self.said {
            Said::Nothing => Version::Http11,
            Said::Http(http) => http.version.unwrap_or(Version::Http11),
            #[cfg(feature = "redis")]
            Said::Redis(_) => self.version.unwrap_or(Version::Resp2),
            #[cfg(feature = "postgres")]
            Said::Postgres(_) => self.version.unwrap_or(Version::Postgres30),
        }
    }
}

pub(super) fn header_map(block: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in Fields::new(block).iter() {
        // What httparse let through and this type does not take is no header that anybody asks for.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}
