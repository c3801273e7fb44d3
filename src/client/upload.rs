//! Bodies on their way out: where their bytes come from, and whether they keep what was promised. When they are sent is
//! decided by whoever asks for them; no socket and no exchange is known here.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::writer::Outlet;

/// A body that is not in memory as a whole.
pub(super) struct Upload {
    source: Source,
    /// Bytes that were promised; `None`: it ends when its source does.
    length: Option<u64>,
    /// Bytes that were handed over.
    given: u64,
    /// The source was asked for bytes.
    begun: bool,
}

enum Source {
    Reader(Box<dyn Read + Send>),
    Segments(Segments),
    Outlet(Outlet),
}

/// What stands one after the other in a body.
pub(super) enum Segment {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// Segments, and how far they were read.
struct Segments {
    all: Vec<Segment>,
    /// The lengths of the files among them, as they were when the body was promised. `None`: not known before its end.
    lengths: Vec<Option<u64>>,
    at: usize,
    /// Bytes of the segment at `at` that were read.
    offset: u64,
    file: Option<File>,
}

/// What a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes stand in the buffer; `last`: nothing follows.
    Data { bytes: usize, last: bool },
    /// Nothing yet, and it will be told when there is.
    Later,
}

/// What a source read: that many bytes, and whether it is known to have ended.
type Filled = (usize, bool);

impl Upload {
    pub(super) fn reader(reader: impl Read + Send + 'static, length: Option<u64>) -> Self {
        Self::new(Source::Reader(Box::new(reader)), length)
    }

    pub(super) fn segments(all: Vec<Segment>) -> Self {
        Self::new(Source::Segments(Segments { all, lengths: Vec::new(), at: 0, offset: 0, file: None }), None)
    }

    pub(super) fn outlet(outlet: Outlet, length: Option<u64>) -> Self {
        Self::new(Source::Outlet(outlet), length)
    }

    fn new(source: Source, length: Option<u64>) -> Self {
        Self { source, length, given: 0, begun: false }
    }

    /// Whoever writes it piece by piece.
    pub(super) fn as_outlet(&self) -> Option<&Outlet> {
        match &self.source {
            Source::Outlet(outlet) => Some(outlet),
            _ => None,
        }
    }

    /// Makes it ready to be sent from its start, and says how long it will be.
    pub(super) fn open(&mut self) -> io::Result<Option<u64>> {
        if let Source::Segments(segments) = &mut self.source {
            self.length = segments.open()?;
        }
        Ok(self.length)
    }

    /// How long it is, once that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that were handed over.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Goes back to its start. `false`: bytes were taken out of a source that has them only once.
    pub(super) fn rewind(&mut self) -> bool {
        let again = matches!(&self.source, Source::Segments(all) if all.lengths.iter().all(Option::is_some));
        if self.begun && !again {
            return false;
        }
        (self.given, self.begun) = (0, false);
        true
    }

