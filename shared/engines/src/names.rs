//! Names out of archives are display text, and hostile: they are cleaned here and used for nothing else.
//!
//! What always holds: a cleaned name has no control and no bidirectional character, and at most
//! [`MAX_CHARS`] characters. Extraction never makes a path of it.

/// Longest display name, in characters. Longer ones lose their middle, so that extension and archive stay visible.
pub(crate) const MAX_CHARS: usize = 1024;

/// Characters that change the order or the place in which others are shown (Unicode TR 9, bidi controls; line separators; BOM).
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `<archive>/<path inside>`, cleaned.
pub(crate) fn of_child(archive: &str, inside: &str) -> String {
    let inside = inside.trim_start_matches("./");
    clean(&format!("{archive}/{inside}"))
}

/// Replaces what must not be displayed by `_` and cuts the middle out of overlong names.
pub(crate) fn clean(name: &str) -> String {
    let shown = |c: char| if c.is_control() || is_deceptive(c) { '_' } else { c };
    let count = name.chars().count();
    if count <= MAX_CHARS {
        return name.chars().map(shown).collect();
    }
    let head = MAX_CHARS / 2;
    let tail = MAX_CHARS - head - 1;
    name.chars().take(head).chain(std::iter::once('…')).chain(name.chars().skip(count - tail)).map(shown).collect()
}

/// The last component of a path with either kind of slash.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Lower-case extension, without the dot; empty if there is none.
pub(crate) fn extension(path: &str) -> String {
    match file_name(path).trim_end_matches([' ', '.']).rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_lowercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_text_and_paths_stay_readable() {
        assert_eq!(of_child("a.zip", "../../etc/passwd"), "a.zip/../../etc/passwd");
        assert_eq!(of_child("a.zip", "/abs"), "a.zip//abs");
        assert_eq!(of_child("a.zip", "x\r\ny\0\u{1b}[31m"), "a.zip/x__y__[31m");
        assert_eq!(of_child("a.zip", "x\u{202e}gpj.exe"), "a.zip/x_gpj.exe");
    }

    #[test]
    fn overlong_names_keep_both_ends() {
        let name = of_child("a.zip", &format!("{}.exe", "ä".repeat(5_000)));
        assert_eq!(name.chars().count(), MAX_CHARS);
        assert!(name.starts_with("a.zip/") && extension(&name) == "exe");
    }

    #[test]
    fn extensions() {
        assert_eq!(extension("A/B.Tar.GZ"), "gz");
        assert_eq!(extension("c:\\x\\y.EXE"), "exe");
        assert_eq!(extension(".bashrc"), "");
        assert_eq!(extension("x.exe. "), "exe");
        assert_eq!(extension("none"), "");
    }
}
