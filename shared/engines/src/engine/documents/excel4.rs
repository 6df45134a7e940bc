//! Excel 4 macros: sheets whose cells are a program.
//!
//! Sources: [MS-XLS] §2.4.28 (BoundSheet8), §2.4.150 (Lbl), §2.4.127 (Formula), §2.5.198 (tokens and function numbers);
//! [MS-XLSB] has the same tokens.

use std::io::{Cursor, Read};

use crate::engine::guarded;

/// Bytes of a workbook stream that are read.
const MAX_WORKBOOK: u64 = 64 * 1024 * 1024;
/// EXEC, REGISTER, CALL, FOPEN, FWRITE: functions that start programs, load libraries, write files.
const FUNCTIONS: &[u16] = &[0x6e, 0x95, 0x96, 0x84, 0x8a];
/// Built-in names of procedures that run by themselves: Auto_Open, Auto_Close, Auto_Activate, Auto_Deactivate.
const AUTOMATIC: &[u8] = &[0x01, 0x02, 0x0a, 0x0b];

/// The threat name of a legacy workbook.
pub(super) fn judge_workbook(content: &[u8]) -> Option<String> {
    guarded(|| {
        let mut file = cfb::CompoundFile::open(Cursor::new(content)).ok()?;
        let name = ["/Workbook", "/Book"].into_iter().find(|name| file.is_stream(name))?;
        let mut stream = Vec::new();
        // What can be read of a damaged one is judged.
        let _ = file.open_stream(name).ok()?.take(MAX_WORKBOOK).read_to_end(&mut stream);
        judge_records(&stream).map(Into::into)
    })
    .unwrap_or_else(|| Some("Heur.Macro.Excel4.Unreadable".into()))
}

fn judge_records(stream: &[u8]) -> Option<&'static str> {
    let (mut hidden, mut macros, mut automatic, mut calls, mut in_macro_sheet) = (false, false, false, false, false);
    let mut rest = stream;
    while let Some(([kind_low, kind_high, size_low, size_high], after)) = rest.split_first_chunk() {
        let size = usize::from(u16::from_le_bytes([*size_low, *size_high]));
        let body = after.get(..size).unwrap_or(after);
        match u16::from_le_bytes([*kind_low, *kind_high]) {
            // BoundSheet8: position (4), visibility, type.
            0x85 if body.get(5) == Some(&1) => {
                macros = true;
                hidden |= body.get(4).is_some_and(|state| state & 3 != 0);
            }
            // BOF: version (2), type of substream.
            0x0809 => in_macro_sheet = body.get(2..4) == Some(&[0x40, 0]),
            0x18 => automatic |= is_automatic(body),
            0x06 if in_macro_sheet => calls |= body.get(20..).is_some_and(has_call),
            _ => {}
        }
        rest = after.get(size..).unwrap_or_default();
    }
    match (macros && automatic, calls) {
        (true, true) => Some("Heur.Macro.Excel4.AutoExec"),
        (true, false) if hidden => Some("Heur.Macro.Excel4.Hidden"),
        _ => None,
    }
}

/// Lbl: flags (2, bit 5: built in), key, length of the name, 10 more bytes, then a flag byte and the name.
fn is_automatic(body: &[u8]) -> bool {
    let built_in = body.first().is_some_and(|flags| flags & 0x20 != 0);
    let name = body.get(15..).unwrap_or_default();
    if built_in {
        return name.first().is_some_and(|name| AUTOMATIC.contains(name));
    }
    // Excel compares only the beginning.
    let letters: Vec<u8> = name.iter().filter(|b| **b != 0).take(9).map(u8::to_ascii_lowercase).collect();
    letters.starts_with(b"auto_open") || letters.starts_with(b"auto_clos")
}

/// PtgFuncVar (in one of its three classes), count of arguments, function number.
fn has_call(tokens: &[u8]) -> bool {
    tokens.windows(4).any(|w| matches!(w, [0x22 | 0x42 | 0x62, _, low, high] if FUNCTIONS.contains(&(u16::from_le_bytes([*low, *high]) & 0x7fff))))
}

