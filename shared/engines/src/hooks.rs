//! Ways to die on purpose, for the tests of workers. None of it exists in release builds.
//!
//! A debug build that finds `PORTCULLIS_TEST_HOOKS=1` in its environment does what a content asks for
//! that begins with `PORTCULLIS-TEST-HOOK:` and one of `abort`, `overflow`, `hog`, `loop`, `panic`, `panic-type`, `panic-plan`.

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

#[cfg(debug_assertions)]
pub(crate) use debug::{trigger, trigger_plan, trigger_type};

#[cfg(debug_assertions)]
mod debug {
    use std::sync::OnceLock;

    /// Does what the content asks for, if hooks are on.
    #[allow(clippy::panic, reason = "a hook of debug builds; panicking is its purpose")]
    pub(crate) fn trigger(content: &[u8]) {
        let Some(wish) = wish(content) else { return };
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

    /// Panics where types are detected.
    pub(crate) fn trigger_type(content: &[u8]) {
        assert!(wish(content) != Some(b"panic-type"), "test hook");
    }

    /// Panics where it is decided whether to open a content.
    pub(crate) fn trigger_plan(content: &[u8]) {
        assert!(wish(content) != Some(b"panic-plan"), "test hook");
    }

    fn wish(content: &[u8]) -> Option<&[u8]> {
        static ON: OnceLock<bool> = OnceLock::new();
        let wish = content.strip_prefix(b"PORTCULLIS-TEST-HOOK:")?;
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
