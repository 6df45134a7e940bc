//! Lists, rules, heuristics and types, through the whole pipeline.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use common::{Case, eicar, lines, zip};
use portcullis_core::domain::verdict::Code;
use portcullis_engines::Definitions;

fn definitions(files: &[(&str, &str)]) -> (tempfile::TempDir, Definitions) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let definitions = Definitions::load(Some(dir.path()), None);
    (dir, definitions)
}

fn sha256(content: &[u8]) -> String {
    Case::new("x", content).run().root.digests.sha256
}

#[test]
fn lists_decide_on_files_and_on_children() {
    let (good, bad) = (eicar(), b"bad".as_slice());
    let (_dir, definitions) =
        definitions(&[("hashes/allow.txt", &format!("{},known", sha256(&good))), ("hashes/block.txt", &format!("{},Known.Bad", sha256(bad)))]);
    let allowed = Case::new("e.com", &good).run_with(&definitions);
    assert_eq!(allowed.root.verdict.all, [Code::Allowlisted, Code::Infected]);
    assert_eq!(allowed.root.verdict.result(), "Allowed");
    let blocked = Case::new("b.txt", bad).run_with(&definitions).root;
    assert_eq!(blocked.verdict.all, [Code::Blocklisted, Code::Infected]);
    assert!(blocked.engines.iter().any(|e| e.name == "Hash Reputation" && e.threat == "Known.Bad"));

    let archive = Case::new("a.zip", &zip(&[("e.com", &good), ("ok.txt", b"fine")])).run_with(&definitions);
    assert_eq!(lines(&archive), ["0 a.zip", "7 a.zip/e.com", "0 a.zip/ok.txt"], "an allowed child does not allow its archive");
    let archive = Case::new("a.zip", &zip(&[("e.com", &good), ("b.txt", bad)])).run_with(&definitions);
    assert_eq!(lines(&archive), ["8 a.zip", "7 a.zip/e.com", "8 a.zip/b.txt"]);
}

#[test]
fn the_skip_list_leaves_named_engines_out() {
    let (_dir, definitions) = definitions(&[("hashes/skip.txt", &format!("{},noisy,YARA-X", sha256(&eicar())))]);
    let root = Case::new("e.com", &eicar()).run_with(&definitions).root;
    assert_eq!(root.verdict.code, Code::NoThreatDetected);
    assert_eq!(root.engines.iter().find(|e| e.name == "YARA-X").unwrap().code, Code::NotScanned);
}

#[test]
fn operators_rules_block_and_broken_ones_are_told() {
    let (_dir, definitions) = definitions(&[
        ("yara/mine/a.yar", "rule Forbidden_Word { strings: $a = \"forbidden word\" condition: $a }"),
        ("yara/b.yar", "rule Listed { meta: severity = \"informational\" strings: $a = \"listed word\" condition: $a }"),
        ("yara/broken.yar", "rule broken { strings: $a = condition: $a }"),
        ("hashes/block.txt", &format!("nonsense\n{}\n", "0".repeat(64))),
    ]);
    let root = Case::new("a.txt", b"a forbidden word").run_with(&definitions).root;
    assert_eq!(root.verdict.all, [Code::YaraRuleMatched, Code::Infected]);
    assert_eq!(root.engines[0].threat, "YARA.Forbidden_Word");
    assert_eq!(root.yara[0].rule, "Forbidden_Word");
    let root = Case::new("a.txt", b"a listed word").run_with(&definitions).root;
    assert_eq!(root.verdict.all, [Code::NoThreatDetected]);
    assert_eq!(root.yara[0].rule, "Listed");
    let status = definitions.status();
    assert!(status.iter().all(|s| s.active));
    assert!(status[0].issues.iter().any(|i| i.contains("broken.yar")), "{status:?}");
    assert!(status[1].issues.iter().any(|i| i.contains("line 1")), "{status:?}");
}

#[test]
fn a_rule_can_choose_engines_and_choosing_none_that_exists_is_not_clean() {
    let one = Case::new("a", b"x").rule(|rule| rule.engines = vec!["Hash Reputation".into()]).run();
    assert_eq!(one.root.engines.len(), 1);
    assert_eq!(one.root.verdict.code, Code::NoThreatDetected);
    let none = Case::new("a", b"x").rule(|rule| rule.engines = vec!["Nonexistent".into()]).run();
    assert_eq!(none.root.verdict.code, Code::Failed);
    let some = Case::new("a.zip", &zip(&[("b", b"x")])).rule(|rule| rule.engines = vec!["YARA-X".into(), "Yara".into()]).run();
    assert_eq!(lines(&some), ["3 a.zip", "3 a.zip/b"], "an engine that was asked for and does not exist");
    assert!(some.root.verdict.detail.contains("Yara"), "{}", some.root.verdict.detail);
}

