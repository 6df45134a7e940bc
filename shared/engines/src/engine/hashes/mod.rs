//! Allow, block and skip lists by digest.
//!
//! Large lists are files `hashes/{allow,block,skip}*.hashlist` ([`file`]), which [`import`] makes of other people's lists. Small ones are
//! `hashes/{allow,block,skip}*.txt|csv` with lines `hash[,comment[,engine1|engine2]]`; `#` starts a
//! comment line. What always holds: the allow list takes SHA-256 and SHA-512 only, because whoever can
//! make two files with one MD5 or SHA-1 could bring the second one in under the first one's name.

mod file;
mod import;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use portcullis_core::domain::engine::{CATALOGUE, EngineIdentity, HASH_REPUTATION};
use portcullis_core::domain::report::Digests;
use portcullis_core::domain::verdict::Code;

use super::{Engine, EngineOutcome, Session, Subject, guarded};
use crate::clock;
use crate::definitions::{BUILT_AT, files_below, has_extension};

/// Issues told per file; the rest is counted.
const ISSUES_PER_FILE: usize = 5;
/// Threat name of a listed content without a comment.
const UNNAMED: &str = "Blocklisted hash";

/// Lines of one text list: an entry costs about 150 bytes.
const MAX_LINES: usize = 1_000_000;
/// Extension of list files.
pub(crate) const EXTENSION: &str = "hashlist";

pub use self::file::{Builder, List};
use self::file::{ListFile, section_of};
pub use self::import::{Imported, import};

/// The engine.
pub struct HashReputation {
    files: Vec<ListFile>,
    allow: HashSet<Box<[u8]>>,
    block: HashMap<Box<[u8]>, Box<str>>,
    skip: HashMap<Box<[u8]>, Vec<String>>,
    def_time: String,
    issues: Vec<String>,
    /// What to tell of every content, if a block list can not be used: nobody can say then what is not on it.
    broken: Option<String>,
}

