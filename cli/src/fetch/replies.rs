//! What `aquests fetch` prints of Redis, in the forms of `redis-cli`: as people read it, raw, or as JSON. A long string is
//! printed as it comes, all else when it is whole. Knows no client.

use std::collections::BTreeMap;
use std::io::Write;
use std::mem;

use aquests::Flow;
use aquests::redis::Value;

use super::printer::End;
use crate::output::{Reader, Sink, note};

/// How a reply looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `"a\nb"`, `(integer) 1`, `1) …`, `(nil)`
    Human,
    /// The bytes, and a line for each item.
    Raw,
    Json,
}

/// So much is printed at once.
const ENOUGH: usize = 64 << 10;
/// So much of a string waits for its turn before it is held.
const AHEAD: usize = 1 << 20;

/// Prints replies in the order in which they come.
pub(super) struct Replies {
    form: Form,
    sink: Sink,
    /// What is to be printed next.
    out: Vec<u8>,
    /// The beginning of a string was printed, and its end was not.
    open: bool,
    /// The number of the command whose reply is to be printed next.
    next: u64,
    /// Strings that came before the replies in front of them were printed.
    ahead: BTreeMap<u64, Vec<u8>>,
    /// One of them is so long that it waits.
    held: bool,
    end: Option<End>,
    /// A command was not done, or was not answered.
    pub(super) failed: bool,
    /// Messages that may still come.
    pub(super) left: Option<u64>,
    /// Why no more messages come.
    pub(super) lost: Option<String>,
    /// Messages wait for the answer to what asked for them.
    pub(super) holds: bool,
    messages: Vec<Value>,
}

impl Replies {
    pub(super) fn new(form: Form, left: Option<u64>) -> Self {
        Self {
            form,
            sink: Sink::Stdout,
            out: Vec::new(),
            open: false,
            next: 0,
            ahead: BTreeMap::new(),
            held: false,
            end: None,
            failed: false,
            left,
            lost: None,
            holds: false,
            messages: Vec::new(),
        }
    }

    /// Prints there.
    pub(super) fn print_to(&mut self, sink: Sink) {
        self.sink = sink;
    }

    /// Part of the string came that answers a command.
    pub(super) fn piece(&mut self, number: u64, bytes: &[u8]) -> Flow {
        if number == self.next {
            self.print(bytes);
            return if self.end.is_some() { Flow::Cancel } else { Flow::Continue };
        }
        let ahead = self.ahead.entry(number).or_default();
        ahead.extend_from_slice(bytes);
        if ahead.len() < AHEAD {
            return Flow::Continue;
        }
        self.held = true;
        Flow::Hold
    }

    /// The number of the command whose reply is to be printed next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The reply of the next command is printed whole. `true`: what the one behind it waits with may go on.
    pub(super) fn advance(&mut self) -> bool {
        self.next += 1;
        match self.ahead.remove(&self.next) {
            Some(bytes) => {
                self.print(&bytes);
                mem::take(&mut self.held)
            }
            None => false,
        }
    }

    fn print(&mut self, bytes: &[u8]) {
        if !mem::replace(&mut self.open, true) && self.form != Form::Raw {
            self.out.push(b'"');
        }
        escape(self.form, bytes, &mut self.out);
        if self.out.len() >= ENOUGH {
            self.flush();
        }
    }

    /// A reply is whole. Of a string that came in pieces this is the end.
    pub(super) fn reply(&mut self, value: &Value) {
        match value {
            Value::Bulk(_) if mem::take(&mut self.open) => {
                self.out.extend_from_slice(if self.form == Form::Raw { b"\n" } else { b"\"\n" });
            }
            Value::Error(error) => self.fail(&format!("(error) {error}")),
            value => self.value(value),
        }
        if self.out.len() >= ENOUGH {
            self.flush();
        }
    }

    fn value(&mut self, value: &Value) {
        match self.form {
            Form::Human => human(value, "", &mut self.out),
            Form::Raw => {
                raw(value, &mut self.out);
                self.out.push(b'\n');
            }
            Form::Json => {
                json(value, &mut self.out);
                self.out.push(b'\n');
            }
        }
    }

