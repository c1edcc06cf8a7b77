//! What is known of each vendor's token, as data, with where it is known from.
//!
//! A profile never claims a mechanism: those are asked of the token. It says what PKCS#11 has no
//! question for: which curves hide behind a mechanism, which templates are refused, what a number
//! means. `source` is where each line can be looked up; `tested` is how far this product was run
//! against it.

use kms::key::Algorithm;

use Algorithm::Ed25519;
use Algorithm::P256;
use Algorithm::Rsa2048;
use Algorithm::Rsa4096;
use Algorithm::Secp256k1;

/// What is known of one vendor's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name in `[hsm.NAME] profile = "…"`.
    pub name: &'static str,
    /// The vendor's name.
    pub title: &'static str,
    /// What the manufacturer field of the library or of the token begins with, in lower case.
    pub manufacturers: &'static [&'static str],
    /// Where its library is usually installed.
    pub library_paths: &'static [&'static str],
    /// Variables of the environment that its library reads, which the worker passes on.
    pub variables: &'static [&'static str],
    /// The algorithms it has if it has their mechanisms; `None`: each curve is tried with a key that
    /// is thrown away.
    pub curves: Option<&'static [Algorithm]>,
    /// Ed25519 under a vendor's own numbers: key type, key generation and signing mechanism.
    pub vendor_eddsa: Option<[u64; 3]>,
    /// How a curve is named in `CKA_EC_PARAMS` for Ed25519.
    pub edwards_name: EdwardsName,
    /// Whether PSS works although the list of mechanisms lacks it.
    pub unlisted_pss: bool,
    /// Which private keys it takes in.
    pub import: Import,
    /// Whether public keys are objects that can be made; else they come with the private one.
    pub makes_public_objects: bool,
    /// Whether private keys can be made at all through PKCS#11 as it stands.
    pub generates: bool,
    /// Whether private templates may say what a key must *not* do (decrypt, unwrap, derive, …).
    pub denies_uses: bool,
    /// Whether it ever locks a PIN; where it does not, its warnings mean nothing.
    pub locks_pin: bool,
    /// Sessions that it allows at once, where it does not say so itself.
    pub sessions: Option<usize>,
    /// How far this product was run against it.
    pub tested: Tested,
    /// Where this is known from.
    pub source: &'static str,
    /// What is known not to work, for people.
    pub notes: &'static [&'static str],
}

/// How `CKA_EC_PARAMS` names edwards25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdwardsName {
    /// A PrintableString "edwards25519": what most take.
    Printable,
    /// The object identifier 1.3.101.112 (RFC 8410).
    Oid,
}

/// Which private keys a token takes in through `C_CreateObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// All that it has.
    All,
    /// These.
    Only(&'static [Algorithm]),
    /// None.
    Nothing,
}

/// How far this product was run against a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// The tests run against the real implementation, each time.
    EachTime,
    /// From the vendor's documentation; not run by us.
    FromDocuments,
}

/// Everything that is not known better.
const GENERIC: Profile = Profile {
    name: "generic",
    title: "any PKCS#11 token",
    manufacturers: &[],
    library_paths: &[],
    variables: &[],
    curves: None,
    vendor_eddsa: None,
    edwards_name: EdwardsName::Printable,
    unlisted_pss: false,
    import: Import::All,
    makes_public_objects: true,
    generates: true,
    denies_uses: true,
    locks_pin: true,
    sessions: None,
    tested: Tested::FromDocuments,
    source: "PKCS#11 3.1, OASIS",
    notes: &["each curve is tried once per start with a key that is thrown away"],
};

