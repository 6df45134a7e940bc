//! Parts of a multipart upload (contract §7): where each belongs, and whether they are the whole file.
//!
//! Every part is an object of its own under [`PREFIX`]; its key says of which upload and which part it is, so the
//! listing of an upload's keys is all there is to know. What always holds: parts are complete only when they give
//! exactly one file: every number or every byte once.

use serde::{Deserialize, Serialize};

use super::id::DataId;

/// Key prefix of parts; the rest is `<data_id>/<part>`.
pub const PREFIX: &str = "parts/";
/// Parts of one upload at most: one page of a listing.
pub const MAX_PARTS: u32 = 1000;
/// Time in which all parts must arrive, in ms (contract §7.3).
pub const WINDOW_MS: i64 = 24 * 3_600_000;

/// What was announced when the upload began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Bytes of the whole file.
    pub file_size: Option<u64>,
    /// Number of parts.
    pub count: Option<u32>,
}

/// Where a part belongs. Ordered as the parts are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// By number, from 1.
    Number(u32),
    /// By its first byte; `of`: bytes of the whole file, when the part said so.
    Offset {
        /// First byte.
        from: u64,
        /// Bytes of the whole file.
        of: Option<u64>,
    },
}

impl Position {
    /// The key of this part of `id`.
    pub fn key(self, id: &DataId) -> String {
        match self {
            Self::Number(number) => format!("{}n{number:04}", prefix(id)),
            Self::Offset { from, of: None } => format!("{}o{from:020}", prefix(id)),
            Self::Offset { from, of: Some(of) } => format!("{}o{from:020}-{of}", prefix(id)),
        }
    }

    /// The part that a key names.
    pub fn of_key(key: &str) -> Option<(DataId, Self)> {
        let (id, part) = key.strip_prefix(PREFIX)?.split_once('/')?;
        let position = if let Some(number) = part.strip_prefix('n') {
            Self::Number(number.parse().ok()?)
        } else {
            let (from, of) = part.strip_prefix('o')?.split_once('-').map_or((part.strip_prefix('o')?, None), |(from, of)| (from, Some(of)));
            Self::Offset { from: from.parse().ok()?, of: of.map(str::parse).transpose().ok()? }
        };
        Some((DataId::parse(id)?, position))
    }
}

/// What all parts of `id` have in front.
pub fn prefix(id: &DataId) -> String {
    format!("{PREFIX}{id}/")
}

impl Plan {
    /// The size of the file, when these parts (position and bytes, ordered by position) are all of it.
    pub fn whole(&self, parts: &[(Position, u64)]) -> Option<u64> {
        if self.count.is_some_and(|count| parts.len() != count as usize) || parts.is_empty() {
            return None;
        }
        // Numbers and offsets together say nothing certain.
        let numbered = matches!(parts.first(), Some((Position::Number(_), _)));
        let mut size = 0_u64;
        let mut total = self.file_size;
        for (number, (position, bytes)) in (1..).zip(parts) {
            match *position {
                Position::Number(is) if numbered && is == number => {}
                Position::Offset { from, of } if !numbered && from == size => {
                    if of.is_some() && total.is_some() && of != total {
                        return None;
                    }
                    total = total.or(of);
                }
                _ => return None,
            }
            size = size.checked_add(*bytes)?;
        }
        // Offsets give one file only with an end; numbers, with an end or a count.
        match total {
            Some(total) => (size == total).then_some(size),
            None => (numbered && self.count.is_some()).then_some(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(parts: &[(u32, u64)]) -> Vec<(Position, u64)> {
        parts.iter().map(|(number, bytes)| (Position::Number(*number), *bytes)).collect()
    }

    fn offsets(parts: &[(u64, u64)], of: Option<u64>) -> Vec<(Position, u64)> {
        parts.iter().map(|(from, bytes)| (Position::Offset { from: *from, of }, *bytes)).collect()
    }

    const fn plan(file_size: Option<u64>, count: Option<u32>) -> Plan {
        Plan { file_size, count }
    }

    #[test]
    fn keys_say_what_they_name_and_sort_as_the_parts_do() {
        let id = DataId::random();
        let all = [
            Position::Number(1),
            Position::Number(9),
            Position::Number(1000),
            Position::Offset { from: 0, of: None },
            Position::Offset { from: 99, of: Some(5_000_000_000) },
            Position::Offset { from: 100, of: None },
        ];
        let keys: Vec<String> = all.iter().map(|position| position.key(&id)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for (position, key) in all.iter().zip(&keys) {
            assert_eq!(Position::of_key(key), Some((id.clone(), *position)));
        }
        for other in ["in/0123456789abcdef0123456789abcdef", "parts/x/n0001", "parts/0123456789abcdef0123456789abcdef/x1", "parts/"] {
            assert_eq!(Position::of_key(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_are_whole_when_each_is_there_once_and_the_size_fits() {
        let three = numbers(&[(1, 5), (2, 5), (3, 1)]);
        assert_eq!(plan(Some(11), Some(3)).whole(&three), Some(11));
        assert_eq!(plan(None, Some(3)).whole(&three), Some(11));
        assert_eq!(plan(Some(11), None).whole(&three), Some(11));
        for not in [plan(Some(12), Some(3)), plan(Some(10), None), plan(None, Some(4)), plan(None, Some(2)), plan(None, None)] {
            assert_eq!(not.whole(&three), None, "{not:?}");
        }
        assert_eq!(plan(None, Some(3)).whole(&numbers(&[(1, 5), (3, 5), (4, 1)])), None, "a gap");
        assert_eq!(plan(None, Some(2)).whole(&numbers(&[(0, 5), (1, 5)])), None, "they begin with 1");
        assert_eq!(plan(Some(0), Some(0)).whole(&[]), None);
    }

    #[test]
    fn offsets_are_whole_when_every_byte_is_there_once() {
        let three = [(0, 5), (5, 5), (10, 1)];
        assert_eq!(plan(Some(11), None).whole(&offsets(&three, None)), Some(11));
        assert_eq!(plan(None, None).whole(&offsets(&three, Some(11))), Some(11));
        assert_eq!(plan(None, None).whole(&offsets(&three, None)), None, "no end is known");
        assert_eq!(plan(None, Some(3)).whole(&offsets(&three, None)), None, "no end is known");
        assert_eq!(plan(Some(12), None).whole(&offsets(&three, None)), None);
        assert_eq!(plan(Some(12), None).whole(&offsets(&three, Some(11))), None, "they disagree");
        for wrong in [&[(0, 5), (6, 5)][..], &[(0, 5), (4, 7)], &[(5, 6)], &[(0, 5), (0, 5), (5, 6)]] {
            assert_eq!(plan(Some(11), None).whole(&offsets(wrong, None)), None, "{wrong:?}");
        }
        assert_eq!(plan(Some(11), None).whole(&[numbers(&[(1, 5)]), offsets(&[(5, 6)], None)].concat()), None, "numbers and offsets");
    }
}
