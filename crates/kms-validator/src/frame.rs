//! Messages behind their length: `length (varint) ‖ message`.

use std::io;
use std::io::Read;
use std::io::Write;

/// Reads one message of at most `limit` bytes. `None` at the end of the stream.
///
/// # Errors
/// Those of the stream; `InvalidData` for a length that is none or too large, before anything is
/// made room for.
pub(crate) fn read(stream: &mut impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = read_length(stream, limit)? else { return Ok(None) };
    let mut message = Vec::new();
    let read = stream.take(length as u64).read_to_end(&mut message)?;
    if read < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(Some(message))
}

/// Writes one message, in one call: a message begins where a frame of the secret connection does.
///
/// # Errors
/// Those of the stream.
pub(crate) fn write(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    let mut length = message.len();
    while length >= 0x80 {
        framed.push(seven_bits(length) | 0x80);
        length >>= 7;
    }
    framed.push(seven_bits(length));
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

fn read_length(stream: &mut impl Read, limit: usize) -> io::Result<Option<usize>> {
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21, 28] {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            if shift == 0 {
                return Ok(None);
            }
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let [byte] = byte;
        length |= usize::from(byte & 0x7f) << shift;
        if length > limit {
            break;
        }
        if byte & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "message is longer than a signer takes"))
}

/// The lowest seven bits.
fn seven_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_are_read_back() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let message = vec![7; length];
            let mut framed = Vec::new();
            write(&mut framed, &message).unwrap();
            framed.push(9);
            let mut stream = framed.as_slice();
            assert_eq!(read(&mut stream, 20_000).unwrap(), Some(message));
            assert_eq!(stream, [9]);
        }
        assert_eq!(read(&mut [].as_slice(), 9).unwrap(), None);
    }

    #[test]
    fn long_endless_and_cut_messages_are_refused() {
        let kind = |bytes: &[u8]| read(&mut &bytes[..], 1000).unwrap_err().kind();
        assert_eq!(kind(&[0xff, 0xff, 0xff, 0xff, 0x0f]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0x80, 0x80, 0x80, 0x80, 0x80, 1]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0xe9, 7]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0x80]), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(&[5, 1, 2]), io::ErrorKind::UnexpectedEof);
    }
}
