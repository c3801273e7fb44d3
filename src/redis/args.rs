//! What can be an argument of a command, and how it is written. What a command means is not known here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use crate::protocols::redis::Words;

/// Where arguments are written, each as one word.
pub struct Args<'a> {
    words: &'a mut Words,
}

impl<'a> Args<'a> {
    pub(super) fn new(words: &'a mut Words) -> Self {
        Self { words }
    }

    /// The words of a value, each by itself.
    pub(super) fn collect(value: impl ToArgs, to: &mut Vec<Vec<u8>>) {
        let mut words = Words::new();
        value.to_args(&mut Args::new(&mut words));
        to.extend(words.iter().map(<[u8]>::to_vec));
    }

    /// Adds one word, any bytes.
    pub fn word(&mut self, word: impl AsRef<[u8]>) {
        self.words.push(word);
    }

    /// Adds all words of a value.
    pub fn add(&mut self, value: impl ToArgs) {
        value.to_args(self);
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(f)
    }
}

/// What can stand behind the name of a command: none, one or many words.
///
/// Strings and bytes (`[u8]`, `Vec<u8>`) are one word as they are; numbers are their decimal digits, booleans `1` and `0`.
/// An `Option` is its value, or no word. Slices, arrays, lists, sets, maps and tuples are their values one after the other,
/// and a map each key before its value. So any of these does the same:
///
/// ```
/// use aquests::redis::Redis;
/// use std::collections::BTreeMap;
///
/// let db = Redis::at("127.0.0.1:6379");
/// let command = db.command("HSET", ("user:1", "age", 36, "name", "Ada"));
/// assert_eq!(command, db.command("HSET", ("user:1", [("age", "36"), ("name", "Ada")])));
/// assert_eq!(command, db.command("HSET", "user:1").arg(BTreeMap::from([("name", "Ada"), ("age", "36")])));
/// ```
pub trait ToArgs {
    /// Writes the words.
    fn to_args(&self, args: &mut Args<'_>);

    /// Writes several values in a row: bytes are one word and not many numbers.
    #[doc(hidden)]
    fn slice_to_args(values: &[Self], args: &mut Args<'_>)
    where
        Self: Sized,
    {
        values.iter().for_each(|value| value.to_args(args));
    }
}

/// What is always exactly one word: a key, a field, a member.
pub trait ToArg: ToArgs {}

impl<T: ToArgs + ?Sized> ToArgs for &T {
    fn to_args(&self, args: &mut Args<'_>) {
        (**self).to_args(args);
    }
}

impl<T: ToArg + ?Sized> ToArg for &T {}

macro_rules! text {
    ($($type:ty)*) => {$(
        impl ToArgs for $type {
            fn to_args(&self, args: &mut Args<'_>) {
                args.word(self);
            }
        }
        impl ToArg for $type {}
    )*};
}

text! { str String }

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl ToArgs for $type {
            fn to_args(&self, args: &mut Args<'_>) {
                digits(*self, args);
            }
        }
        impl ToArg for $type {}
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize }

/// The digits of a number, without an allocation.
fn digits(number: impl fmt::Display, args: &mut Args<'_>) {
    // A sign and the 39 digits of the largest integer; the shortest digits of a double, with an exponent, are fewer.
    let mut buffer = [0; 48];
    let mut left = &mut buffer[..];
    let written = write!(left, "{number}");
    let left = left.len();
    match written {
        Ok(()) => args.word(&buffer[..48 - left]),
        Err(_) => args.word(number.to_string()),
    }
}

impl ToArgs for u8 {
    fn to_args(&self, args: &mut Args<'_>) {
        digits(*self, args);
    }

    fn slice_to_args(values: &[Self], args: &mut Args<'_>) {
        args.word(values);
    }
}

impl ToArg for u8 {}
impl ToArg for [u8] {}
impl ToArg for Vec<u8> {}
impl<const N: usize> ToArg for [u8; N] {}

/// `1` or `0`.
impl ToArgs for bool {
    fn to_args(&self, args: &mut Args<'_>) {
        args.word(if *self { "1" } else { "0" });
    }
}

impl ToArg for bool {}

macro_rules! floats {
    ($($type:ty)*) => {$(
        /// The shortest digits that make the same number again; `inf` and `-inf` are numbers for the server, `NaN` is not.
        impl ToArgs for $type {
            fn to_args(&self, args: &mut Args<'_>) {
                let size = self.abs();
                // The server reads no numbers of hundreds of digits.
                if self.is_finite() && size != 0.0 && !(1e-5..1e16).contains(&size) {
                    digits(format_args!("{self:e}"), args);
                } else {
                    digits(*self, args);
                }
            }
        }
        impl ToArg for $type {}
    )*};
}

floats! { f32 f64 }

/// The character in UTF-8.
impl ToArgs for char {
    fn to_args(&self, args: &mut Args<'_>) {
        args.word(self.encode_utf8(&mut [0; 4]));
    }
}

impl ToArg for char {}

impl<T: ToArgs> ToArgs for Option<T> {
    fn to_args(&self, args: &mut Args<'_>) {
        self.iter().for_each(|value| value.to_args(args));
    }
}

impl<T: ToArgs> ToArgs for [T] {
    fn to_args(&self, args: &mut Args<'_>) {
        T::slice_to_args(self, args);
    }
}

impl<T: ToArgs, const N: usize> ToArgs for [T; N] {
    fn to_args(&self, args: &mut Args<'_>) {
        T::slice_to_args(self, args);
    }
}

impl<T: ToArgs> ToArgs for Vec<T> {
    fn to_args(&self, args: &mut Args<'_>) {
        T::slice_to_args(self, args);
    }
}

macro_rules! pointers {
    ($($type:ident)*) => {$(
        impl<T: ToArgs + ?Sized> ToArgs for $type<T> {
            fn to_args(&self, args: &mut Args<'_>) {
                (**self).to_args(args);
            }
        }
        impl<T: ToArg + ?Sized> ToArg for $type<T> {}
    )*};
}

pointers! { Arc Box Rc }

impl<T: ToArgs + ToOwned + ?Sized> ToArgs for Cow<'_, T> {
    fn to_args(&self, args: &mut Args<'_>) {
        (**self).to_args(args);
    }
}

impl<T: ToArg + ToOwned + ?Sized> ToArg for Cow<'_, T> {}

impl<K: ToArgs, V: ToArgs, S: BuildHasher> ToArgs for HashMap<K, V, S> {
    fn to_args(&self, args: &mut Args<'_>) {
        self.iter().for_each(|pair| pair.to_args(args));
    }
}

impl<K: ToArgs, V: ToArgs> ToArgs for BTreeMap<K, V> {
    fn to_args(&self, args: &mut Args<'_>) {
        self.iter().for_each(|pair| pair.to_args(args));
    }
}

impl<T: ToArgs, S: BuildHasher> ToArgs for HashSet<T, S> {
    fn to_args(&self, args: &mut Args<'_>) {
        self.iter().for_each(|value| value.to_args(args));
    }
}

impl<T: ToArgs> ToArgs for BTreeSet<T> {
    fn to_args(&self, args: &mut Args<'_>) {
        self.iter().for_each(|value| value.to_args(args));
    }
}

/// No words.
impl ToArgs for () {
    fn to_args(&self, _args: &mut Args<'_>) {}
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: ToArgs),*> ToArgs for ($($name,)*) {
            #[allow(non_snake_case)]
            fn to_args(&self, args: &mut Args<'_>) {
                let ($($name,)*) = self;
                $($name.to_args(args);)*
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
}
