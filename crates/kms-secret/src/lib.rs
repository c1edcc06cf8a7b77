//! STAND-IN.
#![allow(missing_docs)]
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
#[derive(PartialEq)]
pub struct SecretBytes(Vec<u8>);
impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretBytes(<{} bytes>)", self.0.len())
    }
}
impl SecretBytes {
    pub fn zeroed(len: usize) -> Self {
        Self(vec![0; len])
    }
    pub fn copy_from(b: &[u8]) -> Self {
        Self(b.to_vec())
    }
    pub fn take(b: &mut [u8]) -> Self {
        let s = Self(b.to_vec());
        b.fill(0);
        s
    }
    pub fn make(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut s = Self::zeroed(len);
        fill(&mut s.0);
        s
    }
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len)
    }
}
pub fn burn_stack() {}
#[derive(Debug, thiserror::Error)]
pub enum ReadSecretError {
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Io(#[from] io::Error),
}
fn limit(v: Vec<u8>, l: usize) -> Result<SecretBytes, ReadSecretError> {
    if v.len() > l { Err(ReadSecretError::TooLong(l)) } else { Ok(SecretBytes(v)) }
}
pub fn read_secret(fd: impl AsFd, l: usize) -> Result<SecretBytes, ReadSecretError> {
    let mut f = File::from(fd.as_fd().try_clone_to_owned()?);
    let mut v = Vec::new();
    io::Read::read_to_end(&mut f, &mut v)?;
    limit(v, l)
}
pub fn read_secret_line(fd: impl AsFd, l: usize) -> Result<SecretBytes, ReadSecretError> {
    let mut f = File::from(fd.as_fd().try_clone_to_owned()?);
    let mut v = Vec::new();
    let mut b = [0u8];
    while io::Read::read(&mut f, &mut b)? == 1 && b[0] != b'\n' {
        v.push(b[0]);
    }
    limit(v, l)
}
pub fn read_secret_file(p: &Path, l: usize) -> Result<SecretBytes, ReadSecretError> {
    read_secret(File::open(p)?, l)
}
pub fn prompt_secret(_: &str, _: usize) -> Result<SecretBytes, ReadSecretError> {
    Err(io::Error::other("no terminal").into())
}
pub fn write_secret(fd: impl AsFd, s: &SecretBytes) -> io::Result<()> {
    File::from(fd.as_fd().try_clone_to_owned()?).write_all(&s.0)
}
#[derive(Debug)]
pub struct ProtectionReport;
pub fn protect_process() -> ProtectionReport {
    ProtectionReport
}
