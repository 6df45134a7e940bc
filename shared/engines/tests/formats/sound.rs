//! Whole archives are read; broken ones never pass.

use portcullis_core::domain::verdict::Code;

use crate::common::{Case, lines, zip};
use crate::make::{self, Sample, samples};

/// The EICAR file among the children.
fn finds(report: &portcullis_engines::AnalysisReport) -> bool {
    report.children.iter().any(|child| child.verdict.code == Code::Infected && !child.is_archive)
}

#[test]
fn every_format_is_opened_and_shows_its_contents() {
    for Sample { name, bytes, .. } in samples() {
        let report = Case::new(name, &bytes).run();
        assert!(
            finds(&report) && report.root.verdict.code == Code::Infected,
            "{name}: {:?} {:?} {:?}",
            lines(&report),
            report.root.verdict,
            report.root.file_type
        );
        assert!(report.root.is_archive, "{name}");
        assert!(
            report.children.iter().all(|child| matches!(child.verdict.code, Code::Infected | Code::NoThreatDetected)),
            "{name}: {:?}",
            lines(&report)
        );
    }
}

#[test]
fn clean_contents_stay_clean_and_keep_their_names() {
    let entries = vec![("dir/text.txt", make::TEXT.to_vec()), ("empty", Vec::new()), ("big", vec![b'.'; 300_000])];
    let rar = |version| make::rar(&entries, version, |builder| builder);
    let archives = vec![
        ("a.tar", make::tar(&entries)),
        ("a.ar", make::ar(&[("text.txt", make::TEXT.to_vec()), ("empty", vec![])])),
        ("a.cpio", make::cpio_newc(&entries)),
        ("b.cpio", make::cpio_odc(&entries)),
        ("a.7z", make::sevenz(&entries, &[sevenz_rust2::EncoderMethod::LZMA2.into()])),
        ("b.7z", make::sevenz(&entries, &[sevenz_rust2::EncoderMethod::PPMD.into()])),
        ("c.7z", make::sevenz(&entries, &[sevenz_rust2::EncoderMethod::BZIP2.into()])),
        ("a.rar", rar(rars::ArchiveVersion::Rar50)),
        ("b.rar", rar(rars::ArchiveVersion::Rar29)),
        ("a.cab", make::cab(&entries, cab::CompressionType::MsZip)),
        ("a.iso", make::iso(&[("text.txt", make::TEXT.to_vec()), ("empty", vec![])])),
    ];
    for (name, bytes) in archives {
        let report = Case::new(name, &bytes).run();
        assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{name}: {:?} {:?}", report.root.verdict, lines(&report));
        let shown = |wanted: &str| report.children.iter().any(|child| child.name.to_lowercase().ends_with(wanted));
        assert!(shown("text.txt") && shown("empty"), "{name}: {:?}", lines(&report));
        if let Some(big) = report.children.iter().find(|child| child.name.ends_with("big")) {
            assert_eq!(big.size, 300_000, "{name}");
        }
    }
}

#[test]
fn formats_nest_in_one_another() {
    let mut content = crate::common::eicar();
    let mut inner = "eicar.com".to_string();
    let steps: Vec<(&str, fn(&str, &[u8]) -> Vec<u8>)> = vec![
        ("7z", |name, bytes| make::sevenz(&[(name, bytes.to_vec())], &[sevenz_rust2::EncoderMethod::LZMA2.into()])),
        ("tar", |name, bytes| make::tar(&[(name, bytes.to_vec())])),
        ("tar.xz", |_, bytes| make::xz(bytes)),
        ("rar", |name, bytes| make::rar(&[(name, bytes.to_vec())], rars::ArchiveVersion::Rar50, |builder| builder)),
        ("iso", |name, bytes| make::iso(&[(name, bytes.to_vec())])),
        ("cab", |name, bytes| make::cab(&[(name, bytes.to_vec())], cab::CompressionType::MsZip)),
        ("zip", |name, bytes| zip(&[(name, bytes)])),
    ];
    let count = steps.len();
    for (extension, wrap) in steps {
        content = wrap(&inner, &content);
        inner = format!("a.{extension}");
    }
    let report = Case::new("a.zip", &content).run();
    assert_eq!(report.children.len(), count, "{:?}", lines(&report));
    assert!(report.children.iter().all(|child| child.verdict.code == Code::Infected), "{:?}", lines(&report));
}

