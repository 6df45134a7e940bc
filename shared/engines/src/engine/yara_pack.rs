//! From rule sources to compiled rules, with a cache of compiled packs.
//!
//! The bundled rules are always there; every file below `yara/` (the operator's own) and `package/` (the
//! package in force) is its own namespace, and one that does not compile is an issue, not a failure.
//!
//! Packages hold sources and are compiled here, where they are used: compiled code never comes from S3. That
//! costs each new instance the compilation (the design had compiled and signed packs) and spares it the trust.
//!
//! **A compiled pack is executable code.** It is read back only from a directory that belongs to this
//! user and that nobody else may write, from a file that belongs to this user with mode 0600, and only
//! when its digest is right. Never point the cache at a directory that is filled from outside.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use yara_x::{Compiler, Rules, SourceCode};

use super::guarded;
use crate::clock;

/// The rules of this repository: name and source.
const BUNDLED: &[(&str, &str)] = &[
    ("test", include_str!("../../rules/test.yar")),
    ("office", include_str!("../../rules/office.yar")),
    ("scripts", include_str!("../../rules/scripts.yar")),
    ("webshells", include_str!("../../rules/webshells.yar")),
    ("documents", include_str!("../../rules/documents.yar")),
    ("binaries", include_str!("../../rules/binaries.yar")),
];
/// Date of the bundled rules.
const BUNDLED_AT: &str = "2026-11-22T00:00:00.000Z";
/// Folders of rule files, and what their namespaces begin with.
const FOLDERS: [(&str, &str); 2] = [("yara", "operator"), ("package", "package")];
/// Largest rule file read, in bytes.
const MAX_SOURCE_BYTES: u64 = 32 * 1024 * 1024;

/// Compiled rules and what is to be said about them.
pub(crate) struct Pack {
    pub(crate) rules: Rules,
    pub(crate) count: usize,
    pub(crate) def_time: String,
    pub(crate) issues: Vec<String>,
}

struct Source {
    namespace: String,
    text: String,
}

/// Compiles everything, or takes it from the cache.
pub(crate) fn load(dir: Option<&Path>, cache_dir: Option<&Path>) -> Pack {
    let mut issues = Vec::new();
    let mut newest = None;
    let mut sources: Vec<Source> =
        BUNDLED.iter().map(|(name, text)| Source { namespace: format!("portcullis.{name}"), text: (*text).into() }).collect();
    for (dir, (folder, label)) in dir.into_iter().flat_map(|dir| FOLDERS.map(|folder| (dir, folder))) {
        read_sources(&dir.join(folder), label, &mut sources, &mut issues, &mut newest);
    }
    let def_time = newest.map_or_else(|| BUNDLED_AT.into(), |at| clock::iso(at).max(BUNDLED_AT.into()));
    let cached = cache_dir.map(|dir| dir.join(format!("{}.pack", key(&sources))));
    if let Some(path) = &cached
        && let Some((rules, compile_issues)) = guarded(|| read(path)).flatten()
    {
        issues.extend(compile_issues);
        return Pack { count: rules.iter().len(), rules, def_time, issues };
    }
    let (rules, compile_issues) = guarded(|| compile(&sources)).unwrap_or_else(|| {
        let (rules, _) = compile(sources.get(..BUNDLED.len()).unwrap_or_default());
        (rules, vec!["The compiler panicked on the operator's rules; only the bundled ones are active.".into()])
    });
    if let Some(path) = &cached
        && let Err(error) = write(path, &rules, &compile_issues)
    {
        issues.push(format!("Compiled rules could not be cached: {error}."));
    }
    issues.extend(compile_issues);
    Pack { count: rules.iter().len(), rules, def_time, issues }
}

fn read_sources(root: &Path, label: &str, sources: &mut Vec<Source>, issues: &mut Vec<String>, newest: &mut Option<SystemTime>) {
    let mut files = Vec::new();
    super::super::definitions::files_below(root, &["yar", "yara"], &mut files, issues);
    for path in files {
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let read = File::open(&path).and_then(|file| {
            let modified = file.metadata()?.modified()?;
            let mut text = String::new();
            file.take(MAX_SOURCE_BYTES + 1).read_to_string(&mut text)?;
            Ok((modified, text))
        });
        match read {
            Ok((_, text)) if text.len() as u64 > MAX_SOURCE_BYTES => issues.push(format!("Rule file `{shown}` is too large.")),
            Ok((modified, text)) => {
                *newest = (*newest).max(Some(modified));
                sources.push(Source { namespace: format!("{label}.{shown}"), text });
            }
            Err(error) => issues.push(format!("Rule file `{shown}` could not be read: {error}.")),
        }
    }
}

