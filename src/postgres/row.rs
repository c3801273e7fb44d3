//! Rows and their columns: what came, looked into as types of Rust, as values, or as text. Nothing is copied until it is asked
//! for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{fmt, io};

use postgres_types::{FromSqlOwned, Kind, Type, WasNull, WrongType};

use super::own::{is_built_in, numbered, plain};
use super::{binary, text};
use crate::error::Error;
use crate::protocols::postgres::{self as wire, Format};

/// Why there are no words for a value of a type that was looked up.
const UNSAYABLE: &str = "it is not as its type was when that was looked up, or is too long as text";

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    name: Box<str>,
    pub(super) type_: Type,
    table: u32,
    attribute: u16,
    modifier: i32,
    pub(super) format: Format,
}

impl Column {
    pub(super) fn new(column: &wire::Column<'_>) -> Self {
        Self {
            name: String::from_utf8_lossy(column.name).into(),
            type_: numbered(column.type_oid),
            table: column.table,
            attribute: column.attribute,
            modifier: column.type_modifier,
            format: column.format,
        }
    }

    /// One of what is copied in binary.
    pub(super) fn of_copy(name: String, type_: Type) -> Self {
        Self { name: name.into(), type_, table: 0, attribute: 0, modifier: -1, format: Format::Binary }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type. One that is not built in (an enum, a composite, a domain, …) and was not [looked up](super::LookUp) is named
    /// by its number in `pg_type`.
    pub fn type_(&self) -> &Type {
        &self.type_
    }

    /// The table that it comes from, by its number in `pg_class`.
    pub fn table(&self) -> Option<u32> {
        Some(self.table).filter(|table| *table != 0)
    }

    /// Which column of that table it is, from 1.
    pub fn attribute(&self) -> Option<u16> {
        Some(self.attribute).filter(|attribute| *attribute != 0)
    }

    pub(super) fn is_binary(&self) -> bool {
        self.format == Format::Binary
    }

    /// What the type was given, such as a precision; negative for nothing.
    pub fn type_modifier(&self) -> i32 {
        self.modifier
    }
}

/// A row of a result.
///
/// Values of [`execute`](super::Postgres::execute) come in binary, and are read by `FromSql` of their type. Those of
/// [`query`](super::Postgres::query) come as text, and are read as well for `bool`, `int2` to `int8`, `oid`, `float4`,
/// `float8`, `numeric`, texts, `bytea`, `"char"`, `json`, `jsonb`, `xml`, `uuid`, `date`, `time`, `timestamp`,
/// `timestamptz` (with `datestyle` `ISO`, the server's default), `inet`, `cidr`, and arrays of them with one dimension.
/// Whatever comes as text can be had as a `String`, and so can all that is of a type that is not built in. The labels of an
/// enum are strings in arrays, too, and a domain is whatever it is made from.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [Column],
    fields: &'a [u8],
}

/// Names a column: by its place from 0, or by its name, the first that has it.
pub trait Index {
    /// Its place among the columns.
    fn find(&self, columns: &[Column]) -> Option<usize>;
}

impl Index for usize {
    fn find(&self, columns: &[Column]) -> Option<usize> {
        Some(*self).filter(|at| *at < columns.len())
    }
}

impl Index for str {
    fn find(&self, columns: &[Column]) -> Option<usize> {
        columns.iter().position(|column| &*column.name == self)
    }
}

impl Index for String {
    fn find(&self, columns: &[Column]) -> Option<usize> {
        Index::find(self.as_str(), columns)
    }
}

impl<T: Index + ?Sized> Index for &T {
    fn find(&self, columns: &[Column]) -> Option<usize> {
        (**self).find(columns)
    }
}

/// A value whose type nobody has to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// NULL.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int2`, `int4`, `int8`, `oid`.
    Int(i64),
    /// `float4`, `float8`.
    Float(f64),
    /// `bytea`, and values without a [text](Row::text).
    Bytes(Vec<u8>),
    /// Everything else, as the server writes it: a `numeric` loses nothing this way.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bool(it) => it.fmt(f),
            Value::Int(it) => it.fmt(f),
            Value::Float(it) => it.fmt(f),
            Value::Bytes(it) => {
                f.write_str("\\x")?;
                it.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Value::Text(it) => it.fmt(f),
        }
    }
}

impl<'a> Row<'a> {
    /// `fields`: each with its length before it, as many as there are columns.
    pub(super) fn new(columns: &'a [Column], fields: &'a [u8]) -> Self {
        Self { columns, fields }
    }

