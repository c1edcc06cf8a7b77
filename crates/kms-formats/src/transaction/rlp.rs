//! Recursive Length Prefix (Ethereum yellow paper, appendix B), read strictly: one encoding for each
//! value, so that what is shown is what is signed.

/// The deepest list inside lists: an access list has three.
const DEPTH: usize = 4;
/// The most items of all lists together.
const ITEMS: usize = 4096;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A string of bytes.
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Self>),
}

/// Reads one value that is all of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Option<Item<'_>> {
    let mut left = ITEMS;
    let (item, rest) = item(bytes, (DEPTH, &mut left))?;
    rest.is_empty().then_some(item)
}

fn item<'a>(bytes: &'a [u8], (depth, left): (usize, &mut usize)) -> Option<(Item<'a>, &'a [u8])> {
    *left = left.checked_sub(1)?;
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..0x80 => Some((Item::Bytes(bytes.get(..1)?), rest)),
        0x80..0xc0 => {
            let (content, rest) = content(first - 0x80, rest)?;
            let alone = first == 0x81 && content.first().is_some_and(|byte| *byte < 0x80);
            (!alone).then_some((Item::Bytes(content), rest))
        }
        0xc0.. => {
            let (mut content, rest) = content(first - 0xc0, rest)?;
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            while !content.is_empty() {
                let (next, after) = item(content, (depth, left))?;
                items.push(next);
                content = after;
            }
            Some((Item::List(items), rest))
        }
    }
}

/// The content whose length is `short`, or stands in `short - 55` bytes before it.
fn content(short: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(length_of_length) = short.checked_sub(55).filter(|length| *length > 0) else {
        return bytes.split_at_checked(usize::from(short));
    };
    let (length, rest) = bytes.split_at_checked(usize::from(length_of_length))?;
    if length.first() == Some(&0) || length.len() > 4 {
        return None;
    }
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    if length <= 55 {
        return None; // the short form is the one encoding
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_their_one_encoding() {
        assert_eq!(read(&[0x7f]), Some(Item::Bytes(&[0x7f])));
        assert_eq!(read(&[0x80]), Some(Item::Bytes(&[])));
        assert_eq!(read(&[0x82, 1, 2]), Some(Item::Bytes(&[1, 2])));
        let list = Item::List(vec![Item::Bytes(&[1]), Item::List(vec![])]);
        assert_eq!(read(&[0xc2, 1, 0xc0]), Some(list));
        let long = [&[0xb8, 56][..], &[7; 56]].concat();
        assert_eq!(read(&long), Some(Item::Bytes(&[7; 56])));
        for wrong in [
            &[][..],
            &[0x81, 5],                            // has a shorter form
            &[0xb8, 2, 1, 1],                      // likewise
            &[0xb9, 0, 56],                        // a zero before the length
            &[0x82, 1],                            // cut off
            &[1, 1],                               // more than one
            &[0xff; 9],                            // a length of eight bytes
            &[0xc1, 0x81],                         // an item beyond its list
            &[0xc5, 0xc4, 0xc3, 0xc2, 0xc1, 0xc0], // too deep
        ] {
            assert_eq!(read(wrong), None, "{wrong:02x?}");
        }
        let many = [&[0xf9, 0x10, 0x01][..], &[1; 0x1001]].concat();
        assert_eq!(read(&many), None, "too many items");
    }
}
