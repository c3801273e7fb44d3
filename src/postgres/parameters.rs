//! Values for `$1`, `$2`, … as a program has them, kept until the types that the server wants are known.

use std::sync::Arc;

use bytes::BytesMut;
use postgres_types::{Format as Written, IsNull, Kind, ToSql, Type, WrongType};

use super::own::plain;
use crate::BoxError;
use crate::error::Error;
use crate::protocols::postgres::{Format, Parameter};

/// A value whose type is not written anywhere.
pub type BoxedValue = Box<dyn ToSql + Send + Sync>;

/// The values of a statement.
#[derive(Clone, Default)]
pub struct Parameters(Arc<[BoxedValue]>);

/// What can be the values of a statement: tuples of up to 16, arrays, [`Parameters`], and `()` for none. The values are
/// owned: they wait in a queue.
pub trait ToParams {
    /// The values.
    fn to_params(self) -> Parameters;
}

impl ToParams for Parameters {
    fn to_params(self) -> Parameters {
        self
    }
}

impl ToParams for () {
    fn to_params(self) -> Parameters {
        Parameters::default()
    }
}

/// Values of all sorts, as many as there are.
impl ToParams for Vec<BoxedValue> {
    fn to_params(self) -> Parameters {
        Parameters(self.into())
    }
}

/// Values that live as long as the program.
impl ToParams for &'static [&'static (dyn ToSql + Sync)] {
    fn to_params(self) -> Parameters {
        Parameters(self.iter().map(|value| Box::new(Lasting(*value)) as BoxedValue).collect())
    }
}

impl<T: ToSql + Send + Sync + 'static, const N: usize> ToParams for [T; N] {
    fn to_params(self) -> Parameters {
        Parameters(self.into_iter().map(|value| Box::new(value) as BoxedValue).collect())
    }
}

macro_rules! tuples {
    ($first:ident $(, $rest:ident)*) => {
        impl<$first: ToSql + Send + Sync + 'static, $($rest: ToSql + Send + Sync + 'static),*> ToParams for ($first, $($rest,)*) {
            fn to_params(self) -> Parameters {
                #[allow(non_snake_case)]
                let ($first, $($rest,)*) = self;
                Parameters(Arc::new([Box::new($first) as BoxedValue, $(Box::new($rest)),*]))
            }
        }
        tuples!($($rest),*);
    };
    () => {};
}

tuples!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P);

/// A reference that has no need of an owner.
#[derive(Debug)]
struct Lasting(&'static (dyn ToSql + Sync));

impl ToSql for Lasting {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, crate::BoxError> {
        self.0.to_sql_checked(type_, out)
    }

    // What is inside says no by itself.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, crate::BoxError> {
        self.0.to_sql_checked(type_, out)
    }

    fn encode_format(&self, type_: &Type) -> Written {
        self.0.encode_format(type_)
    }
}

/// Values as they are sent.
#[derive(Default)]
pub(super) struct Encoded {
    bytes: BytesMut,
    /// Where each ends, and how it is written; NULL has no end.
    ends: Vec<(Option<usize>, Format)>,
}

impl Parameters {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
        self.0.iter().map(|value| &**value as &(dyn ToSql + Sync))
    }

    /// In the formats of these types. A value that is text is taken by every type, as one would write it in quotes.
    pub(super) fn encode(&self, types: &[Type]) -> Result<Encoded, Error> {
        if types.len() != self.len() {
            let words = format!("the statement takes {} values and was given {}", types.len(), self.len());
            return Err(Error::invalid(words));
        }
        let mut encoded = Encoded::default();
        for (at, (value, type_)) in self.0.iter().zip(types).enumerate() {
            let written = write_value(&**value, type_, &mut encoded.bytes);
            let (null, format) = written.map_err(|error| {
                Error::invalid(format!("the value of ${} cannot be sent as {}", at + 1, type_.name()))
                    .boxed_source(error)
            })?;
            let format = match format {
                Written::Text => Format::Text,
                Written::Binary => Format::Binary,
            };
            encoded.ends.push((matches!(null, IsNull::No).then_some(encoded.bytes.len()), format));
        }
        Ok(encoded)
    }
}