    /// A message came, which answers no command.
    pub(super) fn message(&mut self, value: Value) {
        if self.holds {
            // As many as one turn brings.
            self.messages.push(value);
            return;
        }
        if self.left == Some(0) {
            return;
        }
        if is_published(&value)
            && let Some(left) = &mut self.left
        {
            *left -= 1;
        }
        self.value(&value);
        // Who reads it waits for it.
        self.flush();
    }

    /// What messages waited for was printed.
    pub(super) fn let_go(&mut self) {
        self.holds = false;
        mem::take(&mut self.messages).into_iter().for_each(|value| self.message(value));
    }

    /// Something did not work, which is said after what was printed before it.
    pub(super) fn fail(&mut self, words: &str) {
        // As far as it came.
        if mem::take(&mut self.open) {
            self.out.push(b'\n');
        }
        self.failed = true;
        self.say(words);
    }

    /// Says something on standard error, after what was printed before it.
    pub(super) fn say(&mut self, words: &str) {
        self.flush();
        note(words);
    }

    pub(super) fn flush(&mut self) {
        if self.out.is_empty() || self.end.is_some() {
            return;
        }
        match self.sink.write(&self.out) {
            Ok(Reader::There) => {}
            Ok(Reader::Gone) => self.end = Some(End::ReaderGone),
            Err(failure) => self.end = Some(End::Failed(failure)),
        }
        self.out.clear();
    }

    /// Nothing more can be printed.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Why nothing more can be printed, if that is so.
    pub(super) fn end(&mut self) -> Option<End> {
        self.end.take()
    }
}

/// Somebody published it; a subscription that began or ended is none.
fn is_published(value: &Value) -> bool {
    let (Value::Push(items) | Value::Array(items)) = value else { return false };
    matches!(items.first(), Some(Value::Bulk(kind)) if [&b"message"[..], b"pmessage", b"smessage"].contains(&&**kind))
}