impl HashReputation {
    /// Reads all lists below `dir`.
    pub(crate) fn load(dir: Option<&Path>) -> Self {
        let mut engine = Self {
            files: Vec::new(),
            allow: HashSet::new(),
            block: HashMap::new(),
            skip: HashMap::new(),
            def_time: BUILT_AT.into(),
            issues: Vec::new(),
            broken: None,
        };
        let mut files = Vec::new();
        if let Some(dir) = dir {
            files_below(&dir.join("hashes"), &[], &mut files, &mut engine.issues);
        }
        let mut newest: Option<SystemTime> = None;
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if !has_extension(&path, &["txt", "csv", EXTENSION]) {
                engine.issues.push(format!("Hash list `{name}` is ignored: its name ends in none of .txt, .csv, .{EXTENSION}."));
                continue;
            }
            let Some(list) = List::of_name(&name) else {
                engine.issues.push(format!("Hash list `{name}` is ignored: its name begins with none of allow, block, skip."));
                continue;
            };
            if has_extension(&path, &[EXTENSION]) {
                newest = newest.max(engine.map(&path, &name, list));
                continue;
            }
            newest = newest.max(engine.read(&path, &name, list));
        }
        if let Some(at) = newest {
            engine.def_time = clock::iso(at);
        }
        engine
    }

    fn map(&mut self, path: &Path, name: &str, list: List) -> Option<SystemTime> {
        match guarded(|| ListFile::open(path)).unwrap_or_else(|| Err("could not be read".into())) {
            Ok(file) if file.list == list => {
                let created = file.created;
                self.files.push(file);
                return Some(created);
            }
            Ok(_) => self.unusable(list, format!("Hash list `{name}` was made for another list than its name says.")),
            Err(why) => self.unusable(list, format!("Hash list `{name}` {why}.")),
        }
        None
    }

    fn read(&mut self, path: &PathBuf, name: &str, list: List) -> Option<SystemTime> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                self.unusable(list, format!("Hash list `{name}` could not be read: {error}."));
                return None;
            }
        };
        let (mut bad, mut good) = (0, 0);
        if text.lines().nth(MAX_LINES).is_some() {
            self.unusable(
                list,
                format!("Hash list `{name}` has more than {MAX_LINES} lines; `portcullis import-hashes` makes a .{EXTENSION} of it."),
            );
            return None;
        }
        for (number, line) in text.lines().enumerate() {
            match self.line(line.trim_start_matches('\u{feff}').trim(), list) {
                Ok(used) => good += usize::from(used),
                Err(why) => {
                    bad += 1;
                    if bad <= ISSUES_PER_FILE {
                        self.issues.push(format!("Hash list `{name}`, line {}: {why}.", number + 1));
                    }
                }
            }
        }
        if bad > ISSUES_PER_FILE {
            self.issues.push(format!("Hash list `{name}` has {bad} bad lines."));
        }
        if bad > 0 && good == 0 {
            self.unusable(list, format!("Hash list `{name}` has no usable line (is it UTF-8 text?)."));
        }
        fs::metadata(path).and_then(|meta| meta.modified()).ok()
    }

    fn unusable(&mut self, list: List, why: String) {
        if list == List::Block && self.broken.is_none() {
            self.broken = Some(why.clone());
        }
        self.issues.push(why);
    }

    /// Takes a line over; tells whether there was something to take.
    fn line(&mut self, line: &str, list: List) -> Result<bool, &'static str> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(false);
        }
        let mut fields = line.splitn(3, ',').map(str::trim);
        let digest = fields.next().unwrap_or_default();
        let comment = fields.next().unwrap_or_default();
        let bytes = hex::decode(digest).map_err(|_| "not a hexadecimal digest")?.into_boxed_slice();
        if !matches!(bytes.len(), 16 | 20 | 32 | 64) {
            return Err("not of the length of md5, sha1, sha256 or sha512");
        }
        match list {
            List::Allow if bytes.len() < 32 => return Err("the allow list takes sha256 and sha512 only (md5 and sha1 have collisions)"),
            List::Allow => drop(self.allow.insert(bytes)),
            List::Block => drop(self.block.insert(bytes, if comment.is_empty() { UNNAMED } else { comment }.into())),
            List::Skip if bytes.len() < 32 => return Err("the skip list takes sha256 and sha512 only (md5 and sha1 have collisions)"),
            List::Skip => {
                let engines = engines_of(fields.next().unwrap_or_default())?;
                self.skip.insert(bytes, engines);
            }
        }
        Ok(true)
    }

    fn look_up(&self, digests: &Digests) -> EngineOutcome {
        let all = [&digests.sha256, &digests.sha512, &digests.sha1, &digests.md5];
        if all.iter().any(|digest| digest.is_empty()) {
            return EngineOutcome::failed("digests are missing");
        }
        let mut outcome = EngineOutcome::clean();
        for digest in all {
            let Ok(bytes) = hex::decode(digest) else { return EngineOutcome::failed("a digest is malformed") };
            let filed = |list: List| self.files.iter().filter(move |file| file.list == list).find_map(|file| file.find(&bytes));
            if let Some(threat) = self.block.get(bytes.as_slice()).map(AsRef::as_ref).or_else(|| filed(List::Block))
                && outcome.code == Code::NoThreatDetected
            {
                outcome.code = Code::Infected;
                outcome.threat = if threat.is_empty() { UNNAMED } else { threat }.into();
                outcome.also.push(Code::Blocklisted);
            }
            if !outcome.also.contains(&Code::Allowlisted) && (self.allow.contains(bytes.as_slice()) || filed(List::Allow).is_some()) {
                outcome.also.push(Code::Allowlisted);
            }
            if let Some(engines) = self.skip.get(bytes.as_slice()) {
                outcome.skips.extend(engines.iter().cloned());
            }
            if let Some(engines) = filed(List::Skip) {
                outcome.skips.extend(engines.split('|').map(Into::into));
            }
        }
        match &self.broken {
            Some(why) if outcome.code == Code::NoThreatDetected => EngineOutcome { code: Code::Failed, threat: why.clone(), ..outcome },
            _ => outcome,
        }
    }
}

/// `engine1|engine2`: names of engines, at least one.
fn engines_of(text: &str) -> Result<Vec<String>, &'static str> {
    let engines: Vec<String> = text.split('|').map(str::trim).filter(|e| !e.is_empty()).map(Into::into).collect();
    if engines.is_empty() {
        return Err("no engine to skip is named");
    }
    if engines.iter().any(|e| !CATALOGUE.iter().any(|identity| identity.name == e)) {
        return Err("an engine of this name does not exist");
    }
    Ok(engines)
}

impl Engine for HashReputation {
    fn identity(&self) -> EngineIdentity {
        HASH_REPUTATION
    }
    fn version(&self) -> String {
        format!(
            "{} ({} hashes)",
            env!("CARGO_PKG_VERSION"),
            self.allow.len() + self.block.len() + self.skip.len() + self.files.iter().map(ListFile::len).sum::<usize>()
        )
    }
    fn def_time(&self) -> std::borrow::Cow<'_, str> {
        self.def_time.as_str().into()
    }
    fn issues(&self) -> &[String] {
        &self.issues
    }
    fn needs_digests(&self) -> bool {
        true
    }
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