#[test]
fn passwords_open_what_is_locked_and_only_the_right_ones() {
    for (name, bytes) in make::locked() {
        let missing = Case::new(name, &bytes).run();
        assert_eq!(missing.root.verdict.code, Code::EncryptedArchive, "{name}: {:?} {:?}", lines(&missing), missing.root.verdict);
        let wrong = Case::new(name, &bytes).passwords(&["wrong", "Right", ""]).run();
        assert_eq!(wrong.root.verdict.code, Code::EncryptedArchive, "{name}: {:?} {:?}", lines(&wrong), wrong.root.verdict);
        let right = Case::new(name, &bytes).passwords(&["wrong", "right"]).run();
        assert!(finds(&right), "{name}: {:?} {:?}", lines(&right), right.root.verdict);
        assert_eq!(right.root.verdict.code, Code::Infected, "{name}: {:?}", lines(&right));
    }
}

#[test]
fn what_is_not_locked_is_scanned_beside_what_is() {
    let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar50).password(Some(b"right".to_vec()));
    builder.add_bytes(b"locked.txt".to_vec(), make::TEXT.to_vec(), None, None).unwrap();
    builder.add_bytes(b"eicar.com".to_vec(), crate::common::eicar(), None, None).unwrap();
    builder.set_entry_encryption(b"eicar.com", None, None).unwrap();
    let report = Case::new("a.rar", &builder.to_bytes().unwrap()).run();
    assert_eq!(lines(&report), ["12 a.rar", "1 a.rar/eicar.com", "12 a.rar/locked.txt"], "{:?}", report.root.verdict);
}

#[test]
fn what_is_cut_off_never_passes() {
    for Sample { name, bytes, magic, .. } in samples() {
        let start = magic.max(1);
        let step = ((bytes.len() - start) / 40).max(1);
        for cut in (start..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let report = Case::new(name, &bytes[..cut]).run();
            // Padding, and a trailer that all programs do without, may be missing.
            let whole = finds(&report);
            // No program misses the end mark of these: what is there is shown whole.
            let between_entries = matches!((name, cut), ("a.tar", 1024) | ("a.a", 167 | 168))
                || (name == "old.rar" && (cut == 20 || bytes.get(cut + 2..).is_some_and(|next| next.starts_with(b"t \x80"))));
            let is_iso_before_its_descriptor = name == "a.iso" && cut < 17 * 2048;
            assert!(
                report.root.verdict.code.is_blocked() || between_entries || is_iso_before_its_descriptor,
                "{name} cut at {cut} of {}: {:?}",
                bytes.len(),
                lines(&report)
            );
            assert!(whole || !report.root.verdict.detail.contains("panicked"), "{name} cut at {cut}: {:?}", report.root.verdict);
        }
    }
}

/// A fixed sequence, so that a failure can be seen again.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn damaged_bytes_neither_panic_nor_hide_what_is_inside() {
    let mut state = 88_172_645_463_325_252;
    for Sample { name, bytes, magic, checked } in samples() {
        // Images are mostly padding: damage is done where something is.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes.len() < 8_192 || bytes[*at] != 0).collect();
        for round in 0..250 {
            let mut damaged = bytes.clone();
            let mut places = Vec::new();
            for _ in 0..=round % 3 {
                let at = used[random(&mut state) % used.len()];
                damaged[at] ^= (random(&mut state) as u8).max(1);
                places.push(at);
            }
            let report = Case::new(name, &damaged).run();
            let told = std::iter::once(&report.root).chain(&report.children).map(|file| file.verdict.detail.as_str());
            assert!(told.clone().all(|detail| !detail.contains("panicked")), "{name} {places:?}: {:?}", told.collect::<Vec<_>>());
            if report.root.verdict.code.is_blocked() {
                continue;
            }
            // It passed. Then it is another content now, or the file inside is: no checksum tells.
            let is_other = places.iter().any(|at| *at < magic) || (name == "a.iso" && places.iter().any(|at| (16 * 2048..17 * 2048).contains(at)));
            let text_only = || report.children.iter().all(|child| !child.verdict.code.is_blocked()) && !report.children.is_empty();
            assert!(is_other || (!checked && text_only()), "{name} damaged at {places:?} passed: {:?}", lines(&report));
            if !is_other {
                assert!(
                    places.iter().any(|at| eicar_range(&bytes).is_none_or(|range| range.contains(at) || size_of_entry(name))),
                    "{name} {places:?}: {:?}",
                    lines(&report)
                );
            }
        }
    }
}

/// Where the EICAR file lies, if it lies there as it is.
fn eicar_range(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let eicar = crate::common::eicar();
    let start = bytes.windows(eicar.len()).position(|window| window == eicar)?;
    Some(start..start + eicar.len())
}

/// Formats whose headers have no checksum: a size that is another one makes another file, for every program.
fn size_of_entry(name: &str) -> bool {
    matches!(name, "a.a" | "newc.cpio" | "odc.cpio" | "bin.cpio" | "a.iso" | "a.com.lzma")
}
