//! Compressed RTF, as Outlook keeps bodies ([MS-OXRTFCP]).

use super::bytes::Bytes;

/// What the dictionary holds at first (§2.2.1).
const INITIAL: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor \
MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;

/// The RTF; at most 17 bytes for one that goes in. `None` if it is no such stream. One that is cut off gives what there is.
pub(super) fn decompress(stream: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes::new(stream);
    let _compressed = bytes.u32()?;
    let size = bytes.length()?;
    let kind = bytes.take(4)?;
    let _checksum = bytes.u32()?;
    match kind {
        b"MELA" => return Some(bytes.take_most(size).to_vec()),
        b"LZFu" => {}
        _ => return None,
    }
    let mut window = [b' '; WINDOW];
    window.get_mut(..INITIAL.len())?.copy_from_slice(INITIAL);
    let mut at = INITIAL.len();
    let mut out = Vec::new();
    let mut push = |window: &mut [u8; WINDOW], byte: u8| {
        if let Some(slot) = window.get_mut(at) {
            *slot = byte;
        }
        at = (at + 1) % WINDOW;
        out.push(byte);
        at
    };
    let mut write = INITIAL.len();
    'all: while let Some(flags) = bytes.u8() {
        for bit in 0..8 {
            if flags >> bit & 1 == 0 {
                let Some(byte) = bytes.u8() else { break 'all };
                write = push(&mut window, byte);
                continue;
            }
            let Some(pair) = bytes.take(2) else { break 'all };
            let token = u16::from_be_bytes(pair.try_into().ok()?);
            let offset = usize::from(token >> 4);
            if offset == write {
                break 'all;
            }
            for step in 0..usize::from(token & 15) + 2 {
                let byte = window.get((offset + step) % WINDOW).copied()?;
                write = push(&mut window, byte);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        assert_eq!(INITIAL.len(), 207);
        // [MS-OXRTFCP] §4.1.1 and §4.2.1: references into the initial dictionary, and a copy over itself.
        let first = [
            0x2d, 0, 0, 0, 0x2b, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00, 0x0a, 0x00, 0x72, 0x63, 0x70, 0x67, 0x31, 0x32,
            0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09, 0x00, 0x20, 0x62, 0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        assert_eq!(decompress(&first).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        let second = [
            0x1a, 0, 0, 0, 0x1c, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xe2, 0xd4, 0x4b, 0x51, 0x41, 0x00, 0x04, 0x20, 0x57, 0x58, 0x59, 0x5a, 0x0d, 0x6e,
            0x7d, 0x01, 0x0e, 0xb0,
        ];
        assert_eq!(decompress(&second).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
    }

    #[test]
    fn damaged_streams_end() {
        assert_eq!(decompress(b""), None);
        assert_eq!(decompress(&[0; 40]), None);
        let mut endless = b"\0\0\0\0\0\0\0\0LZFu\0\0\0\0".to_vec();
        endless.extend(vec![0xff; 50_000]);
        assert!(decompress(&endless).unwrap().len() <= 17 * 50_000 / 2);
    }
}
