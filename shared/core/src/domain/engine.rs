//! Who the engines are. The identities stand here, not in the engine crate, because the functions that
//! answer `/stat/engines` must not link the engines.
//!
//! What always holds: the name of a row in `scan_details` is a name of [`CATALOGUE`] (contract §2.5:
//! clients look every engine up in `/stat/engines` and crash when it is missing).

use serde::{Deserialize, Serialize};

/// The fixed part of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineIdentity {
    /// `eng_name`, the key of `scan_details`.
    pub name: &'static str,
    /// `eng_id`.
    pub id: &'static str,
    /// `engine_type`: `av`, `archive` or `filetype` (contract §6.9).
    pub kind: &'static str,
}

/// YARA-X over the bundled rule pack and the operator's rules.
pub const YARA_X: EngineIdentity = EngineIdentity { name: "YARA-X", id: "yarax_1_linux", kind: "av" };
/// Allow, block and skip lists by md5, sha1, sha256 or sha512.
pub const HASH_REPUTATION: EngineIdentity = EngineIdentity { name: "Hash Reputation", id: "hashrep_1_linux", kind: "av" };
/// Office documents: macros, fields that start programs, templates and objects from servers.
pub const DOCUMENTS: EngineIdentity = EngineIdentity { name: "Documents", id: "documents_1_linux", kind: "av" };
/// PDF: scripts, actions, attachments, and what hides them.
pub const PDF: EngineIdentity = EngineIdentity { name: "PDF", id: "pdf_1_linux", kind: "av" };
/// Scripts and shortcuts: droppers, encoded commands, obfuscation.
pub const SCRIPTS: EngineIdentity = EngineIdentity { name: "Scripts", id: "scripts_1_linux", kind: "av" };
/// Programs: anomalies of PE, ELF and Mach-O files.
pub const EXECUTABLES: EngineIdentity = EngineIdentity { name: "Executables", id: "executables_1_linux", kind: "av" };
/// ClamAV behind clamd's protocol; there only where a deployment names a clamd.
pub const CLAMAV: EngineIdentity = EngineIdentity { name: "ClamAV", id: "clamav_1_linux", kind: "av" };
/// Archive extraction. It has no row in `scan_details`.
pub const ARCHIVE: EngineIdentity = EngineIdentity { name: "Archive Extraction", id: "archive_1_linux", kind: "archive" };
/// File type detection. It has no row in `scan_details`.
pub const FILE_TYPE: EngineIdentity = EngineIdentity { name: "File Type Detection", id: "filetype_1_linux", kind: "filetype" };

/// All engines.
pub const CATALOGUE: &[EngineIdentity] = &[YARA_X, HASH_REPUTATION, DOCUMENTS, PDF, SCRIPTS, EXECUTABLES, CLAMAV, ARCHIVE, FILE_TYPE];

impl EngineIdentity {
    /// Whether a deployment may be without this engine. One that is absent has no row and is not listed.
    pub fn is_optional(&self) -> bool {
        self.id == CLAMAV.id
    }
}

/// What a running engine says of itself: published by the scan function, shown by `/stat/engines`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// `eng_name`.
    pub name: String,
    /// `eng_ver`, free form.
    pub version: String,
    /// Date of the definitions, ISO 8601 with milliseconds and `Z`.
    pub def_time: String,
    /// Whether it can scan.
    pub active: bool,
    /// What is wrong with its definitions, one sentence each (a rule file that does not compile, say).
    #[serde(default)]
    pub issues: Vec<String>,
}
