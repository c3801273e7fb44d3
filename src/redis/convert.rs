//! Replies as types of Rust. What a reply says is never guessed: a value that is not what was wanted is an error that
//! names both. Nothing here knows which command it answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::{ErrorReply, Value};

/// Why a reply cannot be read as what was wanted. Shows nothing of the reply but what kind of value it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReadError {
    /// The server said no.
    Server(ErrorReply),
    /// The reply is something else.
    Unexpected {
        /// What was wanted: `an integer`.
        wanted: &'static str,
        /// What came: `a string of 5 bytes`.
        got: String,
    },
}

impl ReadError {
    fn unexpected(wanted: &'static str, value: &Value) -> Self {
        let got = match value.plain() {
            Value::Null => "nil".into(),
            Value::Simple(text) => format!("a status of {} bytes", text.len()),
            Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => format!("a string of {} bytes", bytes.len()),
            Value::Integer(_) => "an integer".into(),
            Value::Double(_) => "a double".into(),
            Value::Boolean(_) => "a boolean".into(),
            Value::BigNumber(_) => "a big number".into(),
            Value::Array(values) => format!("an array of {}", values.len()),
            Value::Set(values) => format!("a set of {}", values.len()),
            Value::Map(pairs) => format!("a map of {}", pairs.len()),
            Value::Push(values) => format!("a push of {}", values.len()),
            _ => "something else".into(),
        };
        ReadError::Unexpected { wanted, got }
    }

    /// It is not what the command answers.
    pub(super) fn strange(wanted: &'static str) -> Self {
        ReadError::Unexpected { wanted, got: "something else".into() }
    }

    /// The code with which the server said no: `WRONGTYPE`, `MOVED`, `ERR`.
    pub fn code(&self) -> Option<&str> {
        match self {
            ReadError::Server(error) => std::str::from_utf8(error.as_ref().code()).ok(),
            _ => None,
        }
    }

    /// What the server said behind the code.
    pub fn message(&self) -> Option<&str> {
        match self {
            ReadError::Server(error) => std::str::from_utf8(error.as_ref().message()).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Server(error) => write!(f, "the server said: {error}"),
            ReadError::Unexpected { wanted, got } => write!(f, "wanted {wanted}, and the reply is {got}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// What a reply can be read as.
///
/// | type | reply |
/// |---|---|
/// | [`Value`] | any, errors too |
/// | `()` | any but an error |
/// | `bool` | a boolean, 1 or 0, `OK`, nil (which is false) |
/// | integers | an integer, or a string that is one |
/// | `f64`, `f32` | a double, an integer, or a string that is one |
/// | `String` | a string in UTF-8, a status, a number |
/// | `Vec<u8>` | a string, a status |
/// | `Option<T>` | nil, or what `T` is read from: an empty string or list is not nil |
/// | `Vec<T>`, `HashSet<T>`, `BTreeSet<T>` | an array or a set |
/// | `HashMap<K, V>`, `BTreeMap<K, V>`, `Vec<(K, V)>` | a map; an array of pairs, or of keys and values in turn |
/// | tuples up to eight | an array of as many values |
/// | [`StreamEntry`] | an entry of a stream |
/// | `Result<T, ErrorReply>` | an error of the server, or what `T` is read from |
///
/// ```
/// use aquests::redis::{FromValue, Value};
///
/// let page = Value::Array(vec![Value::Bulk(b"17".into()), Value::Array(vec![Value::Bulk(b"user:1".into())])]);
/// let (cursor, keys): (u64, Vec<String>) = FromValue::from_value(page)?;
/// assert_eq!((cursor, keys[0].as_str()), (17, "user:1"));
/// # Ok::<(), aquests::redis::ReadError>(())
/// ```
pub trait FromValue: Sized {
    /// Reads a reply.
    fn from_value(value: Value) -> Result<Self, ReadError>;

    /// Reads many of them: bytes are one string, and tuples may stand in an array one after the other.
    #[doc(hidden)]
    fn vec_from_value(value: Value) -> Result<Vec<Self>, ReadError> {
        list(value, "an array")?.into_iter().map(Self::from_value).collect()
    }
}

/// The value without its attributes; an error of the server is one.
fn plain(value: Value) -> Result<Value, ReadError> {
    match value {
        Value::Attributed { value, .. } => plain(*value),
        Value::Error(error) => Err(ReadError::Server(error)),
        value => Ok(value),
    }
}

fn list(value: Value, wanted: &'static str) -> Result<Vec<Value>, ReadError> {
    match plain(value)? {
        Value::Array(values) | Value::Set(values) | Value::Push(values) => Ok(values),
        value => Err(ReadError::unexpected(wanted, &value)),
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        Ok(value)
    }
}

impl FromValue for () {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        plain(value).map(drop)
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        match plain(value)? {
            Value::Boolean(is) => Ok(is),
            Value::Integer(number @ 0..=1) => Ok(number == 1),
            Value::Simple(text) if text == b"OK" => Ok(true),
            // What SET says with NX where there is a value.
            Value::Null => Ok(false),
            Value::Bulk(text) if matches!(&*text, b"0" | b"1") => Ok(text == b"1"),
            value => Err(ReadError::unexpected("true or false", &value)),
        }
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self, ReadError> {
                integer(value, concat!("an integer that fits into ", stringify!($type)))
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize }

fn integer<T: TryFrom<i64> + std::str::FromStr>(value: Value, wanted: &'static str) -> Result<T, ReadError> {
    let value = plain(value)?;
    let number = match &value {
        Value::Integer(number) => T::try_from(*number).ok(),
        Value::BigNumber(digits) => digits.parse().ok(),
        value => value.as_str().and_then(|digits| digits.parse().ok()),
    };
    number.ok_or_else(|| ReadError::unexpected(wanted, &value))
}

impl FromValue for u8 {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        integer(value, "an integer that fits into u8")
    }

    /// Bytes are a string, and never a list of numbers.
    fn vec_from_value(value: Value) -> Result<Vec<Self>, ReadError> {
        match plain(value)? {
            Value::Bulk(bytes) | Value::Simple(bytes) | Value::Verbatim { text: bytes, .. } => Ok(bytes),
            value => match number(&value) {
                Some(digits) => Ok(digits.into_bytes()),
                None => Err(ReadError::unexpected("a string", &value)),
            },
        }
    }
}

/// The digits of a number: where RESP3 has one, RESP2 has a string.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Double(number) => Some(number.to_string()),
        Value::BigNumber(digits) => Some(digits.clone()),
        _ => None,
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        let value = plain(value)?;
        value.as_f64().ok_or_else(|| ReadError::unexpected("a number", &value))
    }
}

impl FromValue for f32 {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        f64::from_value(value).map(|number| number as f32)
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        match plain(value)? {
            Value::Bulk(bytes) | Value::Simple(bytes) | Value::Verbatim { text: bytes, .. } => String::from_utf8(bytes)
                .map_err(|error| ReadError::unexpected("a string in UTF-8", &Value::Bulk(error.into_bytes()))),
            value => number(&value).ok_or_else(|| ReadError::unexpected("a string", &value)),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: FromValue> FromValue for Result<T, ErrorReply> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        match T::from_value(value) {
            Ok(value) => Ok(Ok(value)),
            Err(ReadError::Server(error)) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        T::vec_from_value(value)
    }
}

impl<T: FromValue + Eq + Hash, S: BuildHasher + Default> FromValue for HashSet<T, S> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        T::vec_from_value(value).map(|values| values.into_iter().collect())
    }
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        T::vec_from_value(value).map(|values| values.into_iter().collect())
    }
}

