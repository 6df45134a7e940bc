//! Lists out of other people's files: plain ones (one digest a line), what `sha256sum` writes, and CSV with or without a header.
//!
//! What always holds: a file with one malformed line gives no list at all; all of them (up to a limit) are told with their numbers.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file::{Builder, List};
use super::{engines_of, section_of};

/// Malformed lines told; the rest is counted.
const SHOWN: usize = 20;
/// Names of columns, the digest that is preferred first.
const DIGESTS: &[&str] = &["sha256", "sha512", "sha1", "md5", "hash", "digest"];
const LABELS: &[&str] = &["threat", "name", "signature", "label", "comment", "malware", "family", "description"];

/// What was imported.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// Digests on the list.
    pub count: usize,
    /// SHA-256 of the list, hex.
    pub digest: String,
}

/// Reads `inputs` and writes the list to `out`.
///
/// # Errors
/// Sentences, one a line: what is malformed where, or what could not be read or written.
pub fn import(list: List, inputs: &[PathBuf], out: &Path) -> Result<Imported, String> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    if List::of_name(&name) != Some(list) || out.extension().is_none_or(|extension| extension != super::EXTENSION) {
        let word = format!("{list:?}").to_lowercase();
        return Err(format!("The list must be named `{word}*.{}`, not `{name}`.", super::EXTENSION));
    }
    let mut builder = Builder::new(list);
    let (mut problems, mut bad) = (Vec::new(), 0_usize);
    for input in inputs {
        read(list, input, &mut builder, |line, why| {
            bad += 1;
            if bad <= SHOWN {
                problems.push(format!("`{}`, line {line}: {why}.", input.display()));
            }
        })
        .map_err(|error| format!("`{}` could not be read: {error}.", input.display()))?;
    }
    if bad > 0 {
        problems.push(format!("{bad} malformed lines; no list was written."));
        return Err(problems.join("\n"));
    }
    let (count, digest) = builder.write(out, SystemTime::now()).map_err(|why| format!("The list could not be written: {why}."))?;
    Ok(Imported { count, digest })
}

/// Where the fields of a line are.
struct Columns {
    digests: Vec<usize>,
    label: Option<usize>,
    engines: Option<usize>,
}

fn read(list: List, input: &Path, builder: &mut Builder, mut malformed: impl FnMut(u64, &str)) -> Result<(), csv::Error> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).comment(Some(b'#')).trim(csv::Trim::All).from_path(input)?;
    let mut columns = Columns { digests: vec![0], label: Some(1), engines: Some(2) };
    let mut record = csv::StringRecord::new();
    let mut first = true;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) if error.is_io_error() => return Err(error),
            Err(_) => {
                malformed(line, "not UTF-8 text");
                continue;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        if std::mem::take(&mut first)
            && let Some(found) = header(&record)
        {
            columns = found;
            continue;
        }
        if let Err(why) = take(list, &record, &columns, builder) {
            malformed(line, why);
        }
    }
}

fn header(record: &csv::StringRecord) -> Option<Columns> {
    let names: Vec<String> = record
        .iter()
        .map(|field| field.trim_start_matches('\u{feff}').to_lowercase().replace(['_', '-', ' '], "").trim_end_matches("hash").to_owned())
        .collect();
    let raw: Vec<String> = record.iter().map(|field| field.trim_start_matches('\u{feff}').to_lowercase()).collect();
    let at = |name: &&str| names.iter().position(|n| n == *name).or_else(|| raw.iter().position(|n| n == *name));
    let digests: Vec<usize> = DIGESTS.iter().filter_map(at).collect();
    (!digests.is_empty()).then(|| Columns { digests, label: LABELS.iter().find_map(at), engines: at(&"engines") })
}

