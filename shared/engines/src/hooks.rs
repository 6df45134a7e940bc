//! Ways to die on purpose, for the tests of workers. None of it exists in release builds.
//!
//! A debug build that finds `PORTCULLIS_TEST_HOOKS=1` in its environment does what a content asks for
//! that begins with `PORTCULLIS-TEST-HOOK:` and one of `abort`, `overflow`, `hog`, `loop`, `panic`: an engine does it.
//! With `-type`, `-plan` or `-unpack` behind it, the detection of its type does it, or what decides whether to open it,
//! or what opens it (an archive, somewhere in the first 4 KiB of which the wish stands).

/// Name of the environment variable.
pub(crate) const ENV: &str = "PORTCULLIS_TEST_HOOKS";

/// Does what the content asks for, if hooks are on.
#[cfg(not(debug_assertions))]
pub(crate) fn trigger(_content: &[u8]) {}

/// The same where types are detected.
#[cfg(not(debug_assertions))]
pub(crate) fn trigger_type(_content: &[u8]) {}

/// The same where it is decided whether to open a content.
#[cfg(not(debug_assertions))]
pub(crate) fn trigger_plan(_content: &[u8]) {}

/// The same where a content is opened.
#[cfg(not(debug_assertions))]
pub(crate) fn trigger_unpack(_content: &[u8]) {}

#[cfg(debug_assertions)]
pub(crate) use debug::{trigger, trigger_plan, trigger_type, trigger_unpack};

#[cfg(debug_assertions)]
mod debug {
    use std::sync::OnceLock;

    const MARK: &[u8] = b"PORTCULLIS-TEST-HOOK:";

    /// Does what the content asks for, if hooks are on.
    pub(crate) fn trigger(content: &[u8]) {
        act(content, b"");
    }

    /// Does it where types are detected.
    pub(crate) fn trigger_type(content: &[u8]) {
        act(content, b"-type");
    }

    /// Does it where it is decided whether to open a content.
    pub(crate) fn trigger_plan(content: &[u8]) {
        act(content, b"-plan");
    }

    /// Does it where a content is opened.
    pub(crate) fn trigger_unpack(content: &[u8]) {
        let head = content.get(..content.len().min(4096)).unwrap_or_default();
        let Some(at) = memchr::memmem::find(head, MARK) else { return };
        let rest = head.get(at..).unwrap_or_default();
        let end = rest.iter().skip(MARK.len()).position(|b| !b.is_ascii_lowercase() && *b != b'-').map_or(rest.len(), |n| n + MARK.len());
        act(rest.get(..end).unwrap_or_default(), b"-unpack");
    }

    #[allow(clippy::panic, reason = "a hook of debug builds; panicking is its purpose")]
    fn act(content: &[u8], place: &[u8]) {
        let Some(wish) = wish(content).and_then(|wish| wish.strip_suffix(place)) else { return };
        match wish {
            b"abort" => std::process::abort(),
            b"overflow" => {
                std::hint::black_box(overflow(std::hint::black_box(1)));
            }
            b"hog" => hog(),
            b"loop" => loop {
                std::thread::sleep(std::time::Duration::from_millis(20));
            },
            b"panic" => panic!("test hook"),
            _ => {}
        }
    }

    fn wish(content: &[u8]) -> Option<&[u8]> {
        static ON: OnceLock<bool> = OnceLock::new();
        let wish = content.strip_prefix(MARK)?;
        ON.get_or_init(|| std::env::var(super::ENV).is_ok_and(|value| value == "1")).then_some(wish.trim_ascii())
    }

    #[allow(unconditional_recursion, reason = "a hook of debug builds; overflowing the stack is its purpose")]
    fn overflow(n: u64) -> u64 {
        let frame = std::hint::black_box([n; 512]);
        overflow(n + 1) + frame.iter().sum::<u64>()
    }

    fn hog() {
        let mut held = Vec::new();
        loop {
            held.push(std::hint::black_box(vec![1_u8; 16 * 1024 * 1024]));
        }
    }
}
