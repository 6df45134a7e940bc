//! What a text is written in: the name counts, because Windows runs by name, and so does the content.

use crate::engine::Subject;
use crate::names;

/// Languages that droppers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    VbScript,
    PowerShell,
    Batch,
    Shell,
    Python,
    /// HTML applications and script components, in which JavaScript and VBScript have all rights.
    Hta,
}

impl Language {
    /// `None` for what is no script.
    pub(super) fn of(subject: &Subject<'_>) -> Option<Self> {
        let extension = names::extension(subject.name);
        // UTF-16 without a mark is no text for the detector, and runs all the same.
        let is_text = subject.file_type.category == "T" || subject.content.get(1) == Some(&0) || subject.content.starts_with(b"#@~^");
        if !is_text {
            return None;
        }
        let by_name = match extension.as_str() {
            "js" | "jse" | "mjs" | "cjs" => Some(Self::JavaScript),
            "vbs" | "vbe" | "vb" | "bas" => Some(Self::VbScript),
            "ps1" | "psm1" | "psd1" => Some(Self::PowerShell),
            "bat" | "cmd" => Some(Self::Batch),
            "sh" | "bash" | "zsh" | "ksh" | "command" | "run" => Some(Self::Shell),
            "py" | "pyw" => Some(Self::Python),
            "hta" | "wsf" | "wsc" | "sct" => Some(Self::Hta),
            _ => None,
        };
        by_name.or(match subject.file_type.mime.as_str() {
            "text/x-shellscript" => Some(Self::Shell),
            "text/x-python" => Some(Self::Python),
            "text/x-powershell" => Some(Self::PowerShell),
            "text/x-msdos-batch" => Some(Self::Batch),
            "text/vbscript" => Some(Self::VbScript),
            "application/hta" => Some(Self::Hta),
            _ => None,
        })
    }

    /// Microsoft's script encoder: a mark, and code that only the host can read. Nobody protects honest code with it any more.
    pub(super) fn is_encoded(self, content: &[u8]) -> bool {
        let head = content.get(..64 * 1024).unwrap_or(content);
        matches!(self, Self::JavaScript | Self::VbScript | Self::Hta)
            && memchr::memmem::find(head, b"#@~^").is_some_and(|at| head.get(at + 10..at + 12) == Some(b"=="))
    }
}