    /// Its fields, each with its length before it.
    pub(super) fn as_bytes(&self) -> &'a [u8] {
        self.fields
    }

    /// What its fields are.
    pub fn columns(&self) -> &'a [Column] {
        self.columns
    }

    /// The number of its fields.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// It has no fields.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// A value. Its type must take NULL where that can be: `Option<T>`.
    ///
    /// # Panics
    ///
    /// Where [`try_get`](Self::try_get) is an error.
    #[track_caller]
    pub fn get<T: FromSqlOwned>(&self, index: impl Index) -> T {
        match self.try_get(index) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// A value. An error for a column that there is not, for a type that is not the column's, and for NULL where the type
    /// has none.
    pub fn try_get<T: FromSqlOwned>(&self, index: impl Index) -> Result<T, Error> {
        let at = index.find(self.columns).ok_or_else(|| Error::invalid("the row has no such column"))?;
        let (column, raw) = (&self.columns[at], self.field(at));
        let type_ = &column.type_;
        let failed = |source| {
            let (name, wanted) = (type_.name(), std::any::type_name::<T>());
            let words = format!("the value of column {at} ({name}) cannot be had as {wanted}");
            Error::invalid(words).boxed_source(source)
        };
        let accepted = T::accepts(type_);
        let is_binary = column.format == Format::Binary;
        if !accepted
            && is_binary
            && let Some(plain) = plain(type_).filter(T::accepts)
        {
            return match raw {
                Some(raw) => T::from_sql(&plain, raw).map_err(failed),
                None => T::from_sql_null(&plain).map_err(|_| failed(WasNull.into())),
            };
        }
        // What the users of the server made can always be had as they would read it.
        let as_text = || (!is_binary || !is_built_in(type_.oid())) && T::accepts(&Type::TEXT);
        match raw {
            _ if !accepted && !as_text() => Err(failed(WrongType::new::<T>(type_.clone()).into())),
            None => T::from_sql_null(type_).map_err(|_| failed(WasNull.into())),
            Some(raw) if !accepted && is_binary => {
                let mut words = String::new();
                text::write(type_, raw, &mut words).ok_or_else(|| failed(UNSAYABLE.into()))?;
                T::from_sql(&Type::TEXT, words.as_bytes()).map_err(failed)
            }
            Some(raw) if !accepted => T::from_sql(&Type::TEXT, raw).map_err(failed),
            Some(raw) if is_binary => T::from_sql(type_, raw).map_err(failed),
            Some(raw) => {
                let mut written = Vec::new();
                let words = std::str::from_utf8(raw).map_err(|error| failed(error.into()))?;
                binary::write(type_, words, &mut written).ok_or_else(|| failed("it came as text".into()))?;
                T::from_sql(type_, &written).map_err(failed)
            }
        }
    }

    /// The bytes of a value, as they came; `None` for NULL, and for a column that there is not.
    pub fn raw(&self, index: impl Index) -> Option<&'a [u8]> {
        self.field(index.find(self.columns)?)
    }

    /// A value as the server writes it; `None` for NULL, for a column that there is not, and for what
    /// [`try_get`](Self::try_get) as a `String` is an error: a value that is not as its type was when that was
    /// [looked up](super::LookUp), or one of parts whose text is longer than 64 times its bytes and 256 KiB. Types that nobody here
    /// can write, and that are [wanted in binary](super::Postgres::binary_types), are hexadecimal.
    pub fn text(&self, index: impl Index) -> Option<Cow<'a, str>> {
        let at = index.find(self.columns)?;
        self.field(at).and_then(|raw| words(&self.columns[at], raw))
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<'a> {
        self.cells().map(|(column, raw)| value(column, raw))
    }

    /// The values by the names of their columns; of those with one name the last.
    pub fn map(&self) -> BTreeMap<&'a str, Value> {
        self.cells().map(|(column, raw)| (column.name(), value(column, raw))).collect()
    }

    /// Columns with their bytes.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&'a Column, Option<&'a [u8]>)> + use<'a> {
        self.columns.iter().zip(Fields(self.fields))
    }

    fn field(&self, at: usize) -> Option<&'a [u8]> {
        Fields(self.fields).nth(at).flatten()
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.cells().map(|(column, raw)| (column.name(), value(column, raw)))).finish()
    }
}

/// The words for a value. Hexadecimal for what is of one piece and cannot be said; `None` for what is made of others, or is
/// somebody's own, and is not as its type.
pub(super) fn words<'a>(column: &Column, raw: &'a [u8]) -> Option<Cow<'a, str>> {
    if column.format == Format::Text {
        return Some(String::from_utf8_lossy(raw));
    }
    let (type_, mut out) = (&column.type_, String::new());
    match text::write(type_, raw, &mut out) {
        Some(()) => Some(out.into()),
        None if text::is_written(type_) && *type_.kind() != Kind::Simple => None,
        None => Some(Value::Bytes(raw.to_vec()).to_string().into()),
    }
}

/// The same as bytes, which are those that came where they came as text.
pub(super) fn try_bytes<'a>(column: &Column, raw: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
    if column.format == Format::Text {
        return Ok(Cow::Borrowed(raw));
    }
    try_words(column, raw).map(|words| Cow::Owned(words.into_owned().into_bytes()))
}

/// The same for whoever writes all of a row.
pub(super) fn try_words<'a>(column: &Column, raw: &'a [u8]) -> io::Result<Cow<'a, str>> {
    let unsayable = || io::Error::new(io::ErrorKind::InvalidData, format!("a value of {}: {UNSAYABLE}", column.name));
    words(column, raw).ok_or_else(unsayable)
}

fn value(column: &Column, raw: Option<&[u8]>) -> Value {
    let Some(raw) = raw else { return Value::Null };
    let Some(words) = words(column, raw) else { return Value::Bytes(raw.to_vec()) };
    let known = match column.type_ {
        Type::BOOL => Some(Value::Bool(words == "t")),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => words.parse().map(Value::Int).ok(),
        Type::FLOAT4 | Type::FLOAT8 => words.parse().map(Value::Float).ok(),
        Type::BYTEA if column.format == Format::Binary => Some(Value::Bytes(raw.to_vec())),
        Type::BYTEA => {
            let mut bytes = Vec::new();
            binary::write(&Type::BYTEA, &words, &mut bytes).map(|()| Value::Bytes(bytes))
        }
        _ => None,
    };
    known.unwrap_or_else(|| Value::Text(words.into_owned()))
}

/// The fields of a row, each with its length before it, -1 for NULL. The machine has judged them.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let (field, rest) = rest.split_at_checked(usize::try_from(length).unwrap_or(0))?;
        self.0 = rest;
        Some((length >= 0).then_some(field))
    }
}
