//! One header block.

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// A header whose checksum is right.
pub(super) struct Header<'a> {
    block: &'a [u8],
    /// The type flag.
    pub(super) kind: u8,
}

impl<'a> Header<'a> {
    /// The header at this offset, if there is one.
    pub(super) fn at(content: &'a [u8], at: usize) -> Option<Self> {
        let block = content.get(at..at.checked_add(BLOCK)?)?;
        // Programs pass over a NUL in front of the digits, and some take binary numbers here too.
        let field = block.get(148..156)?;
        let digits = field.iter().position(|byte| *byte != 0)?;
        let stated = number(field.get(digits..)?)?;
        // Old programs summed signed bytes.
        let (mut unsigned, mut signed) = (0_u64, 0_i64);
        for (n, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&n) { b' ' } else { *byte };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        let is_sound = stated == unsigned || i64::try_from(stated) == Ok(signed);
        is_sound.then_some(Self { block, kind: block.get(156).copied()? })
    }

    fn field(&self, from: usize, length: usize) -> &'a [u8] {
        let field = self.block.get(from..from + length).unwrap_or_default();
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Path: prefix and name in ustar, name alone elsewhere.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.field(0, 100);
        let prefix = self.field(345, 155);
        if self.block.get(262) == Some(&0) && self.is_ustar() && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
    }

    /// Whether the header has the signature of ustar and GNU tar.
    pub(super) fn is_ustar(&self) -> bool {
        self.block.get(257..262) == Some(b"ustar")
    }

    /// Whether the header has the signature of POSIX, which GNU tar's own headers have not.
    pub(super) fn is_posix(&self) -> bool {
        self.block.get(257..263) == Some(b"ustar\0")
    }

    /// Whether the header has the signature of GNU tar's own headers.
    pub(super) fn is_gnu(&self) -> bool {
        self.block.get(257..263) == Some(b"ustar ")
    }

    /// Size of the data: octal, or binary where the first bit is set (GNU, star). `None` if it is none, or negative.
    pub(super) fn size(&self) -> Option<u64> {
        number(self.block.get(124..136)?)
    }
}

/// A number field. One with a NUL in front of its digits is none: some programs read them, others read 0.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    match field.first()? {
        0x80 => field.get(1..)?.iter().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? + u64::from(*byte))),
        0x81..=0xff => None,
        0 if field.iter().any(|byte| !matches!(byte, 0 | b' ')) => None,
        _ => octal(field),
    }
}

/// Digits, led by spaces, ended by spaces or NULs; an empty field is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        sum.checked_mul(8)?.checked_add(digit.into())
    })
}