impl<K: FromValue + Eq + Hash, V: FromValue, S: BuildHasher + Default> FromValue for HashMap<K, V, S> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        <(K, V)>::vec_from_value(value).map(|pairs| pairs.into_iter().collect())
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        <(K, V)>::vec_from_value(value).map(|pairs| pairs.into_iter().collect())
    }
}

fn is_list(value: &Value) -> bool {
    value.as_slice().is_some()
}

macro_rules! tuples {
    ($($count:literal $wanted:literal $($name:ident)*;)*) => {$(
        impl<$($name: FromValue),*> FromValue for ($($name,)*) {
            fn from_value(value: Value) -> Result<Self, ReadError> {
                let values = list(value, $wanted)?;
                let mut values = match <[Value; $count]>::try_from(values) {
                    Ok(values) => values.into_iter(),
                    Err(values) => return Err(ReadError::unexpected($wanted, &Value::Array(values))),
                };
                // There are as many as there are names.
                Ok(($($name::from_value(values.next().unwrap_or(Value::Null))?,)*))
            }

            fn vec_from_value(value: Value) -> Result<Vec<Self>, ReadError> {
                let values = match plain(value)? {
                    Value::Map(pairs) if $count == 2 => {
                        let pair = |(key, value)| Self::from_value(Value::Array(vec![key, value]));
                        return pairs.into_iter().map(pair).collect();
                    }
                    value => list(value, concat!("an array of ", $wanted))?,
                };
                if values.iter().all(is_list) {
                    return values.into_iter().map(Self::from_value).collect();
                }
                if !values.len().is_multiple_of($count) {
                    return Err(ReadError::unexpected(concat!("an array of ", $wanted), &Value::Array(values)));
                }
                let (mut values, mut found) = (values.into_iter(), Vec::new());
                while values.len() > 0 {
                    found.push(Self::from_value(Value::Array(values.by_ref().take($count).collect()))?);
                }
                Ok(found)
            }
        }
    )*};
}

tuples! {
    1 "one value" A;
    2 "two values" A B;
    3 "three values" A B C;
    4 "four values" A B C D;
    5 "five values" A B C D E;
    6 "six values" A B C D E F;
    7 "seven values" A B C D E F G;
    8 "eight values" A B C D E F G H;
}

/// An entry of a stream, as XRANGE, XREAD and XREADGROUP have them: `Vec<StreamEntry>`, and
/// `Option<Vec<(String, Vec<StreamEntry>)>>` for several streams, which is `None` when nothing came in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Milliseconds and a number: `1526919030474-55`.
    pub id: String,
    /// Names and values in their order, a name perhaps several times. Empty of an entry that was deleted since.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StreamEntry {
    /// The first field of a name.
    pub fn field(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

impl FromValue for StreamEntry {
    fn from_value(value: Value) -> Result<Self, ReadError> {
        let (id, fields) = <(String, Option<_>)>::from_value(value)?;
        Ok(Self { id, fields: fields.unwrap_or_default() })
    }
}