impl Session for &HashReputation {
    fn scan(&mut self, subject: &Subject<'_>, _budget: Duration) -> EngineOutcome {
        self.look_up(subject.digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digests;

    fn engine(files: &[(&str, String)]) -> HashReputation {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hashes")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join("hashes").join(name), text).unwrap();
        }
        HashReputation::load(Some(dir.path()))
    }

    #[test]
    fn each_digest_finds_its_list() {
        let (a, b, c) = (digests::of(b"a"), digests::of(b"b"), digests::of(b"c"));
        let engine = engine(&[
            ("allow.txt", format!("# ours\n{},from us\n\n", a.sha256)),
            ("block-1.csv", format!("{}, Evil.B \n{}\n", b.md5, c.sha1.to_uppercase())),
            ("skip.txt", format!("{},loud,YARA-X|Scripts", a.sha512)),
        ]);
        assert_eq!(engine.issues, Vec::<String>::new());
        let found = engine.look_up(&a);
        assert_eq!((found.code, found.also.as_slice()), (Code::NoThreatDetected, [Code::Allowlisted].as_slice()));
        assert_eq!(found.skips, ["YARA-X", "Scripts"]);
        assert_eq!(engine.look_up(&b).threat, "Evil.B");
        assert_eq!(engine.look_up(&c).threat, UNNAMED);
        assert_eq!(engine.look_up(&c).also, [Code::Blocklisted]);
        assert_eq!(engine.look_up(&digests::of(b"d")), EngineOutcome::clean());
        assert_eq!(engine.look_up(&Digests::default()).code, Code::Failed, "nothing to compare with is not clean");
    }

    #[test]
    fn bad_lines_are_issues_and_collisions_can_not_allow() {
        let a = digests::of(b"a");
        let engine = engine(&[
            ("allow.txt", format!("{}\n{}\nzz\n1234\n", a.md5, a.sha1)),
            ("skip.csv", format!("{},x\n{},x,Nonsense\n", a.sha256, a.sha256)),
            ("other.txt", "x".into()),
        ]);
        assert_eq!(engine.issues.len(), 9, "{:?}", engine.issues);
        assert_eq!(engine.look_up(&a), EngineOutcome::clean());
    }

    #[test]
    fn a_block_list_that_can_not_be_used_fails_every_scan() {
        let (a, b) = (digests::of(b"a"), digests::of(b"b"));
        let utf16: String = format!("{}\n", a.sha256).chars().flat_map(|c| [c, '\0']).collect();
        let broken = engine(&[("block.txt", format!("{}\n", b.md5)), ("block2.txt", utf16)]);
        let found = broken.look_up(&a);
        assert_eq!(found.code, Code::Failed);
        assert!(found.threat.contains("block2.txt"), "{}", found.threat);
        assert!(broken.issues.contains(&found.threat));
        assert_eq!(broken.look_up(&b).code, Code::Infected, "what can be said is said");
        let template = engine(&[("block.txt", "# one digest per line\n\n".into()), ("allow.txt", "zz\n".into())]);
        assert_eq!(template.look_up(&a), EngineOutcome::clean());
    }

    #[test]
    fn extensions_in_capitals_are_read_and_ignored_files_are_told() {
        let (a, b) = (digests::of(b"a"), digests::of(b"b"));
        let engine = engine(&[("block2.TXT", format!("{}\n", a.sha256)), ("block.list", format!("{}\n", b.sha256)), (".keep", String::new())]);
        assert_eq!(engine.look_up(&a).code, Code::Infected);
        assert_eq!(engine.issues.len(), 1, "{:?}", engine.issues);
        assert!(engine.issues[0].contains("block.list"));
    }

    #[test]
    fn list_files_decide_like_text_lists_and_a_broken_block_list_fails_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let hashes = dir.path().join("hashes");
        fs::create_dir(&hashes).unwrap();
        let (a, b, c) = (digests::of(b"a"), digests::of(b"b"), digests::of(b"c"));
        for (list, name, line) in [
            (List::Allow, "allow.hashlist", format!("{}\n", a.sha512)),
            (List::Block, "block-2.hashlist", format!("{},Evil.B\n", b.md5)),
            (List::Skip, "skip.hashlist", format!("{},x,YARA-X|PDF\n", c.sha256)),
        ] {
            let input = dir.path().join("in");
            fs::write(&input, line).unwrap();
            import(list, &[input], &hashes.join(name)).unwrap();
        }
        let engine = HashReputation::load(Some(dir.path()));
        assert_eq!(engine.issues, Vec::<String>::new());
        assert_eq!(engine.look_up(&a).also, [Code::Allowlisted]);
        assert_eq!((engine.look_up(&b).code, engine.look_up(&b).threat.as_str()), (Code::Infected, "Evil.B"));
        assert_eq!(engine.look_up(&c).skips, ["YARA-X", "PDF"]);
        assert_eq!(engine.look_up(&digests::of(b"d")), EngineOutcome::clean());
        assert!(engine.version().contains("(3 hashes)") && engine.def_time.as_str() > "2026");

        // Renamed to be another list, and damaged.
        fs::rename(hashes.join("allow.hashlist"), hashes.join("skip-a.hashlist")).unwrap();
        let mut bytes = fs::read(hashes.join("block-2.hashlist")).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(hashes.join("block-2.hashlist"), bytes).unwrap();
        let engine = HashReputation::load(Some(dir.path()));
        assert_eq!(engine.issues.len(), 2, "{:?}", engine.issues);
        assert_eq!(engine.look_up(&a).code, Code::Failed, "nobody knows what was on the block list");
        assert!(engine.look_up(&a).threat.contains("block-2.hashlist"));
    }
}