/// The inside of a string.
fn escape(form: Form, bytes: &[u8], out: &mut Vec<u8>) {
    match form {
        Form::Raw => out.extend_from_slice(bytes),
        Form::Human => bytes.iter().for_each(|byte| match byte {
            b'\\' | b'"' => out.extend([b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            // Writing to a Vec cannot fail.
            byte => drop(write!(out, "\\x{byte:02x}")),
        }),
        // RFC 8259 §7. Bytes that are no UTF-8 stay as they are, as with `redis-cli`: a string may be anything.
        Form::Json => bytes.iter().for_each(|byte| match byte {
            b'\\' | b'"' => out.extend([b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..0x20 => drop(write!(out, "\\u{byte:04x}")),
            byte => out.push(*byte),
        }),
    }
}

/// `prefix` stands in front of every line but the first.
fn human(value: &Value, prefix: &str, out: &mut Vec<u8>) {
    let _ = match value {
        Value::Null => writeln!(out, "(nil)"),
        Value::Integer(number) => writeln!(out, "(integer) {number}"),
        Value::Double(number) => writeln!(out, "(double) {number}"),
        Value::BigNumber(digits) => writeln!(out, "(big number) {digits}"),
        Value::Boolean(boolean) => writeln!(out, "({boolean})"),
        Value::Error(error) => writeln!(out, "(error) {error}"),
        Value::Bulk(text) => {
            out.push(b'"');
            escape(Form::Human, text, out);
            writeln!(out, "\"")
        }
        Value::Simple(text) | Value::Verbatim { text, .. } => {
            out.extend_from_slice(text);
            writeln!(out)
        }
        Value::Attributed { value, .. } => return human(value, prefix, out),
        Value::Array(items) => return list(items, ("array", ')'), prefix, out),
        Value::Push(items) => return list(items, ("push", ')'), prefix, out),
        Value::Set(items) => return list(items, ("set", '~'), prefix, out),
        Value::Map(pairs) if pairs.is_empty() => writeln!(out, "(empty hash)"),
        Value::Map(pairs) => {
            let (width, inner) = indent(pairs.len(), prefix);
            for (at, (key, value)) in pairs.iter().enumerate() {
                let _ = write!(out, "{}{:>width$}# ", if at == 0 { "" } else { prefix }, at + 1);
                human(key, &inner, out);
                out.pop();
                out.extend_from_slice(b" => ");
                human(value, &inner, out);
            }
            return;
        }
        _ => writeln!(out, "(unknown)"),
    };
}

fn list(items: &[Value], (name, mark): (&str, char), prefix: &str, out: &mut Vec<u8>) {
    if items.is_empty() {
        let _ = writeln!(out, "(empty {name})");
    }
    let (width, inner) = indent(items.len(), prefix);
    for (at, item) in items.iter().enumerate() {
        let _ = write!(out, "{}{:>width$}{mark} ", if at == 0 { "" } else { prefix }, at + 1);
        human(item, &inner, out);
    }
}

/// How wide the numbers of so many items are, and what stands in front of the lines of one.
fn indent(items: usize, prefix: &str) -> (usize, String) {
    let width = items.to_string().len();
    (width, format!("{prefix}{}", " ".repeat(width + 2)))
}

fn raw(value: &Value, out: &mut Vec<u8>) {
    let _ = match value {
        Value::Null => Ok(()),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Double(number) => write!(out, "{number}"),
        Value::BigNumber(digits) => write!(out, "{digits}"),
        Value::Boolean(boolean) => write!(out, "({boolean})"),
        Value::Error(error) => writeln!(out, "{error}"),
        Value::Bulk(text) | Value::Simple(text) | Value::Verbatim { text, .. } => out.write_all(text),
        Value::Attributed { value, .. } => return raw(value, out),
        Value::Array(items) | Value::Push(items) | Value::Set(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b'\n');
                }
                raw(item, out);
            }
            return;
        }
        Value::Map(pairs) => {
            for (at, (key, value)) in pairs.iter().enumerate() {
                if at > 0 {
                    out.push(b'\n');
                }
                raw(key, out);
                out.push(b' ');
                raw(value, out);
            }
            return;
        }
        _ => Ok(()),
    };
}

fn json(value: &Value, out: &mut Vec<u8>) {
    let mut text = |text: &[u8]| {
        out.push(b'"');
        escape(Form::Json, text, out);
        out.push(b'"');
    };
    let _ = match value {
        Value::Bulk(bytes) | Value::Simple(bytes) | Value::Verbatim { text: bytes, .. } => return text(bytes),
        // JSON has none of them.
        Value::Double(number) if !number.is_finite() => return text(number.to_string().as_bytes()),
        Value::Error(error) => {
            out.extend_from_slice(b"{\"error\":");
            json(&Value::Simple(error.to_string().into_bytes()), out);
            write!(out, "}}")
        }
        Value::Null => write!(out, "null"),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Double(number) => write!(out, "{number}"),
        Value::BigNumber(digits) => write!(out, "{digits}"),
        Value::Boolean(boolean) => write!(out, "{boolean}"),
        Value::Attributed { value, .. } => return json(value, out),
        Value::Array(items) | Value::Push(items) | Value::Set(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json(item, out);
            }
            write!(out, "]")
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (at, (key, value)) in pairs.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let mut name = Vec::new();
                // A name is a string, whatever it was.
                match key {
                    Value::Bulk(_) | Value::Simple(_) | Value::Verbatim { .. } => raw(key, &mut name),
                    key => json(key, &mut name),
                }
                json(&Value::Bulk(name), out);
                out.push(b':');
                json(value, out);
            }
            write!(out, "}}")
        }
        _ => write!(out, "null"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no server of the tests says.
    #[test]
    fn every_value_has_a_form() {
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        let pairs = vec![(bulk("a"), Value::Array(vec![bulk("b"), Value::Null]))];
        let value = Value::Attributed {
            attributes: vec![(bulk("ttl"), Value::Integer(1))],
            value: Box::new(Value::Array(vec![
                Value::BigNumber("-123".to_owned()),
                Value::Map(pairs),
                Value::Set(Vec::new()),
                Value::Double(f64::INFINITY),
            ])),
        };
        let mut forms = [Vec::new(), Vec::new(), Vec::new()];
        human(&value, "", &mut forms[0]);
        raw(&value, &mut forms[1]);
        json(&value, &mut forms[2]);
        let forms = forms.map(|form| String::from_utf8(form).unwrap());
        let nested = "2) 1# \"a\" => 1) \"b\"\n         2) (nil)\n";
        let nested = nested.replace("         2)", "      2)");
        assert_eq!(forms[0], format!("1) (big number) -123\n{nested}3) (empty set)\n4) (double) inf\n"));
        assert_eq!(forms[1], "-123\na b\n\n\ninf");
        assert_eq!(forms[2], r#"[-123,{"a":["b",null]},[],"inf"]"#);
    }
}