/// Appends a value in the format of a type: as that is in binary, where the value is of this type or of what it is
/// [like](plain), and else as text, where it is that.
pub(super) fn write_value(
    value: &(dyn ToSql + Sync),
    type_: &Type,
    out: &mut BytesMut,
) -> Result<(IsNull, Written), BoxError> {
    let begin = out.len();
    let mut format = value.encode_format(type_);
    let mut written = value.to_sql_checked(type_, out);
    if is_other(&written)
        && let Some(plain) = plain(type_)
    {
        out.truncate(begin);
        format = value.encode_format(&plain);
        written = value.to_sql_checked(&plain, out);
        if let (Ok(IsNull::No), Kind::Array(member)) = (&written, type_.kind()) {
            // Dimensions and flags stand before it: the server wants its own number there.
            let oid = out.get_mut(begin + 8..begin + 12);
            oid.into_iter().for_each(|oid| oid.copy_from_slice(&member.oid().to_be_bytes()));
        }
    }
    if is_other(&written) {
        out.truncate(begin);
        if let Ok(null) = value.to_sql_checked(&Type::TEXT, out) {
            (format, written) = (Written::Text, Ok(null));
        }
    }
    written.map(|null| (null, format))
}

/// The value is not of the type that is wanted.
fn is_other(written: &Result<IsNull, BoxError>) -> bool {
    written.as_ref().is_err_and(|error| error.is::<WrongType>())
}

impl Encoded {
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut begin = 0;
        let mut parameter = |(end, format): &(Option<usize>, Format)| match end {
            None => Parameter { value: None, format: *format },
            Some(end) => {
                let value = &self.bytes[begin..*end];
                begin = *end;
                Parameter { value: Some(value), format: *format }
            }
        };
        self.ends.iter().map(&mut parameter).collect()
    }
}

/// How many: values are secrets.
impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parameters({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sent = Vec<(Option<Vec<u8>>, Format)>;

    fn encode(parameters: impl ToParams, types: &[Type]) -> Result<Sent, String> {
        let encoded = parameters.to_params().encode(types).map_err(|error| error.to_string())?;
        Ok(encoded.parameters().iter().map(|it| (it.value.map(<[u8]>::to_vec), it.format)).collect())
    }

    #[test]
    fn values_are_written_as_the_types_that_the_server_wants() {
        let types = [Type::INT4, Type::TEXT, Type::INT8, Type::BYTEA];
        let encoded = encode((7_i32, "a", None::<i64>, vec![0_u8]), &types).unwrap();
        let binary = Format::Binary;
        let expected =
            [(Some(vec![0, 0, 0, 7]), binary), (Some(b"a".to_vec()), binary), (None, binary), (Some(vec![0]), binary)];
        assert_eq!(encoded, expected);
        assert_eq!(encode((), &[]).unwrap(), []);
        assert_eq!(encode([1_i16, 2], &[Type::INT2, Type::INT2]).unwrap().len(), 2);
        const VALUES: &[&(dyn ToSql + Sync)] = &[&1_i32, &"b"];
        assert_eq!(encode(VALUES, &[Type::INT4, Type::TEXT]).unwrap()[1].0.as_deref(), Some(&b"b"[..]));
        let boxed: Vec<BoxedValue> = vec![Box::new(true), Box::new("x".to_owned())];
        assert_eq!(encode(boxed, &[Type::BOOL, Type::VARCHAR]).unwrap()[0].0, Some(vec![1]));
    }

    #[test]
    fn text_is_taken_by_every_type() {
        let enumeration = Type::new("99999".to_owned(), 99_999, postgres_types::Kind::Simple, String::new());
        let encoded = encode(("1.50", "happy", None::<String>), &[Type::NUMERIC, enumeration, Type::DATE]).unwrap();
        let text = Format::Text;
        assert_eq!(encoded, [(Some(b"1.50".to_vec()), text), (Some(b"happy".to_vec()), text), (None, text)]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_but_not_shown() {
        let said = encode((1_i32, 4_711_i32), &[Type::INT4, Type::INT8]).unwrap_err();
        assert_eq!(said, "the value of $2 cannot be sent as int8");
        let said = encode((1_i32,), &[]).unwrap_err();
        assert_eq!(said, "the statement takes 0 values and was given 1");
        assert!(!format!("{:?}", ("hunter2",).to_params()).contains("hunter2"));
    }
}