fn take(list: List, record: &csv::StringRecord, columns: &Columns, builder: &mut Builder) -> Result<(), &'static str> {
    // A quote behind a space is no quote for the reader; some lists have both.
    let field = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default().trim_matches('"').trim();
    let text = columns.digests.iter().map(|at| field(Some(*at))).find(|text| !text.is_empty()).ok_or("no digest")?;
    // `sha256sum` writes the name behind the digest.
    let (text, beside) = text.trim_start_matches('\u{feff}').split_once(char::is_whitespace).unwrap_or((text.trim_start_matches('\u{feff}'), ""));
    let digest = hex::decode(text).map_err(|_| "not a hexadecimal digest")?;
    section_of(&digest).ok_or("not of the length of md5, sha1, sha256 or sha512")?;
    if list != List::Block && digest.len() < 32 {
        return Err("allow and skip lists take sha256 and sha512 only (md5 and sha1 have collisions)");
    }
    let label = match list {
        List::Skip => engines_of(field(columns.engines))?.join("|"),
        List::Allow => String::new(),
        List::Block => match field(columns.label) {
            "" => beside.trim().trim_start_matches('*').to_owned(),
            label => label.to_owned(),
        },
    };
    builder.add(&digest, &label)
}

#[cfg(test)]
mod tests {
    use super::super::file::ListFile;
    use super::*;
    use crate::digests;

    fn imported(list: List, text: &str) -> Result<(usize, Vec<Option<String>>), String> {
        let dir = tempfile::tempdir().unwrap();
        let (input, out) = (dir.path().join("in.csv"), dir.path().join(format!("{}-1.hashlist", format!("{list:?}").to_lowercase())));
        std::fs::write(&input, text).unwrap();
        let done = import(list, &[input], &out).map_err(|why| why.replace(&dir.path().display().to_string(), ""))?;
        let file = ListFile::open(&out).unwrap();
        let find = |content: &[u8]| {
            let d = digests::of(content);
            [d.md5, d.sha1, d.sha256, d.sha512].iter().find_map(|hex| file.find(&hex::decode(hex).unwrap())).map(str::to_owned)
        };
        Ok((done.count, vec![find(b"a"), find(b"b"), find(b"c")]))
    }

    #[test]
    fn plain_lists_and_tables() {
        let (a, b) = (digests::of(b"a"), digests::of(b"b"));
        let plain = format!("# a comment\n{}\n\n{},Evil.B\n", a.md5.to_uppercase(), b.sha1);
        assert_eq!(imported(List::Block, &plain).unwrap(), (2, vec![Some(String::new()), Some("Evil.B".into()), None]));
        let sums = format!("{}  some file.exe\n{} *other\n", a.sha256, b.sha512);
        assert_eq!(imported(List::Block, &sums).unwrap().1, [Some("some file.exe".into()), Some("other".into()), None]);
        let table = format!(
            "\u{feff}\"first_seen\",\"sha256_hash\",\"md5_hash\",\"signature\"\n\"x\", \"{}\",\"{}\",\"A, with comma\"\n\"y\",\"\",\"{}\",\n",
            a.sha256, b.md5, b.md5
        );
        assert_eq!(imported(List::Block, &table).unwrap(), (2, vec![Some("A, with comma".into()), Some(String::new()), None]));
        assert_eq!(imported(List::Skip, &format!("{},x,YARA-X|Scripts\n", a.sha256)).unwrap().1[0].as_deref(), Some("YARA-X|Scripts"));
        assert_eq!(imported(List::Block, "").unwrap().0, 0);
    }

    #[test]
    fn malformed_lines_are_told_with_their_numbers_and_nothing_is_written() {
        let good = digests::of(b"a").sha256;
        let why = imported(List::Block, &format!("{good}\nzz,x\n1234\n{good}\n,x\n")).unwrap_err();
        for part in ["line 2: not a hexadecimal", "line 3: not of the length", "line 5: no digest", "3 malformed lines"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(imported(List::Allow, &format!("{}\n", digests::of(b"a").md5)).unwrap_err().contains("collisions"));
        assert!(imported(List::Skip, &format!("{good},x,Nonsense\n")).unwrap_err().contains("does not exist"));
        let many = imported(List::Block, &"zz\n".repeat(100)).unwrap_err();
        assert_eq!(many.lines().count(), SHOWN + 1);
        let dir = tempfile::tempdir().unwrap();
        assert!(import(List::Block, &[], &dir.path().join("allow.hashlist")).is_err(), "a name of another list");
        assert!(import(List::Block, &[dir.path().join("missing")], &dir.path().join("block.hashlist")).unwrap_err().contains("missing"));
    }
}