/// Every profile; the last is for whatever no other knows.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "softhsm",
        title: "SoftHSM 2",
        manufacturers: &["softhsm"],
        library_paths: &[
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
        ],
        variables: &["SOFTHSM2_CONF"],
        curves: Some(&[Ed25519, Secp256k1, P256]),
        locks_pin: false,
        tested: Tested::EachTime,
        source: "run: Debian softhsm2 2.6.1",
        notes: &[
            "for development: its keys are files",
            "a slot number changes when a token is initialised: name the token by its label",
            "never locks a PIN",
            "its own defaults let private keys decrypt and unwrap; ours do not",
        ],
        ..GENERIC
    },
    Profile {
        name: "kryoptic",
        title: "Kryoptic",
        manufacturers: &["kryoptic"],
        library_paths: &["/usr/lib64/pkcs11/libkryoptic_pkcs11.so"],
        variables: &["KRYOPTIC_CONF"],
        curves: Some(&[Ed25519, P256]),
        tested: Tested::EachTime,
        source: "run: kryoptic-lib 1.5.4",
        notes: &["no secp256k1", "locks the PIN at the tenth failure", "signs one at a time"],
        ..GENERIC
    },
    Profile {
        name: "tpm2",
        title: "TPM 2.0 (tpm2-pkcs11)",
        manufacturers: &["tpm2-software", "ibm", "infineon", "nuvoton", "stmicro"],
        library_paths: &[
            "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
            "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1",
            "/usr/lib64/pkcs11/libtpm2_pkcs11.so",
        ],
        variables: &[
            "TPM2_PKCS11_STORE",
            "TPM2_PKCS11_TCTI",
            "TPM2_PKCS11_LOG_LEVEL",
            "TSS2_LOG",
            "DBUS_SESSION_BUS_ADDRESS",
        ],
        curves: Some(&[P256]),
        unlisted_pss: true,
        import: Import::Nothing,
        denies_uses: false,
        sessions: Some(1024),
        tested: Tested::EachTime,
        source: "run: Debian libtpm2-pkcs11-1 1.9.0, swtpm 0.7.1, libtpms 0.9.2",
        notes: &[
            "no Ed25519, no secp256k1, no RSA-4096",
            "needs a resource manager (tpm2-abrmd or /dev/tpmrm0) for more than one key",
            "about 40 signatures a second",
            "a wrong PIN counts in the TPM's own dictionary-attack protection",
            "its attributes are bookkeeping: after a change they prove nothing",
        ],
        ..GENERIC
    },
    Profile {
        name: "yubihsm",
        title: "YubiHSM 2",
        manufacturers: &["yubico"],
        library_paths: &[
            "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
            "/usr/local/lib/pkcs11/yubihsm_pkcs11.so",
        ],
        variables: &["YUBIHSM_PKCS11_CONF"],
        curves: Some(&[Ed25519, Secp256k1, P256]),
        makes_public_objects: false,
        sessions: Some(15),
        source: "Yubico, yubihsm-shell 2.8.0, pkcs11 guide; developers.yubico.com/YubiHSM2",
        notes: &[
            "PIN: four hex digits of the authentication key's id, then its password",
            "16 sessions, closed after 30 s without use; 256 objects",
            "edwards25519 is named by its PrintableString only",
        ],
        ..GENERIC
    },
    Profile {
        name: "cloudhsm",
        title: "AWS CloudHSM",
        manufacturers: &["marvell", "cavium", "aws", "amazon"],
        library_paths: &["/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"],
        variables: &["CLOUDHSM_PIN", "LIQUIDSECURITY"],
        curves: Some(&[Secp256k1, P256]),
        denies_uses: false,
        source: "AWS CloudHSM user guide, PKCS#11 library for Client SDK 5",
        notes: &[
            "PIN: user and password with a colon between",
            "no read-only sessions; handles are others in each session",
            "throttles under load",
            "EdDSA stands in no list of its mechanisms",
        ],
        ..GENERIC
    },
    Profile {
        name: "gcpkms",
        title: "Google Cloud KMS (kmsp11)",
        manufacturers: &["google"],
        library_paths: &["/usr/lib/libkmsp11.so", "/opt/libkmsp11/libkmsp11.so"],
        variables: &["KMS_PKCS11_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "HOME"],
        curves: Some(&[P256]),
        import: Import::Nothing,
        makes_public_objects: false,
        generates: false,
        locks_pin: false,
        source: "GoogleCloudPlatform/kms-integrations, kmsp11 user guide",
        notes: &[
            "keys are made in Cloud KMS and adopted here (virtengine hsm import NAME --adopt OBJECT)",
            "takes any PIN; a key made after the start is seen after the next one",
        ],
        ..GENERIC
    },
    Profile {
        name: "luna",
        title: "Thales Luna",
        manufacturers: &["safenet", "thales", "chrysalis"],
        library_paths: &["/usr/safenet/lunaclient/lib/libCryptoki2_64.so"],
        variables: &["ChrystokiConfigurationPath"],
        curves: Some(&[Ed25519, Secp256k1, P256]),
        vendor_eddsa: Some([0x8000_0012, 0x8000_0C01, 0x8000_0C03]),
        source: "Thales Luna Network HSM 7, supported mechanisms; Luna SDK reference",
        notes: &[
            "Ed25519 not in FIPS mode; older firmware knows it by vendor numbers",
            "slots without a token are normal; an HA group is a slot of its own",
            "about 30 threads a device",
        ],
        ..GENERIC
    },
    GENERIC,
];

impl Profile {
    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// The profile for a library or a token of this manufacturer.
    pub fn of_manufacturers(names: &[&str]) -> &'static Self {
        let fits = |profile: &&Self| {
            let begins = |name: &&str| {
                let name = name.trim().to_lowercase();
                profile.manufacturers.iter().any(|known| name.starts_with(known))
            };
            names.iter().any(begins)
        };
        PROFILES.iter().find(fits).or(PROFILES.last()).unwrap_or(&GENERIC)
    }

    /// Whether private keys of `algorithm` can be taken in.
    pub fn takes(&self, algorithm: Algorithm) -> bool {
        match self.import {
            Import::All => true,
            Import::Only(some) => some.contains(&algorithm),
            Import::Nothing => false,
        }
    }

    /// Whether it has the curve of `algorithm`; `None` where that has to be tried.
    pub fn has_curve(&self, algorithm: Algorithm) -> Option<bool> {
        match algorithm {
            Rsa2048 | Rsa4096 => Some(true),
            Ed25519 | Secp256k1 | P256 => self.curves.map(|curves| curves.contains(&algorithm)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_the_maker_and_by_name() {
        let of = |name: &str| Profile::of_manufacturers(&[name]).name;
        assert_eq!(of("SoftHSM project"), "softhsm");
        assert_eq!(of("Yubico (www.yubico.com)"), "yubihsm");
        assert_eq!(of("tpm2-software.github.io"), "tpm2");
        assert_eq!(of("Somebody Else"), "generic");
        assert_eq!(Profile::of_manufacturers(&["", "SafeNet"]).name, "luna");
        for profile in PROFILES {
            assert_eq!(Profile::named(profile.name), Some(profile));
        }
        assert_eq!(Profile::named("yubikey"), None);
    }

    #[test]
    fn every_profile_says_where_it_is_known_from() {
        for profile in PROFILES {
            assert!(!profile.source.is_empty() && !profile.notes.is_empty(), "{}", profile.name);
            let run = profile.source.starts_with("run: ");
            assert_eq!(run, profile.tested == Tested::EachTime, "{}", profile.name);
        }
    }

    #[test]
    fn no_variable_that_chooses_code_is_passed_on() {
        for name in PROFILES.iter().flat_map(|profile| profile.variables) {
            assert!(!name.starts_with("LD_") && *name != "PATH", "{name}");
        }
    }
}