    /// Reads the next bytes into `buffer`, which is empty only where none are promised.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Piece> {
        self.begun = true;
        let Some(length) = self.length else {
            let Some((bytes, last)) = self.fill(buffer)? else { return Ok(Piece::Later) };
            self.given += bytes as u64;
            return Ok(Piece::Data { bytes, last });
        };
        let left = length - self.given;
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut bytes = 0;
        if room > 0 {
            let Some((filled, ended)) = self.fill(&mut buffer[..room])? else { return Ok(Piece::Later) };
            bytes = filled;
            if ended && (bytes as u64) < left {
                let given = self.given + bytes as u64;
                let words = format!("its source ended after {given} of the {length} bytes that were promised");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words));
            }
        }
        let last = bytes as u64 == left;
        // Before the last of it leaves: a source that has more is not what was meant.
        if last && self.has_more()? {
            let words = format!("its source has more than the {length} bytes that were promised");
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        self.given += bytes as u64;
        Ok(Piece::Data { bytes, last })
    }

    /// Reads what there is. `None`: nothing yet.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Option<Filled>> {
        match &mut self.source {
            Source::Reader(reader) => match read(reader, buffer) {
                Ok(bytes) => Ok(Some((bytes, bytes == 0 && !buffer.is_empty()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            },
            Source::Segments(segments) => segments.read(buffer).map(Some),
            Source::Outlet(outlet) => outlet.read(buffer),
        }
    }

    fn has_more(&mut self) -> io::Result<bool> {
        match &mut self.source {
            Source::Reader(reader) => match read(reader, &mut [0]) {
                Ok(bytes) => Ok(bytes > 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error),
            },
            // Neither gives more than it promised.
            Source::Segments(_) | Source::Outlet(_) => Ok(false),
        }
    }
}

impl Segments {
    /// The first file is opened now, so that what is promised is what is sent; the others when it is their turn.
    fn open(&mut self) -> io::Result<Option<u64>> {
        (self.at, self.offset, self.file) = (0, 0, None);
        self.lengths.clear();
        for (at, segment) in self.all.iter().enumerate() {
            self.lengths.push(match segment {
                Segment::Bytes(bytes) => Some(bytes.len() as u64),
                Segment::File(path) => {
                    let metadata = if at == 0 {
                        let file = File::open(path).map_err(|error| named(path, &error))?;
                        let metadata = file.metadata();
                        self.file = Some(file);
                        metadata
                    } else {
                        fs::metadata(path)
                    };
                    let metadata = metadata.map_err(|error| named(path, &error))?;
                    if metadata.is_dir() {
                        return Err(named(path, &io::ErrorKind::IsADirectory.into()));
                    }
                    // What is no plain file (a pipe, a device) has no length that means anything, and neither has what
                    // claims to be one and empty, as in /proc, where something can be read.
                    let known = metadata.is_file() && (metadata.len() > 0 || is_empty(path)?);
                    known.then_some(metadata.len())
                }
            });
        }
        Ok(self.lengths.iter().copied().sum())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        let mut filled = 0;
        while let Some(segment) = self.all.get(self.at) {
            let length = self.lengths[self.at];
            let left = length.map(|length| length - self.offset);
            let room =
                (buffer.len() - filled).min(left.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX)));
            if left == Some(0) {
                (self.at, self.offset, self.file) = (self.at + 1, 0, None);
                continue;
            }
            if room == 0 {
                break;
            }
            let room = &mut buffer[filled..filled + room];
            let bytes = match segment {
                Segment::Bytes(bytes) => {
                    room.copy_from_slice(&bytes[self.offset as usize..][..room.len()]);
                    room.len()
                }
                Segment::File(path) => {
                    let file = match &mut self.file {
                        Some(file) => file,
                        empty => empty.insert(File::open(path).map_err(|error| named(path, &error))?),
                    };
                    let bytes = read(file, room).map_err(|error| named(path, &error))?;
                    if bytes == 0 && length.is_some() {
                        let words = format!("{} became shorter while it was sent", path.display());
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words));
                    }
                    if bytes == 0 {
                        (self.at, self.offset, self.file) = (self.at + 1, 0, None);
                        continue;
                    }
                    bytes
                }
            };
            filled += bytes;
            self.offset += bytes as u64;
        }
        Ok((filled, self.at == self.all.len()))
    }
}

/// There is nothing in a file, whatever it says of its length.
fn is_empty(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path).map_err(|error| named(path, &error))?;
    read(&mut file, &mut [0]).map(|bytes| bytes == 0).map_err(|error| named(path, &error))
}

fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A reader that claims more than it was given room for is broken, and its bytes are anybody's.
            Ok(bytes) if bytes > buffer.len() => return Err(io::ErrorKind::InvalidData.into()),
            result => return result,
        }
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(upload: &mut Upload, room: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; room]);
        loop {
            match upload.read(&mut buffer)? {
                Piece::Data { bytes: count, last } => {
                    bytes.extend_from_slice(&buffer[..count]);
                    if last {
                        return Ok(bytes);
                    }
                }
                Piece::Later => panic!("it has nothing yet"),
            }
        }
    }

    #[test]
    fn a_reader_keeps_its_promise_or_fails() {
        for room in [1, 2, 3, 100] {
            for length in [None, Some(5)] {
                assert_eq!(all(&mut Upload::reader(&b"hello"[..], length), room).unwrap(), b"hello");
            }
            for (length, kind, words) in [
                (6, io::ErrorKind::UnexpectedEof, "ended after 5 of the 6 bytes"),
                (4, io::ErrorKind::InvalidData, "more than the 4 bytes"),
                (0, io::ErrorKind::InvalidData, "more than the 0 bytes"),
            ] {
                let error = all(&mut Upload::reader(&b"hello"[..], Some(length)), room).unwrap_err();
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains(words), "{error}");
            }
        }
        assert_eq!(all(&mut Upload::reader(io::empty(), Some(0)), 0).unwrap(), b"");
    }

    #[test]
    fn nothing_more_than_was_promised_is_handed_over_even_where_the_source_has_more() {
        let mut upload = Upload::reader(&b"hello"[..], Some(4));
        let mut buffer = [0; 3];
        assert_eq!(upload.read(&mut buffer).unwrap(), Piece::Data { bytes: 3, last: false });
        assert!(upload.read(&mut buffer).is_err());
        assert_eq!(upload.given(), 3, "the fourth byte would have made the body look whole");
    }

    #[test]
    fn segments_can_be_read_again_and_a_reader_cannot_once_it_was_asked() {
        let mut upload = Upload::segments(vec![Segment::Bytes(b"ab".to_vec()), Segment::Bytes(b"cde".to_vec())]);
        for room in [1, 2, 9] {
            assert_eq!(upload.open().unwrap(), Some(5));
            assert_eq!(all(&mut upload, room).unwrap(), b"abcde");
            assert!(upload.rewind());
        }
        let mut upload = Upload::reader(&b"hello"[..], None);
        assert!(upload.rewind(), "not one byte was taken");
        upload.read(&mut [0]).unwrap();
        assert!(!upload.rewind());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_hides_its_length_is_read_to_its_end_and_an_empty_one_is_known_to_be_empty() {
        let hidden = PathBuf::from("/proc/version");
        let content = fs::read(&hidden).unwrap();
        assert_eq!((fs::metadata(&hidden).unwrap().len(), content.is_empty()), (0, false));
        let around = |middle: PathBuf| {
            let bytes = |bytes: &[u8]| Segment::Bytes(bytes.to_vec());
            Upload::segments(vec![bytes(b"<"), Segment::File(middle), bytes(b">")])
        };
        for room in [1, 1000] {
            let mut upload = Upload::segments(vec![Segment::File(hidden.clone())]);
            assert_eq!(upload.open().unwrap(), None);
            assert_eq!(all(&mut upload, room).unwrap(), content);
            let mut upload = around(hidden.clone());
            assert_eq!(upload.open().unwrap(), None);
            assert_eq!(all(&mut upload, room).unwrap(), [b"<", &content[..], b">"].concat());
        }
        let empty = std::env::temp_dir().join(format!("aquests-empty-{}", std::process::id()));
        fs::write(&empty, "").unwrap();
        let mut upload = around(empty.clone());
        assert_eq!(upload.open().unwrap(), Some(2));
        assert_eq!(all(&mut upload, 9).unwrap(), b"<>");
        fs::remove_file(empty).unwrap();
    }

    #[test]
    fn what_is_no_file_is_said_with_its_path() {
        let error = Upload::segments(vec![Segment::File("/no/such/file".into())]).open().unwrap_err();
        assert!(error.to_string().starts_with("cannot read /no/such/file: "), "{error}");
        let folder = std::env::temp_dir();
        let error = Upload::segments(vec![Segment::File(folder)]).open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
