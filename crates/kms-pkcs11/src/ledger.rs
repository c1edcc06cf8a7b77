//! Whether a PIN may be tried. A wrong PIN that is tried by a program again and again locks the token,
//! so it is tried once: at most one login for each loading of the configuration, until the token has
//! accepted the PIN. From then on the PIN is known to be right, and logging in again after a lost
//! connection risks nothing.

use kms::storage::DeviceError;

use crate::error::pin;
use crate::profile::Profile;
use crate::wire::SlotInfo;

/// What the PIN has come to so far. For one loading of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Untried,
    /// A login is under way, or ended without a judgement that we know of.
    Unknown,
    Proven,
    Refused(DeviceError),
}

/// What stands against trying a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinTrouble {
    /// Few tries are left.
    CountLow,
    /// One try is left.
    FinalTry,
    /// None is left.
    Locked,
    /// The token has no user PIN yet.
    NotSet,
}

impl PinTrouble {
    /// What a slot's flags say.
    pub(crate) fn of(slot: &SlotInfo) -> Option<Self> {
        if slot.pin_locked {
            Some(Self::Locked)
        } else if slot.pin_final_try {
            Some(Self::FinalTry)
        } else if slot.pin_count_low {
            Some(Self::CountLow)
        } else if slot.login_required && !slot.user_pin_set {
            Some(Self::NotSet)
        } else {
            None
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::CountLow => "few tries of the PIN are left before the token locks",
            Self::FinalTry => "one try of the PIN is left before the token locks",
            Self::Locked => "the PIN is locked",
            Self::NotSet => "the token has no user PIN yet",
        }
    }
}

impl Ledger {
    /// Allows one login, or says why not. To be followed by [`Self::judged`] or, where the login was
    /// not judged, [`Self::not_judged`]; where neither follows, it stays the only one.
    ///
    /// # Errors
    /// When the PIN was refused, its outcome is not known, or a try would risk the token.
    pub(crate) fn begin(
        &mut self,
        hsm: &str,
        slot: &SlotInfo,
        (profile, risk): (&Profile, bool),
    ) -> Result<(), DeviceError> {
        match &self.state {
            State::Refused(error) => return Err(error.clone()),
            State::Unknown => return Err(unknown(hsm)),
            State::Proven => return Ok(()),
            State::Untried => {}
        }
        if let Some(trouble) = PinTrouble::of(slot) {
            let means_nothing = trouble == PinTrouble::CountLow && (risk || !profile.locks_pin);
            if !means_nothing {
                return Err(too_risky(hsm, trouble));
            }
        }
        self.state = State::Unknown;
        Ok(())
    }

    /// Takes in that the token accepted the PIN, or did not.
    pub(crate) fn judged(&mut self, verdict: Result<(), DeviceError>) {
        self.state = match verdict {
            Ok(()) => State::Proven,
            Err(error) => State::Refused(error),
        };
    }

    /// Takes in that the token was in trouble before it looked at the PIN.
    pub(crate) fn not_judged(&mut self) {
        if matches!(self.state, State::Unknown) {
            self.state = State::Untried;
        }
    }

    /// Whether the token has accepted the PIN.
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.state, State::Proven)
    }
}

/// What a person is told when a token refused the PIN; `after` is what its flags say then.
pub(crate) fn refused(hsm: &str, told: &str, after: Option<PinTrouble>) -> DeviceError {
    let left = after.map(|trouble| format!("; {}", trouble.told())).unwrap_or_default();
    let advice = vec![
        "it is not tried again by itself; mend pin_file, then start anew".to_owned(),
        "where the PIN is locked, the security officer sets a new one with the vendor's tool"
            .to_owned(),
    ];
    pin(format!("HSM `{hsm}` refused the PIN: {told}{left}"), advice)
}

fn unknown(hsm: &str) -> DeviceError {
    let advice = vec!["look at the token, then start anew to try the PIN once more".to_owned()];
    let message =
        format!("HSM `{hsm}`: what came of the last login is not known; the PIN is not risked");
    pin(message, advice)
}

fn too_risky(hsm: &str, trouble: PinTrouble) -> DeviceError {
    let advice = match trouble {
        PinTrouble::CountLow => vec![format!(
            "make sure the PIN is right, then try it once: virtengine hsm doctor {hsm} --risk-pin"
        )],
        PinTrouble::FinalTry | PinTrouble::Locked => {
            vec!["use the vendor's tool: a successful login there, or a new PIN".to_owned()]
        }
        PinTrouble::NotSet => vec![format!("set one: virtengine hsm init {hsm}")],
    };
    pin(format!("HSM `{hsm}`: {}; the PIN was not tried", trouble.told()), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::tests::token;

    fn locking() -> &'static Profile {
        Profile::named("kryoptic").unwrap()
    }

    fn begin(ledger: &mut Ledger, slot: &SlotInfo) -> Result<(), String> {
        ledger.begin("x", slot, (locking(), false)).map_err(|error| error.message)
    }

    #[test]
    fn pin_is_tried_once_until_it_is_proven() {
        let slot = token(1, "t", "1");
        let mut ledger = Ledger::default();
        assert_eq!(begin(&mut ledger, &slot), Ok(()));
        assert!(begin(&mut ledger, &slot).unwrap_err().contains("not known"), "while under way");
        let error = refused("x", "C_Login returned CKR_PIN_INCORRECT", Some(PinTrouble::CountLow));
        ledger.judged(Err(error.clone()));
        assert_eq!(begin(&mut ledger, &slot), Err(error.message));
        let mut ledger = Ledger::default();
        assert_eq!(begin(&mut ledger, &slot), Ok(()));
        ledger.judged(Ok(()));
        for _ in 0..3 {
            assert_eq!(begin(&mut ledger, &slot), Ok(()), "a proven PIN risks nothing");
        }
    }

    #[test]
    fn login_that_was_not_judged_is_no_try() {
        let slot = token(1, "t", "1");
        let mut ledger = Ledger::default();
        assert_eq!(begin(&mut ledger, &slot), Ok(()));
        ledger.not_judged();
        assert_eq!(begin(&mut ledger, &slot), Ok(()));
    }

    #[test]
    fn last_tries_are_never_taken() {
        let low = SlotInfo { pin_count_low: true, ..token(1, "t", "1") };
        let last = SlotInfo { pin_final_try: true, ..low.clone() };
        let locked = SlotInfo { pin_locked: true, ..last.clone() };
        let unset = SlotInfo { user_pin_set: false, ..token(1, "t", "1") };
        for slot in [&low, &last, &locked, &unset] {
            assert!(begin(&mut Ledger::default(), slot).unwrap_err().ends_with("not tried"));
        }
        let risked = |slot| Ledger::default().begin("x", slot, (locking(), true)).is_ok();
        assert!(risked(&low), "a person may risk one of the last tries");
        assert!(!risked(&last) && !risked(&locked), "nobody takes the very last");
        let softhsm = Profile::named("softhsm").unwrap();
        assert!(Ledger::default().begin("x", &low, (softhsm, false)).is_ok(), "never locks");
    }
}
