//! Public keys as the text that other software reads: OpenSSH, Cosmos SDK, CometBFT, base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs1::RsaPublicKeyRef;

use crate::algorithm::Algorithm;
use crate::public::InvalidPublicKey;
use crate::public::PublicKey;
use crate::rsa;

impl PublicKey {
    /// The bytes of [`Self::as_bytes`] in base64 with padding (RFC 4648 section 4).
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.as_bytes())
    }

    /// The one-line form of OpenSSH without a comment (RFC 4253 section 6.6, RFC 5656 section 3.1,
    /// RFC 8709 section 4); `None` for secp256k1, which OpenSSH does not know.
    ///
    /// # Errors
    /// When the bytes are no key of the algorithm; never for a key from [`Self::validated`].
    pub fn to_openssh(&self) -> Result<Option<String>, InvalidPublicKey> {
        let invalid = InvalidPublicKey(self.algorithm());
        let mut blob = Vec::new();
        let name = match self.algorithm() {
            Algorithm::Ed25519 => {
                put_strings(&mut blob, &[b"ssh-ed25519", self.as_bytes()]);
                "ssh-ed25519"
            }
            Algorithm::P256 => {
                let point = self.to_uncompressed_point().ok_or(invalid)?;
                put_strings(&mut blob, &[b"ecdsa-sha2-nistp256", b"nistp256", &point]);
                "ecdsa-sha2-nistp256"
            }
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                let (_, key) = rsa::read(self.as_bytes()).map_err(|_| invalid)?;
                put_rsa(&mut blob, &key);
                "ssh-rsa"
            }
            Algorithm::Secp256k1 => return Ok(None),
        };
        Ok(Some(format!("{name} {}", STANDARD.encode(blob))))
    }

    /// The JSON of the protobuf `Any` that Cosmos SDK's commands print and take; `None` for RSA,
    /// which the SDK does not know.
    pub fn to_cosmos_json(&self) -> Option<String> {
        let name = match self.algorithm() {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::Secp256k1 => "secp256k1",
            Algorithm::P256 => "secp256r1",
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => return None,
        };
        let key = self.to_base64();
        Some(format!(r#"{{"@type":"/cosmos.crypto.{name}.PubKey","key":"{key}"}}"#))
    }

    /// The JSON of CometBFT's key files; `None` for P-256 and RSA, which it does not know.
    pub fn to_comet_json(&self) -> Option<String> {
        let name = match self.algorithm() {
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::Secp256k1 => "Secp256k1",
            Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => return None,
        };
        Some(format!(r#"{{"type":"tendermint/PubKey{name}","value":"{}"}}"#, self.to_base64()))
    }
}

fn put_rsa(blob: &mut Vec<u8>, key: &RsaPublicKeyRef<'_>) {
    let exponent = mpint(key.public_exponent.as_bytes());
    let modulus = mpint(key.modulus.as_bytes());
    put_strings(blob, &[b"ssh-rsa", &exponent, &modulus]);
}

/// RFC 4251 section 5: two's complement, so a number whose first bit is set gets a zero before it.
fn mpint(number: &[u8]) -> Vec<u8> {
    let zero: &[u8] = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    [zero, number].concat()
}

/// RFC 4251 section 5: each string after its length in four bytes.
fn put_strings(blob: &mut Vec<u8>, strings: &[&[u8]]) {
    for string in strings {
        let length = u32::try_from(string.len()).expect("keys are shorter than 4 GiB");
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(string);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_with_its_first_bit_set_gets_a_zero_before_it() {
        assert_eq!(mpint(&[0x80]), [0, 0x80]);
        assert_eq!(mpint(&[0x7f, 0xff]), [0x7f, 0xff]);
        assert_eq!(mpint(&[1, 0, 1]), [1, 0, 1]);
    }

    #[test]
    fn bytes_that_are_no_key_give_no_openssh_line() {
        let off = PublicKey::new(Algorithm::P256, &[&[2], &[0xff; 32][..]].concat()).unwrap();
        assert_eq!(off.to_openssh(), Err(InvalidPublicKey(Algorithm::P256)));
        let rsa = PublicKey::new(Algorithm::Rsa2048, &[0x30; 270]).unwrap();
        assert_eq!(rsa.to_openssh(), Err(InvalidPublicKey(Algorithm::Rsa2048)));
    }
}