#[test]
fn a_job_without_time_or_without_its_file_fails() {
    let mut case = Case::new("a", b"x");
    case.job.time_budget_ms = 0;
    assert_eq!(case.run().root.verdict.code, Code::Failed);
    let mut case = Case::new("a", b"x");
    case.job.path = case.dir().join("missing");
    let report = portcullis_engines::analyse(common::definitions(), &case.job);
    assert_eq!(report.root.verdict.code, Code::Failed);
    case.job.path = Path::new("/proc").into();
    assert_eq!(portcullis_engines::analyse(common::definitions(), &case.job).root.verdict.code, Code::Failed);
}

#[test]
fn executables_behind_documents_are_mismatches_and_double_extensions_suspicious() {
    let elf = fs::read("/proc/self/exe").map(|bytes| bytes[..4_096].to_vec()).unwrap();
    let root = Case::new("invoice.pdf", &elf).run().root;
    assert_eq!(root.verdict.code, Code::FileTypeMismatch);
    assert!(root.verdict.detail.contains(".pdf"), "{}", root.verdict.detail);
    let tolerated = Case::new("invoice.pdf", &elf).rule(|rule| rule.tolerate = vec![Code::FileTypeMismatch]).run();
    assert_eq!(tolerated.root.verdict.code, Code::NoThreatDetected);
    assert_eq!(Case::new("invoice.pdf.exe", b"MZ").run().root.verdict.code, Code::Suspicious);
    let child = Case::new("a.zip", &zip(&[("photo.jpg", &elf)])).run();
    assert_eq!(lines(&child), ["17 a.zip", "17 a.zip/photo.jpg"]);
}

#[test]
fn an_encrypted_document_is_told_from_an_ordinary_one() {
    let document = |streams: &[&str]| {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        for name in streams {
            file.create_stream(name).unwrap().write_all(b"x").unwrap();
        }
        file.into_inner().into_inner()
    };
    let root = Case::new("a.docx", &document(&["EncryptedPackage", "EncryptionInfo"])).run().root;
    assert_eq!(root.verdict.code, Code::PasswordProtectedDocument, "{:?}", root.file_type);
    let root = Case::new("a.doc", &document(&["WordDocument"])).run().root;
    assert_eq!((root.verdict.code, root.file_type.mime.as_str()), (Code::NoThreatDetected, "application/msword"));
}

#[test]
fn every_row_and_its_identity_stand_in_the_catalogue() {
    let root = Case::new("a", b"x").run().root;
    for row in &root.engines {
        assert!(portcullis_core::domain::engine::CATALOGUE.iter().any(|i| i.name == row.name && i.id == row.id), "{}", row.name);
        assert!(row.def_time.ends_with('Z') && row.threat.is_empty());
    }
}

// --- types and YARA hits, as the rule wants them

fn types(allow: &[&str], block: &[&str], skip: &[&str]) -> portcullis_core::domain::types::TypeLists {
    let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    portcullis_core::domain::types::TypeLists { allow: list(allow), block: list(block), skip: list(skip) }
}

/// A tiny picture; what follows it belongs to no chunk.
fn gif() -> Vec<u8> {
    let hex = "474946383961010001008000000000ffffff21f90401000000002c00000000010001000002024401003b";
    hex::decode(hex).unwrap()
}

#[test]
fn a_type_that_is_not_let_in_blocks_at_the_root_and_in_archives() {
    let text = b"just text\n";
    let only = |name: &str, content: &[u8]| Case::new(name, content).rule(|rule| rule.types = types(&["T"], &[], &[])).run();
    assert_eq!(only("a.txt", text).root.verdict.code, Code::NoThreatDetected);
    let refused = only("a.gif", &gif());
    assert_eq!(refused.root.verdict.code, Code::Blocklisted);
    assert!(refused.root.verdict.detail.contains("certain types only"), "{}", refused.root.verdict.detail);
    assert_eq!(only("a.zip", &zip(&[("a.txt", text)])).root.verdict.code, Code::Blocklisted, "an archive is no text");
    let no_gif = Case::new("a.zip", &zip(&[("a.txt", text), ("b.gif", &gif())])).rule(|rule| rule.types = types(&[], &["image/gif"], &[])).run();
    assert_eq!(no_gif.root.verdict.code, Code::Blocklisted, "a child that is blocked blocks");
    let codes: Vec<_> = no_gif.children.iter().map(|child| child.verdict.code).collect();
    assert_eq!(codes, [Code::NoThreatDetected, Code::Blocklisted]);
    // What the engines found is told all the same, and tolerance opens nothing.
    let eicar =
        Case::new("a.com", &eicar()).rule(|rule| (rule.types, rule.tolerate) = (types(&["P"], &[], &[]), vec![Code::UnsupportedFileType])).run();
    assert_eq!(eicar.root.verdict.code, Code::Blocklisted);
    assert!(eicar.root.verdict.all.contains(&Code::Infected));
}

