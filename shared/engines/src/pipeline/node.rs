//! The tree of contents of one submission, and the verdicts on it, deepest first.

use portcullis_core::domain::report::{AnalysisReport, Digests, EngineReport, FileReport, FileType, Timing};
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::types::Ruling;
use portcullis_core::domain::verdict::{Code, Verdict};

use super::scan::Scanned;
use crate::archive::{Opening, Plan};

struct Node {
    report: FileReport,
    parent: Option<usize>,
    /// Inputs of the verdict: own engines, limits, children.
    codes: Vec<Code>,
    /// What the archive gets from this child instead of its main code (an entry that can not be decrypted).
    upwards: Option<Code>,
    /// Whether a scan of this content is due.
    expected: bool,
    /// Whether it is listed only if there is something to tell of it or of what is in it.
    is_part: bool,
}

/// All contents, parents before children, in the order of extraction.
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// A tree of the submitted file only.
    pub(super) fn new(name: String, size: u64, file_type: FileType, filetype_ms: u64) -> Self {
        let mut tree = Self { nodes: Vec::new() };
        tree.add(None, name, size, file_type, filetype_ms);
        tree
    }

    /// A tree of the submitted file, of which nothing good can be said.
    pub(super) fn broken(name: String, size: u64, why: &str) -> Self {
        let mut tree = Self::new(name, size, FileType::default(), 0);
        tree.fail(0, why);
        tree
    }

    /// Adds a content whose scan will follow; gives its number.
    pub(super) fn add(&mut self, parent: Option<usize>, name: String, size: u64, file_type: FileType, filetype_ms: u64) -> usize {
        let depth = parent.and_then(|parent| self.nodes.get(parent)).map_or(0, |parent| parent.report.depth + 1);
        let report = FileReport {
            name,
            size,
            digests: Digests::default(),
            file_type,
            engines: Vec::new(),
            yara: Vec::new(),
            verdict: Verdict::failed("not decided"),
            timing: Timing { filetype_ms, ..Timing::default() },
            depth,
            is_archive: false,
            type_skipped: false,
        };
        self.nodes.push(Node { report, parent, codes: Vec::new(), upwards: None, expected: true, is_part: false });
        self.nodes.len() - 1
    }

    /// Adds an entry that can not be scanned.
    pub(super) fn add_blocked(&mut self, parent: usize, name: String, size: u64, code: Code, why: &str) {
        let index = self.add(Some(parent), name, size, FileType::default(), 0);
        self.found(index, code, why);
        if let Some(node) = self.nodes.get_mut(index) {
            node.expected = false;
            node.upwards = (code == Code::EncryptedArchive).then_some(code);
        }
    }

    /// Contents so far: the number of the next one.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The display name of a node.
    pub(super) fn name(&self, index: usize) -> &str {
        self.nodes.get(index).map_or("", |node| &node.report.name)
    }

    /// The type of a node.
    pub(super) fn file_type(&self, index: usize) -> &FileType {
        static NONE: std::sync::LazyLock<FileType> = std::sync::LazyLock::new(FileType::default);
        self.nodes.get(index).map_or(&NONE, |node| &node.report.file_type)
    }

    /// Marks a node as a part of its document.
    pub(super) fn is_part(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.is_part = true;
        }
    }

    /// Whether what comes out of a node is a part of a document, and no file of its own.
    pub(super) fn is_document(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(|node| matches!(node.report.file_type.category.as_str(), "D" | "P"))
    }

    /// Adds what the rule says of files of this type; whether the content is let in without a scan. One that is not
    /// plain (it holds others, or might) is always scanned.
    pub(super) fn ruled(&mut self, index: usize, ruling: Ruling, is_plain: bool) -> bool {
        match ruling {
            Ruling::Scan => false,
            Ruling::Skip => is_plain,
            Ruling::Refuse(why) => {
                self.found(index, Code::Blocklisted, &why);
                false
            }
        }
    }

    /// How deep a node is.
    pub(super) fn depth(&self, index: usize) -> u32 {
        self.nodes.get(index).map_or(u32::MAX, |node| node.report.depth)
    }

    /// Marks a node as opened.
    pub(super) fn opened(&mut self, index: usize, extraction_ms: u64) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.report.is_archive = true;
            node.report.timing.extraction_ms = extraction_ms;
        }
    }

    /// Tells something about a node that does not change its verdict.
    pub(super) fn note(&mut self, index: usize, note: &str) {
        if let Some(node) = self.nodes.get_mut(index)
            && node.report.verdict.detail == "not decided"
        {
            node.report.verdict.detail = note.into();
        }
    }

    /// Adds an input to a node's verdict.
    pub(super) fn found(&mut self, index: usize, code: Code, why: &str) {
        if let Some(node) = self.nodes.get_mut(index) {
            if !node.codes.contains(&code) {
                node.codes.push(code);
            }
            self.note(index, why);
        }
    }

    /// Adds `Failed` to a node's verdict.
    pub(super) fn fail(&mut self, index: usize, why: &str) {
        self.found(index, Code::Failed, why);
    }

    /// Adds what is not done with a node's content; gives how it is opened if it is.
    pub(super) fn planned(&mut self, index: usize, plan: Plan, is_typed: bool) -> Option<Opening> {
        if !is_typed {
            self.fail(index, "the type of the content could not be determined");
        }
        match plan {
            Plan::Open(opening, closed) => {
                if let Some(why) = closed {
                    self.found(index, Code::UnsupportedFileType, &why);
                }
                return Some(opening);
            }
            Plan::Nothing => {}
            Plan::Unopened(why) => self.found(index, Code::UnsupportedFileType, &why),
            Plan::Unknown => self.fail(index, "whether the content is an archive could not be determined"),
        }
        None
    }

    /// A limit: it is told of the node and of all archives around it.
    pub(super) fn limit(&mut self, index: usize, code: Code, why: &str) {
        let mut at = Some(index);
        while let Some(index) = at {
            self.found(index, code, why);
            at = self.nodes.get(index).and_then(|node| node.parent);
        }
    }

    /// Takes over what a scan found.
    pub(super) fn scanned(&mut self, scanned: Scanned) {
        let index = scanned.index;
        if scanned.codes.contains(&Code::ExceededArchiveTimeout) {
            self.limit(index, Code::ExceededArchiveTimeout, &scanned.detail);
        }
        if !scanned.detail.is_empty() {
            self.note(index, &scanned.detail);
        }
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.expected = false;
        node.report.digests = scanned.digests;
        node.report.engines = scanned.rows;
        node.report.yara = scanned.hits;
        node.report.type_skipped = scanned.skipped;
        node.report.timing.hash_ms = scanned.hash_ms;
        node.report.timing.engines_ms = scanned.engines_ms;
        node.codes.extend(scanned.codes);
    }

    /// An engine that found something in a child found it in the archive: clients judge a file by its own rows.
    fn detected(&mut self, index: usize, detections: Vec<EngineReport>) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        for detection in detections {
            let row = node.report.engines.iter_mut().find(|row| row.name == detection.name && row.code == Code::NoThreatDetected);
            if let Some(row) = row {
                (row.code, row.threat) = (detection.code, detection.threat);
            }
        }
    }

    /// Decides on every content, children before their archives.
    pub(super) fn decide(mut self, rule: &Rule) -> AnalysisReport {
        for index in (0..self.nodes.len()).rev() {
            if self.nodes.get(index).is_some_and(|node| node.expected) {
                self.fail(index, "the content was not scanned");
            }
            let Some(node) = self.nodes.get_mut(index) else { continue };
            let mut detail = std::mem::take(&mut node.report.verdict.detail);
            if detail == "not decided" {
                detail.clear();
            }
            let Timing { hash_ms, filetype_ms, extraction_ms, engines_ms, .. } = node.report.timing;
            node.report.timing.total_ms = hash_ms.max(engines_ms) + filetype_ms + extraction_ms;
            // Of rules that only inform it is told, and no more.
            let informs = !rule.yara_blocks && node.codes.contains(&Code::YaraRuleMatched);
            if informs {
                node.codes.retain(|code| *code != Code::YaraRuleMatched);
            }
            let mut verdict = Verdict { detail: detail.clone(), ..Verdict::decide(&node.codes, &rule.tolerate) };
            if informs {
                verdict.all.push(Code::YaraRuleMatched);
            }
            node.report.verdict = verdict;
            let code = node.report.verdict.code;
            let upwards = node.upwards.unwrap_or(code);
            if code.is_blocked()
                && let Some(parent) = node.parent
            {
                let name = crate::names::file_name(&node.report.name);
                let why = if detail.is_empty() { format!("`{name}`: {}", code.text()) } else { format!("`{name}`: {detail}") };
                let detections: Vec<EngineReport> = node.report.detections().cloned().collect();
                self.found(parent, upwards, &why);
                self.detected(parent, detections);
            }
        }
        let mut nodes = listed(self.nodes).into_iter();
        let root = nodes.next();
        let children = nodes.collect();
        // There is always a root: `new` is the only way to make a tree.
        let root = root.unwrap_or_else(|| FileReport {
            name: String::new(),
            size: 0,
            digests: Digests::default(),
            file_type: FileType::default(),
            engines: Vec::new(),
            yara: Vec::new(),
            verdict: Verdict::failed("nothing was analysed"),
            timing: Timing::default(),
            depth: 0,
            is_archive: false,
            type_skipped: false,
        });
        AnalysisReport { root, children }
    }
}

/// The reports that clients see: all but clean parts of documents that hold nothing but such. A document without
/// files in it is then no archive (contract §2.2: `extracted_files` is for archives).
fn listed(mut nodes: Vec<Node>) -> Vec<FileReport> {
    let mut is_listed = vec![false; nodes.len()];
    let mut holds = vec![false; nodes.len()];
    for (index, node) in nodes.iter_mut().enumerate().rev() {
        let has_children = holds.get(index) == Some(&true);
        let is_container = matches!(node.report.file_type.category.as_str(), "A" | "I");
        node.report.is_archive &= is_container || has_children;
        let is_kept = !node.is_part || has_children || node.report.verdict.code.is_blocked() || node.report.verdict.all.len() > 1;
        if let Some(listed) = is_listed.get_mut(index) {
            *listed = is_kept;
        }
        if let Some(parent) = node.parent.filter(|_| is_kept)
            && let Some(holds) = holds.get_mut(parent)
        {
            *holds = true;
        }
    }
    nodes.into_iter().zip(is_listed).filter(|(_, is_listed)| *is_listed).map(|(node, _)| node.report).collect()
}
