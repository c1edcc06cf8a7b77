//! The secrets, in every form in which they might lie about.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::rsa::KeySize;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use kms::key::Algorithm;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;

/// Bytes of a run; shorter ones are found by chance.
const RUN: usize = 16;

/// Runs of 16 bytes that must lie nowhere, each with its name.
///
/// Wherever such a run lies, it covers one whole word of eight bytes at an even place; so only words
/// are looked at, and looked up.
#[derive(Default)]
pub(crate) struct Needles {
    runs: BTreeMap<[u8; RUN], String>,
    /// The runs that have this word, and how far in.
    by_word: BTreeMap<u64, Vec<([u8; RUN], usize)>>,
    /// Whether any word ends with these 16 bits: most are passed by this alone.
    ends: Vec<bool>,
}

impl Needles {
    /// Adds a secret of bytes: as it is, as a number in memory, in hex, in base64.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        self.add_run(name, "as it is", secret);
        self.add_run(name, "reversed", &reversed);
        self.add_run(name, "in hex", hex::encode(secret).as_bytes());
        self.add_run(name, "in HEX", hex::encode_upper(secret).as_bytes());
        self.add_run(name, "in base64", BASE64_STANDARD_NO_PAD.encode(secret).as_bytes());
    }

    /// Adds a secret text.
    pub(crate) fn add_text(&mut self, name: &str, secret: &str) {
        self.add_run(name, "as it is", secret.as_bytes());
        self.add_run(name, "in base64", BASE64_STANDARD_NO_PAD.encode(secret).as_bytes());
    }

    /// Makes a private key, adds it in all its forms, and returns it in hex: raw, RSA as PKCS#8.
    pub(crate) fn add_key(&mut self, algorithm: Algorithm) -> String {
        let name = format!("{algorithm} key");
        let size = match algorithm {
            Algorithm::Rsa2048 => KeySize::Rsa2048,
            Algorithm::Rsa4096 => KeySize::Rsa4096,
            Algorithm::Ed25519 | Algorithm::Secp256k1 | Algorithm::P256 => {
                let key = random(32); // below the order of either curve but for once in 2^32
                self.add(&name, &key);
                self.add_pkcs8(&name, algorithm, &key);
                return hex::encode(key);
            }
        };
        let pair = KeyPair::generate(size).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        for (number, bytes) in rsa_numbers(der.as_ref()).into_iter().enumerate() {
            self.add(&format!("{name}, private number {number}"), &bytes);
        }
        hex::encode(der.as_ref())
    }

    /// Adds the seed of an `otpauth` address; returns it.
    pub(crate) fn add_totp(&mut self, uri: &str) -> Vec<u8> {
        let letters: String = uri.split("secret=").nth(1).unwrap().chars().take(32).collect();
        let seed = from_base32(&letters);
        self.add("TOTP seed", &seed);
        self.add_run("TOTP seed", "in base32", letters.as_bytes());
        seed
    }

    /// Where needles lie in `hay`, each named.
    pub(crate) fn places_in(&self, place: &str, hay: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (index, word) in hay.as_chunks().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            if !self.ends[(word & 0xffff) as usize] {
                continue;
            }
            for (run, further) in self.by_word.get(&word).into_iter().flatten() {
                let at = (index * 8).checked_sub(*further);
                if at.is_some_and(|at| hay[at..].starts_with(run)) {
                    found.push(format!("{} lies in {place}", self.runs[run]));
                }
            }
        }
        found
    }

    fn add_pkcs8(&mut self, name: &str, algorithm: Algorithm, key: &[u8]) {
        let parsed = PrivateKey::parse(key, PrivateFormat::Raw, Some(algorithm)).unwrap();
        let der = parsed.key.to_pkcs8_der();
        // The beginning of the container is the same for all keys.
        let at = der.expose().windows(key.len()).position(|run| run == key).unwrap();
        let base64 = BASE64_STANDARD_NO_PAD.encode(der.expose());
        let from = at.div_ceil(3) * 4;
        self.add_run(name, "in PEM", &base64.as_bytes()[from..from + 36]);
        if algorithm == Algorithm::Ed25519 {
            let mut scalar = digest::digest(&digest::SHA512, key).as_ref()[..32].to_vec();
            scalar[0] &= 248;
            scalar[31] = scalar[31] & 63 | 64;
            self.add(&format!("{name}'s scalar"), &scalar);
        }
    }

    /// Adds the first and the last bytes of a secret in one form.
    fn add_run(&mut self, name: &str, form: &str, bytes: &[u8]) {
        self.ends.resize(1 << 16, false);
        for run in [bytes.first_chunk::<RUN>(), bytes.last_chunk::<RUN>()] {
            let run = *run.unwrap();
            if self.runs.insert(run, format!("{name} {form}")).is_some() {
                continue;
            }
            for (further, word) in run.array_windows::<8>().enumerate().take(8) {
                let word = u64::from_le_bytes(*word);
                self.ends[(word & 0xffff) as usize] = true;
                self.by_word.entry(word).or_default().push((run, further));
            }
        }
    }
}

/// Random bytes.
pub(crate) fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// A passphrase that nobody else has.
pub(crate) fn passphrase() -> String {
    BASE64_STANDARD_NO_PAD.encode(random(30))
}

/// The code of a moment (RFC 6238).
pub(crate) fn totp(seed: &[u8], unix_s: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &(unix_s / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(*tag[at..].first_chunk().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn from_base32(letters: &str) -> Vec<u8> {
    let mut bits = String::new();
    for letter in letters.bytes() {
        let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        bits.push_str(&format!("{value:05b}"));
    }
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
}

/// The private numbers of an RSA key: d, p, q, d mod p-1, d mod q-1, 1/q mod p (RFC 8017 A.1.2).
fn rsa_numbers(pkcs8: &[u8]) -> Vec<Vec<u8>> {
    let info = fields(fields(pkcs8)[0].1);
    let key = fields(fields(info[2].1)[0].1);
    let number = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    key[3..9].iter().map(|(_, bytes)| number(bytes)).collect()
}

/// The DER values in `bytes`, with their tags.
fn fields(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [tag, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            0..0x80 => (usize::from(*length), rest),
            long => {
                let (digits, rest) = rest.split_at(usize::from(long & 0x7f));
                (digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
        };
        let (value, rest) = rest.split_at(length);
        found.push((*tag, value));
        bytes = rest;
    }
    found
}