#[test]
fn a_skipped_type_is_let_in_by_its_content_only_and_never_with_something_in_it() {
    let skip = |name: &str, content: &[u8]| Case::new(name, content).rule(|rule| rule.types = types(&[], &[], &["image/gif"])).run().root;
    let picture = skip("a.gif", &gif());
    assert_eq!((picture.verdict.code, picture.type_skipped, picture.engines.len()), (Code::Allowlisted, true, 1));
    assert_eq!(picture.digests.sha256.len(), 64);
    // Named like one.
    let named = skip("eicar.gif", &eicar());
    assert!(named.verdict.code.is_blocked() && !named.type_skipped);
    // A picture with an archive behind it is both.
    let both = skip("a.gif", &[gif(), zip(&[("eicar.com", &eicar())])].concat());
    assert!(both.verdict.code.is_blocked() && !both.type_skipped, "{:?}", both.verdict);
    // A picture with another name is a mismatch, skipped or not.
    assert!(skip("a.pdf", &gif()).verdict.code.is_blocked());
    let archive =
        Case::new("a.zip", &zip(&[("a.gif", &gif()), ("eicar.com", &eicar())])).rule(|rule| rule.types = types(&[], &[], &["image/gif"])).run();
    assert_eq!(archive.root.verdict.code, Code::Infected);
    assert!(archive.children[0].type_skipped);
}

#[test]
fn a_skipped_type_is_looked_up_in_the_block_list() {
    use sha2::Digest;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("hashes")).unwrap();
    std::fs::write(dir.path().join("hashes/block.txt"), format!("{}\n", hex::encode(sha2::Sha256::digest(gif())))).unwrap();
    let definitions = portcullis_engines::Definitions::load(Some(dir.path()), None);
    let case = Case::new("a.gif", &gif()).rule(|rule| rule.types = types(&[], &[], &["G"]));
    assert_eq!(case.run_with(&definitions).root.verdict.code, Code::Blocklisted);
}

#[test]
fn hits_of_rules_without_severity_block_or_inform_as_the_rule_says() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("yara")).unwrap();
    std::fs::write(dir.path().join("yara/a.yar"), "rule policy { strings: $a = \"policy-mark\" condition: $a }").unwrap();
    let definitions = portcullis_engines::Definitions::load(Some(dir.path()), None);
    let marked = b"text with policy-mark in it\n";
    let blocks = Case::new("a.txt", marked).run_with(&definitions).root;
    assert_eq!((blocks.verdict.code, blocks.detected_by()), (Code::YaraRuleMatched, 1));
    let inform = |content: &[u8]| Case::new("a.txt", content).rule(|rule| rule.yara_blocks = false).run_with(&definitions);
    let informs = inform(marked).root;
    assert_eq!(informs.verdict.all, [Code::NoThreatDetected, Code::YaraRuleMatched]);
    assert_eq!((informs.yara.len(), informs.detected_by(), informs.engines.iter().any(|row| !row.threat.is_empty())), (1, 0, false));
    assert_eq!(inform(&zip(&[("a.txt", marked)])).children[0].verdict.code, Code::NoThreatDetected);
    let both = [&marked[..], &eicar()].concat();
    assert_eq!(inform(&both).root.verdict.code, Code::Infected, "a rule with a severity counts");
}

