//! The few fields of a certificate (RFC 5280 §4.1) that rustls does not tell. What is read here has been, or will be,
//! checked by somebody who knows all of it: nothing is trusted because it could be read.

/// The fields.
pub(super) struct Certificate<'a> {
    /// Encoded, to be compared.
    pub(super) issuer: &'a [u8],
    /// Encoded, to be compared.
    pub(super) subject: &'a [u8],
    /// Seconds since 1970, the first and the last.
    pub(super) validity: (i64, i64),
    /// With what it is signed.
    pub(super) signature: Algorithm<'a>,
}

/// An algorithm and its parameters.
pub(super) struct Algorithm<'a> {
    pub(super) oid: &'a [u8],
    pub(super) parameters: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` with something inside.
const CONTEXT_0: u8 = 0xa0;

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = expect(SEQUENCE, der)?;
        let (mut tbs, rest) = expect(SEQUENCE, certificate)?;
        let (signature, _) = expect(SEQUENCE, rest)?;
        if let Some((_, rest)) = expect(CONTEXT_0, tbs) {
            tbs = rest;
        }
        let (_serial, tbs) = element(tbs)?;
        let (_signature, tbs) = element(tbs)?;
        let (issuer, tbs) = expect(SEQUENCE, tbs)?;
        let (validity, tbs) = expect(SEQUENCE, tbs)?;
        let (subject, _) = expect(SEQUENCE, tbs)?;
        let (first, rest) = time(validity)?;
        let (last, _) = time(rest)?;
        Some(Self { issuer, subject, validity: (first, last), signature: Algorithm::inside(signature)? })
    }
}

impl<'a> Algorithm<'a> {
    /// The sequence of an AlgorithmIdentifier, without its head.
    fn inside(sequence: &'a [u8]) -> Option<Self> {
        let (oid, parameters) = expect(OID, sequence)?;
        Some(Self { oid, parameters })
    }

    /// The hash that RSASSA-PSS names in its parameters (RFC 4055 §3.1). `None`: none is named, which means SHA-1.
    pub(super) fn pss_hash(&self) -> Option<&'a [u8]> {
        let (parameters, _) = expect(SEQUENCE, self.parameters)?;
        let (hash, _) = expect(CONTEXT_0, parameters)?;
        let (hash, _) = expect(SEQUENCE, hash)?;
        Some(Algorithm::inside(hash)?.oid)
    }
}

/// What is in the first element, which must have this tag, and what follows it.
fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    if *der.first()? != tag {
        return None;
    }
    element(der)
}

/// What is in the first element, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length: no certificate has more than four.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time as certificates have it (RFC 5280 §4.1.2.5): to the second, in UTC.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = element(der)?;
    let (year, text) = match *der.first()? {
        UTC_TIME => {
            let (year, text) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => number(text, 4)?,
        _ => return None,
    };
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    let good = text == b"Z" && (1..=12).contains(&month) && (1..=31).contains(&day);
    good.then_some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second, rest))
}

fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    number.iter().all(u8::is_ascii_digit).then(|| {
        let number = number.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        (number, rest)
    })
}

/// Days since 1970-01-01, in years that begin in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
        - 719_469
}

/// The day of a second since 1970, as `2026-07-14`.
pub(super) fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    // The year is at most one off what its mean length says.
    let mut year = 1970 + days * 400 / 146_097;
    while self::days(year + 1, 1, 1) <= days {
        year += 1;
    }
    while self::days(year, 1, 1) > days {
        year -= 1;
    }
    let month = (1..=12).rev().find(|month| self::days(year, *month, 1) <= days).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", days - self::days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_with_the_calendar() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(4_102_444_799), "2099-12-31");
        let mut day = days(1951, 1, 1);
        for year in 1951..2101 {
            for month in 1..=12 {
                assert_eq!(days(year, month, 1), day, "{year}-{month}");
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
                for day_of_month in 1..=length {
                    assert_eq!(date(day * 86_400 + 7), format!("{year:04}-{month:02}-{day_of_month:02}"));
                    day += 1;
                }
            }
        }
    }

    #[test]
    fn times_are_read_in_both_forms_and_in_no_other() {
        let utc = |text: &[u8]| time(&[&[UTC_TIME, text.len() as u8], text].concat()).map(|(time, _)| time);
        let generalized =
            |text: &[u8]| time(&[&[GENERALIZED_TIME, text.len() as u8], text].concat()).map(|(time, _)| time);
        assert_eq!(utc(b"700101000000Z"), Some(0));
        assert_eq!(utc(b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(utc(b"500101000000Z"), Some(-631_152_000));
        assert_eq!(generalized(b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(generalized(b"99991231235959Z"), Some(253_402_300_799));
        for bad in [&b""[..], b"7001010000Z", b"700101000000", b"700101000000+0100", b"701301000000Z", b"7x0101000000Z"]
        {
            assert_eq!(utc(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut certificate = vec![0x30, 0x82, 0x01, 0x00, 0x30, 0x80, 0xa0, 0x03, 2, 1, 2, 2, 1, 1, 0x30, 0x84];
        certificate.resize(300, 0x30);
        for end in 0..certificate.len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x84, 0x85, 0xff] {
                let mut bytes = certificate.clone();
                bytes[end] = value;
                let _ = Certificate::parse(&bytes);
                let _ = Certificate::parse(&bytes[..end]);
            }
        }
    }
}