/// The threat name of a part of an Open XML workbook.
pub(super) fn judge_part(name: &str, content: &[u8]) -> Option<String> {
    let is_sheet = name.to_ascii_lowercase().contains("macrosheets/");
    if is_sheet && !content.starts_with(b"<") && has_call(content) {
        return Some("Heur.Macro.Excel4.Binary".into());
    }
    None
}

/// The threat name of the formulas of a macro sheet in XML.
pub(super) fn judge_formula(formula: &str) -> Option<&'static str> {
    let lower: String = formula.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let called = |name: &str| {
        lower
            .match_indices(name)
            .any(|(at, _)| lower.get(..at).and_then(|s| s.chars().last()).is_none_or(|c| !c.is_alphanumeric() && c != '.' && c != '_'))
    };
    ["exec(", "call(", "register(", "fwrite("].iter().any(|name| called(name)).then_some("Heur.Macro.Excel4.Exec")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &u16::try_from(body.len()).unwrap().to_le_bytes(), body].concat()
    }

    fn name(built_in: bool, name: &[u8]) -> Vec<u8> {
        let mut body = vec![if built_in { 0x20 } else { 0 }, 0, 0, u8::try_from(name.len()).unwrap()];
        body.resize(14, 0);
        body.push(0);
        body.extend_from_slice(name);
        record(0x18, &body)
    }

    fn workbook(sheet_type: u8, hidden: u8, label: &[u8], function: u8) -> Vec<u8> {
        let mut formula = vec![0; 20];
        formula.extend([8, 0, 0x42, 1, function, 0]);
        [
            record(0x85, &[0, 0, 0, 0, hidden, sheet_type, 1, 0, b'M']),
            label.to_vec(),
            record(0x0809, &[0, 6, if sheet_type == 1 { 0x40 } else { 0x10 }, 0]),
            record(0x06, &formula),
        ]
        .concat()
    }

    #[test]
    fn sheets_that_start_programs() {
        let auto = name(true, &[1]);
        assert_eq!(judge_records(&workbook(1, 0, &auto, 0x6e)), Some("Heur.Macro.Excel4.AutoExec"));
        assert_eq!(judge_records(&workbook(1, 0, &name(false, b"Auto_Open_x"), 0x96)), Some("Heur.Macro.Excel4.AutoExec"));
        assert_eq!(judge_records(&workbook(1, 2, &auto, 0x04)), Some("Heur.Macro.Excel4.Hidden"));
        assert_eq!(judge_records(&workbook(1, 0, &auto, 0x04)), None, "sums are no attack");
        assert_eq!(judge_records(&workbook(1, 0, &name(true, &[6]), 0x6e)), None, "a print area does not run");
        assert_eq!(judge_records(&workbook(0, 0, &auto, 0x6e)), None, "an ordinary sheet");
        assert_eq!(judge_records(b"\x85\0\xff\xff"), None);
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        std::io::Write::write_all(&mut file.create_stream("/Workbook").unwrap(), &workbook(1, 0, &auto, 0x6e)).unwrap();
        assert!(judge_workbook(&file.into_inner().into_inner()).is_some());
    }

    #[test]
    fn formulas() {
        for hostile in ["EXEC(\"calc\")", "IF(A1, exec (\"x\"))", "=REGISTER(\"urlmon\",\"URLDownloadToFileA\")", "CALL(\"Kernel32\")"] {
            assert!(judge_formula(hostile).is_some(), "{hostile}");
        }
        for honest in ["SUM(A1:A2)", "MYEXEC(1)", "RECALL(1)", "HALT()"] {
            assert_eq!(judge_formula(honest), None, "{honest}");
        }
        assert!(judge_part("xl/macrosheets/sheet1.bin", &[0, 0x42, 1, 0x6e, 0]).is_some());
        assert!(judge_part("xl/worksheets/sheet1.bin", &[0, 0x42, 1, 0x6e, 0]).is_none());
    }
}
