//! The field that asks for HTTP/2 in HTTP/1.1 (RFC 7540 §3.2.1): the payload of SETTINGS in base64url (RFC 4648 §5)
//! without padding. Agreeing on it is the business of HTTP/1.1.

use super::frame::settings;
use super::{Settings, Violation};
use crate::Error;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Settings {
    /// The value of `http2-settings` in the request that asks for an upgrade to `h2c`.
    pub fn upgrade_field(self) -> String {
        let mut payload = Vec::new();
        settings::payload(self.told(true), &mut payload);
        let mut text = String::with_capacity(payload.len().div_ceil(3) * 4);
        for three in payload.chunks(3) {
            let bits = three.iter().chain([&0, &0]).take(3).fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            for at in 0..=three.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
            }
        }
        text
    }
}

/// The payload in such a field.
pub(super) fn decode(field: &[u8]) -> Result<Vec<u8>, Error> {
    let (mut payload, mut held, mut bits) = (Vec::new(), 0, 0);
    for digit in field.strip_suffix(b"==").or(field.strip_suffix(b"=")).unwrap_or(field) {
        let Some(six) = DIGITS.iter().position(|known| known == digit) else { return Err(Violation::Setting.into()) };
        (held, bits) = ((held << 6 | six as u32) & 0xffff, bits + 6);
        if bits >= 8 {
            bits -= 8;
            payload.push((held >> bits) as u8);
        }
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_holds_what_the_settings_say() {
        let field = Settings::default().upgrade_field();
        let payload = decode(field.as_bytes()).unwrap();
        let mut told = Vec::new();
        settings::payload(Settings::default().told(true), &mut told);
        assert_eq!(payload, told);
        assert_eq!(decode(b"AAMAAABkAAQAoAAAAAIAAAAA").unwrap()[..6], [0, 3, 0, 0, 0, 100]);
        assert!(decode(b"AAM AAAB").is_err());
        assert_eq!(decode(b"_-8=").unwrap(), [0xff, 0xef]);
    }
}
