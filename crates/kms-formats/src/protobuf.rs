//! As much of the protobuf wire format as signed transactions need: fields of varints and bytes.
//!
//! The reader is strict: a field that is cut off, a group, or a number beyond 64 bits ends it. It
//! never copies and never recurses; whoever reads a message inside a message counts the depth.

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Its number, 1 or more.
    pub(crate) number: u32,
    /// What it holds.
    pub(crate) value: Value<'a>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A whole number.
    Varint(u64),
    /// Bytes, a text or a message.
    Bytes(&'a [u8]),
    /// A number of 8 bytes or of 4.
    Fixed,
}

/// The fields of a message in their order; `None` if the bytes are no message, or have more than
/// `limit` fields.
pub(crate) fn fields(mut bytes: &[u8], limit: usize) -> Option<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        if found.len() == limit {
            return None;
        }
        found.push(next(&mut bytes)?);
    }
    Some(found)
}

/// Writes a field of a number; zero is what an absent field means, and is left out.
pub(crate) fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        varint(out, u64::from(number) << 3);
        varint(out, value);
    }
}

/// Writes a field of bytes, also of none.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(out, u64::from(number) << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a number in groups of seven bits, the lowest first.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn next<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = read_varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number))?;
    let value = match tag & 7 {
        0 => Value::Varint(read_varint(bytes)?),
        1 => take(bytes, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(read_varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => take(bytes, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some(Field { number, value })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        put_varint(&mut out, 1, 300);
        put_varint(&mut out, 2, 0);
        put_bytes(&mut out, 3, b"ab");
        put_varint(&mut out, 4, u64::MAX);
        assert_eq!(
            fields(&out, 9).unwrap(),
            [
                Field { number: 1, value: Value::Varint(300) },
                Field { number: 3, value: Value::Bytes(b"ab") },
                Field { number: 4, value: Value::Varint(u64::MAX) },
            ]
        );
        assert_eq!(fields(&out, 2), None, "more fields than asked for");
    }

    #[test]
    fn cut_overlong_and_group_fields_are_no_message() {
        for bytes in [
            &[0x08][..],                                                            // no value
            &[0x0a, 5, 1],                                                          // cut off
            &[0x0b],                                                                // a group
            &[0x00, 1],                                                             // number 0
            &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],          // 65 bits
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1], // huge length
        ] {
            assert_eq!(fields(bytes, 99), None, "{bytes:02x?}");
        }
    }
}
