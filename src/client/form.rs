//! Forms with files: `multipart/form-data` (RFC 7578), written as browsers do. Files are named here and read where bodies
//! are sent.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use super::upload::Segment;

/// A form with files, to be sent with [`Request::multipart`](super::Request::multipart).
///
/// Files are opened when it is their turn and read as they are sent, never whole. Where the lengths of all of them are
/// known beforehand, as with plain files, so is the length of the body; else it is sent in chunks.
///
/// Names and filenames are sent as UTF-8, with `"` and line breaks as `%22`, `%0D` and `%0A` (WHATWG HTML, "multipart form
/// data"). Values are sent as they are. Between the parts stand 128 random bits, which no content can guess.
///
/// ```
/// use aquests::{Form, Request};
///
/// let form = Form::new().text("author", "James Milton").file("file", "mycar.jpg");
/// let request = Request::post("http://127.0.0.1:5000/book").multipart(form);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a form does nothing until it is sent with a request"]
pub struct Form {
    parts: Vec<(String, Part)>,
}

/// A part of a [`Form`], with what is to be said of it.
#[derive(Clone)]
#[must_use = "a part does nothing until it is in a form"]
pub struct Part {
    content: Content,
    file_name: Option<String>,
    content_type: Option<String>,
}

#[derive(Clone)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Part {
    /// Bytes, or text. Without a file name it is a plain field.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { content: Content::Bytes(bytes.into()), file_name: None, content_type: None }
    }

    /// A file, under its own name, as `application/octet-stream`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { content: Content::File(path), file_name: Some(name), content_type: None }
    }

    /// Under this file name.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// As this type of content. Line breaks in it become spaces.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }
}

// What is in it may be a secret.
impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Part");
        match &self.content {
            Content::Bytes(bytes) => debug.field("bytes", &bytes.len()),
            Content::File(path) => debug.field("file", path),
        };
        debug.field("file_name", &self.file_name).field("content_type", &self.content_type).finish()
    }
}

impl Form {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.part(name, Part::bytes(value.into()))
    }

    /// Adds a file, under its own name.
    pub fn file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        self.part(name, Part::file(path.as_ref()))
    }

    /// Adds any part.
    pub fn part(mut self, name: impl Into<String>, part: Part) -> Self {
        self.parts.push((name.into(), part));
        self
    }

    /// Its content type, and what it is as a body.
    pub(super) fn into_segments(self) -> (String, Vec<Segment>) {
        let boundary = boundary();
        let mut segments = Vec::with_capacity(2 * self.parts.len() + 1);
        let mut text = String::new();
        for (name, part) in self.parts {
            let Part { content, file_name, content_type } = part;
            // Writing to a String cannot fail.
            let _ = write!(text, "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", escape(&name));
            if let Some(file_name) = &file_name {
                let _ = write!(text, "; filename=\"{}\"", escape(file_name));
            }
            let usual = file_name.map(|_| "application/octet-stream".to_owned());
            if let Some(content_type) = content_type.or(usual) {
                let _ = write!(text, "\r\ncontent-type: {}", content_type.replace(['\r', '\n'], " "));
            }
            text.push_str("\r\n\r\n");
            segments.push(Segment::Bytes(std::mem::take(&mut text).into_bytes()));
            segments.push(match content {
                Content::Bytes(bytes) => Segment::Bytes(bytes),
                Content::File(path) => Segment::File(path),
            });
            text.push_str("\r\n");
        }
        let _ = write!(text, "--{boundary}--\r\n");
        segments.push(Segment::Bytes(text.into_bytes()));
        (format!("multipart/form-data; boundary={boundary}"), segments)
    }
}

/// The keys of a `RandomState` come from the system's randomness, and what it hashes to does not tell them.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("aquests-{:016x}{:016x}", random(), random())
}

fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '"' => escaped.push_str("%22"),
            '\r' => escaped.push_str("%0D"),
            '\n' => escaped.push_str("%0A"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a form of bytes, with `B` where its boundary stands.
    fn written(form: Form) -> String {
        let (content_type, segments) = form.into_segments();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("RFC 7578 §4.1");
        let all = segments.into_iter().map(|segment| match segment {
            Segment::Bytes(bytes) => String::from_utf8(bytes).expect("text"),
            Segment::File(path) => format!("<{}>", path.display()),
        });
        all.collect::<String>().replace(boundary, "B")
    }

    #[test]
    fn parts_stand_between_boundaries() {
        let form = Form::new()
            .text("author", "James Milton")
            .file("file", "/tmp/my car.jpg")
            .part("raw", Part::bytes("x").file_name("x.bin").content_type("a/b"));
        assert_eq!(
            written(form),
            "--B\r\ncontent-disposition: form-data; name=\"author\"\r\n\r\nJames Milton\r\n\
             --B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"my car.jpg\"\r\n\
             content-type: application/octet-stream\r\n\r\n</tmp/my car.jpg>\r\n\
             --B\r\ncontent-disposition: form-data; name=\"raw\"; filename=\"x.bin\"\r\n\
             content-type: a/b\r\n\r\nx\r\n--B--\r\n"
        );
        assert_eq!(written(Form::new()), "--B--\r\n");
    }

    #[test]
    fn no_name_breaks_out_of_its_quotes() {
        let form = Form::new().part("a\"\r\nb", Part::bytes("").file_name("\"; é\n").content_type("t/t\r\nx: y"));
        assert!(written(form).contains("name=\"a%22%0D%0Ab\"; filename=\"%22; é%0A\"\r\ncontent-type: t/t  x: y\r\n"));
    }

    #[test]
    fn no_two_boundaries_are_the_same() {
        let all: std::collections::BTreeSet<_> = (0..1_000).map(|_| boundary()).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.iter().all(|boundary| boundary.len() <= 70), "RFC 2046 §5.1.1");
    }
}