/// How rules are compiled, wherever they come from.
pub(crate) fn configure(compiler: &mut Compiler<'_>) {
    compiler.enable_includes(false).relaxed_re_syntax(true);
}

fn compile(sources: &[Source]) -> (Rules, Vec<String>) {
    let mut issues = Vec::new();
    let mut compiler = Compiler::new();
    configure(&mut compiler);
    compiler.max_warnings(0);
    for source in sources {
        compiler.new_namespace(&source.namespace);
        if let Err(error) = compiler.add_source(SourceCode::from(source.text.as_str()).with_origin(&source.namespace)) {
            let text = error.to_string();
            let shown: String = text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ").chars().take(300).collect();
            issues.push(format!("Rule file `{}` does not compile: {shown}", source.namespace.trim_start_matches("operator.")));
        }
    }
    (compiler.build(), issues)
}

/// Names a pack by everything that decides about its content and about where its machine code runs.
fn key(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(yara_x::VERSION.as_bytes());
    part(std::env::consts::ARCH.as_bytes());
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    part(flags.unwrap_or_default().as_bytes());
    for source in sources {
        part(source.namespace.as_bytes());
        part(source.text.as_bytes());
    }
    hex::encode(hash.finalize())
}

fn own_uid() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

fn refuse(why: &str, path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("`{}` {why}", path.display()))
}

/// Makes the directory if needed; refuses one that others could fill.
fn private_dir(path: &Path) -> io::Result<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != own_uid()? || meta.mode() & 0o022 != 0 {
        return Err(refuse("is not a directory that only this user can write", dir));
    }
    Ok(dir.to_path_buf())
}

fn read(path: &Path) -> Option<(Rules, Vec<String>)> {
    private_dir(path).ok()?;
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    if meta.uid() != own_uid().ok()? || meta.mode() & 0o077 != 0 {
        return None;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let (digest, rest) = bytes.split_at_checked(32)?;
    if Sha256::digest(rest).as_slice() != digest {
        return None;
    }
    let (length, rest) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (issues, pack) = rest.split_at_checked(length)?;
    Some((Rules::deserialize(pack).ok()?, serde_json::from_slice(issues).ok()?))
}

fn write(path: &Path, rules: &Rules, issues: &[String]) -> io::Result<()> {
    let dir = private_dir(path)?;
    let issues = serde_json::to_vec(issues)?;
    let mut body = u32::try_from(issues.len()).unwrap_or(0).to_le_bytes().to_vec();
    body.extend_from_slice(&issues);
    body.extend_from_slice(&rules.serialize().map_err(io::Error::other)?);
    // Written beside and renamed: readers see a whole pack or none.
    let beside = dir.join(format!(".{}.{}", std::process::id(), path.file_name().unwrap_or_default().to_string_lossy()));
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&Sha256::digest(&body))?;
    file.write_all(&body)?;
    drop(file);
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_bundled_rules_compile_without_issues() {
        let pack = load(None, None);
        assert_eq!(pack.issues, Vec::<String>::new());
        assert!(pack.count >= 20, "{}", pack.count);
    }

    #[test]
    fn packs_are_cached_privately_and_a_damaged_one_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let count = load(None, Some(&cache)).count;
        let path = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);
        assert!(read(&path).is_some());
        assert_eq!(load(None, Some(&cache)).count, count);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).is_none(), "a file others can reach is not loaded");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(read(&path).is_none(), "a damaged pack is not loaded");
        assert_eq!(load(None, Some(&cache)).count, count);

        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        let pack = load(None, Some(&cache));
        assert!(pack.issues.iter().any(|i| i.contains("only this user")), "{:?}", pack.issues);
        assert_eq!(pack.count, count);
    }

    #[test]
    fn a_file_that_does_not_compile_is_an_issue_and_the_others_work() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("yara/sub");
        fs::create_dir_all(&rules).unwrap();
        fs::write(rules.join("good.yar"), "rule same { condition: filesize > 10MB }").unwrap();
        fs::write(rules.join("good2.yara"), "rule same { condition: filesize > 11MB }").unwrap();
        fs::write(rules.join("bad.yar"), "rule broken { condition: nonsense }").unwrap();
        fs::write(rules.join("include.yar"), "include \"/etc/passwd\"").unwrap();
        let bundled = load(None, None).count;
        let pack = load(Some(dir.path()), None);
        assert_eq!(pack.count, bundled + 2);
        assert_eq!(pack.issues.len(), 2, "{:?}", pack.issues);
        assert!(pack.issues.iter().any(|i| i.contains("sub/bad.yar")));
        assert!(pack.issues.iter().all(|i| !i.contains("root:")));
    }
}