#[test]
fn engines_that_are_switched_off_do_not_look_and_prove_nothing() {
    let off = |names: &[&str], name: &str, content: &[u8], change: fn(&mut portcullis_core::domain::rule::Rule)| {
        let mut case = Case::new(name, content).rule(change);
        case.job.overrides.disabled = names.iter().map(|name| (*name).to_owned()).collect();
        case.run()
    };
    let all = ["YARA-X", "Hash Reputation", "Documents", "PDF", "Scripts", "Executables"];
    let archive = zip(&[("e.com", &eicar()), ("ok.txt", b"fine")]);
    let report = off(&["YARA-X"], "a.zip", &archive, |_| {});
    assert!(
        std::iter::once(&report.root)
            .chain(&report.children)
            .all(|file| file.engines.len() == 5 && file.engines.iter().all(|row| row.name != "YARA-X"))
    );
    assert_eq!(lines(&off(&all, "a.zip", &archive, |_| {})), ["10 a.zip", "10 a.zip/e.com", "10 a.zip/ok.txt"]);
    assert_eq!(off(&all, "a.txt", b"fine", |rule| rule.tolerate = vec![Code::FileTypeMismatch]).root.verdict.code, Code::NotScanned);
    // Types that are not scanned are looked up in the hash lists: without those they are not let in.
    let skips = |rule: &mut portcullis_core::domain::rule::Rule| rule.types.skip = vec!["text/plain".into()];
    assert_eq!(off(&["Documents"], "a.txt", b"fine", skips).root.verdict.code, Code::Allowlisted);
    assert_eq!(off(&["Hash Reputation"], "a.txt", b"fine", skips).root.verdict.code, Code::NotScanned);
    // A rule that asks for an engine by name can not do without it, unless it says so.
    let named = off(&["PDF"], "a.txt", b"fine", |rule| rule.engines = vec!["YARA-X".into(), "PDF".into()]).root.verdict;
    assert!(named.code == Code::Failed && named.detail.contains("PDF"), "{named:?}");
    assert_eq!(off(&["PDF"], "a.txt", b"fine", |rule| rule.required_engines = vec!["PDF".into()]).root.verdict.code, Code::Failed);
    let optional = off(&["PDF"], "a.txt", b"fine", |rule| {
        rule.engines = vec!["YARA-X".into(), "PDF".into()];
        rule.required_engines = vec!["YARA-X".into()];
    });
    assert_eq!((optional.root.verdict.code, optional.root.engines.len()), (Code::NoThreatDetected, 1));
}

#[test]
fn the_lists_of_the_administration_decide_without_any_engine_of_their_own() {
    use portcullis_core::domain::skip::{Listed, Skipped};
    let run = |content: &[u8], change: &dyn Fn(&mut portcullis_core::overrides::Overrides, &portcullis_core::domain::report::Digests)| {
        let mut case = Case::new("a.zip", &zip(&[("e.com", content), ("ok.txt", b"fine")]));
        case.job.rule.required_engines = vec!["YARA-X".into()];
        change(&mut case.job.overrides, &Case::new("x", content).run().root.digests);
        case.job.overrides.disabled.insert("Hash Reputation".into());
        case.run()
    };
    let listed = || Listed { comment: "ticket 7".into() };
    let allowed = run(&eicar(), &|overrides, digests| drop(overrides.lists.whitelist.insert(digests.sha512.clone(), listed())));
    assert_eq!(lines(&allowed), ["0 a.zip", "7 a.zip/e.com", "0 a.zip/ok.txt"]);
    for kind in 0..4 {
        let blocked = run(b"bad", &|overrides, digests| {
            let digest = [&digests.md5, &digests.sha1, &digests.sha256, &digests.sha512][kind];
            overrides.lists.blacklist.insert(digest.clone(), listed());
        });
        assert_eq!(lines(&blocked), ["8 a.zip", "8 a.zip/e.com", "0 a.zip/ok.txt"]);
        assert_eq!(blocked.children[0].verdict.detail, "ticket 7");
    }
    let skip = |engines: &[&str]| Skipped { comment: String::new(), engines: engines.iter().map(|name| (*name).to_owned()).collect() };
    let one = run(&eicar(), &|overrides, digests| drop(overrides.lists.skip.insert(digests.sha256.clone(), skip(&["YARA-X"]))));
    assert_eq!(lines(&one), ["0 a.zip", "0 a.zip/e.com", "0 a.zip/ok.txt"]);
    let every = ["YARA-X", "Documents", "PDF", "Scripts", "Executables"];
    let none = run(&eicar(), &|overrides, digests| drop(overrides.lists.skip.insert(digests.sha256.clone(), skip(&every))));
    assert_eq!(lines(&none), ["10 a.zip", "10 a.zip/e.com", "0 a.zip/ok.txt"], "not shown to any engine is not clean");
}
