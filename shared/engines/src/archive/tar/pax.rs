//! Extended headers: records of `<length> <keyword>=<value>\n`.

use crate::archive::Stop;

/// The records that matter here.
#[derive(Default)]
pub(super) struct Pax {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Reads all records; bytes that are none are an error, for programs differ about them.
    pub(super) fn parse(mut data: &[u8]) -> Result<Self, Stop> {
        let mut records = Vec::new();
        while !data.iter().all(|byte| *byte == 0) {
            let (record, rest) = record(data).ok_or_else(|| Stop::corrupt("an extended header is damaged"))?;
            records.push(record);
            data = rest;
        }
        Ok(Self { records })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether a map of a sparse file is among them.
    pub(super) fn is_sparse(&self) -> bool {
        self.records.iter().any(|(key, _)| key.starts_with(b"GNU.sparse"))
    }

    /// Value of a keyword; the last one counts.
    pub(super) fn get(&self, keyword: &str) -> Option<&[u8]> {
        self.records.iter().rev().find(|(key, _)| key == keyword.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// All values of a keyword, in order.
    pub(super) fn all<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.records.iter().filter(move |(key, _)| key == keyword.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A decimal number.
    pub(super) fn number(&self, keyword: &str) -> Result<Option<u64>, Stop> {
        self.get(keyword).map(|value| decimal(value).ok_or_else(|| Stop::corrupt("an extended header has no valid number"))).transpose()
    }

    /// Size of the data, if it does not fit the header.
    pub(super) fn size(&self) -> Result<Option<u64>, Stop> {
        self.number("size")
    }

    /// Path of the entry.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.get("GNU.sparse.name").or_else(|| self.get("path"))
    }

    /// A global header that changes where entries lie is read differently by different programs.
    pub(super) fn check_global(&self) -> Result<(), Stop> {
        let moves = |key: &[u8]| key == b"size" || key.starts_with(b"GNU.sparse");
        if self.records.iter().any(|(key, _)| moves(key)) {
            return Err(Stop::corrupt("a global header sets the size of entries"));
        }
        Ok(())
    }
}

type Record = (Vec<u8>, Vec<u8>);

fn record(data: &[u8]) -> Option<(Record, &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(data.get(..space)?)?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((record.get(..equals)?.to_vec(), record.get(equals + 1..)?.to_vec()), rest))
}

/// A decimal number without sign.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}
