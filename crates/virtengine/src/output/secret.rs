//! Secrets that a person must see once: written from locked memory to stdout, past every buffer.

use std::io::stdout;

use kms_secret::SecretBytes;

use crate::exit::Exit;
use crate::problem::Problem;

/// Text in locked memory, put together piece by piece.
#[derive(Debug, Default)]
pub(crate) struct SecretText {
    pieces: Vec<SecretBytes>,
}

impl SecretText {
    /// Adds text that is no secret.
    pub(crate) fn add(mut self, text: &str) -> Self {
        self.pieces.push(SecretBytes::copy_from(text.as_bytes()));
        self
    }

    /// Adds a secret as it is.
    pub(crate) fn secret(mut self, secret: &SecretBytes) -> Self {
        self.pieces.push(SecretBytes::copy_from(secret.expose()));
        self
    }

    /// Adds a secret as a JSON string.
    ///
    /// # Errors
    /// When it has a character JSON would have to escape; addresses and codes have none.
    pub(crate) fn json(self, secret: &SecretBytes) -> Result<Self, Problem> {
        let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\') || *b == b' ';
        if !secret.expose().iter().all(plain) {
            return Err(Problem::new(Exit::Other, "output", "a secret is no plain text"));
        }
        Ok(self.add("\"").secret(secret).add("\""))
    }

    /// Adds secrets as a JSON array of strings.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub(crate) fn codes<'c>(
        self,
        codes: impl IntoIterator<Item = &'c SecretBytes>,
    ) -> Result<Self, Problem> {
        let mut text = self.add("[");
        for (n, code) in codes.into_iter().enumerate() {
            text = if n > 0 { text.add(",") } else { text }.json(code)?;
        }
        Ok(text.add("]"))
    }

    /// Writes it to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn write(&self) -> Result<(), Problem> {
        self.pieces
            .iter()
            .try_for_each(|piece| kms_secret::write_secret(stdout(), piece))
            .map_err(|e| Problem::io("stdout cannot be written", &e))
    }
}
