//! Admission: the state and the purpose of a key allow this use now.

/// A use that its key's state and purpose allow at this moment. Made in this module only.
#[derive(Debug)]
pub struct Admitted<U>(U);

impl<U> Admitted<U> {
    pub(crate) fn into_use(self) -> U {
        self.0
    }
}
