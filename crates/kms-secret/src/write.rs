//! Letting secrets out through raw system calls.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::secret_bytes::SecretBytes;

/// Writes all bytes with `write(2)`: no buffer of the standard library sees them. Nothing is durable on return.
///
/// # Errors
/// The error of the system call; a part may have been written. `WouldBlock` on a descriptor that does not block.
pub fn write_secret(fd: impl AsFd, secret: &SecretBytes) -> io::Result<()> {
    let mut rest = secret.expose();
    while !rest.is_empty() {
        match rustix::io::write(fd.as_fd(), rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::pipe;
    use std::thread;

    use super::*;

    #[test]
    fn more_than_a_pipe_holds_is_written_whole() {
        let secret = SecretBytes::make(300_000, |bytes| {
            bytes.iter_mut().zip((0..=250u8).cycle()).for_each(|(byte, value)| *byte = value);
        });
        let (mut reader, writer) = pipe().unwrap();
        let received = thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received
        });
        write_secret(&writer, &secret).unwrap();
        drop(writer);
        assert_eq!(received.join().unwrap(), secret.expose());
    }

    #[test]
    fn closed_pipe_is_an_error() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let error = write_secret(&writer, &SecretBytes::zeroed(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
