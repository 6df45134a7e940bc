//! The account of one submission: what came out of its archives, all levels together.

use std::time::Instant;

use portcullis_core::domain::rule::ExtractionLimits;
use portcullis_core::domain::verdict::Code;

use super::Stop;

/// Counts against the limits of the rule.
pub(crate) struct Ledger<'r> {
    limits: &'r ExtractionLimits,
    submitted: u64,
    deadline: Instant,
    bytes: u64,
    /// What was given back.
    refunded: u64,
    entries: u64,
}

impl<'r> Ledger<'r> {
    /// For a submission of `submitted` bytes, to be extracted before `deadline`.
    pub(crate) fn new(limits: &'r ExtractionLimits, submitted: u64, deadline: Instant) -> Self {
        Self { limits, submitted, deadline, bytes: 0, refunded: 0, entries: 0 }
    }

    /// Charges bytes that came out.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.check_bytes(self.bytes)?;
        self.check_time()
    }

    /// Gives back what a failed attempt (a wrong password) was charged. All attempts together may be as large as what
    /// comes out: then no more is given back, so that entries which break at their end do not cost time without limit.
    pub(crate) fn refund(&mut self, bytes: u64) {
        self.refunded = self.refunded.saturating_add(bytes);
        if self.refunded <= self.limits.max_total_bytes {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Refuses an entry whose own header already exceeds what is left. A header that lies costs its archive the same.
    pub(crate) fn foresee(&self, declared: u64) -> Result<(), Stop> {
        self.check_bytes(self.bytes.saturating_add(declared))
    }

    fn check_bytes(&self, bytes: u64) -> Result<(), Stop> {
        let ExtractionLimits { max_total_bytes, max_ratio, .. } = *self.limits;
        if bytes > max_total_bytes {
            return Err(Stop::Limit(Code::ExceededArchiveSize, format!("more than {max_total_bytes} bytes come out of the archive")));
        }
        if bytes > ExtractionLimits::RATIO_FLOOR_BYTES && bytes > self.submitted.saturating_mul(max_ratio) {
            let why = format!("more than {max_ratio} times the size of the archive comes out of it");
            return Err(Stop::Limit(Code::ExceededArchiveSize, why));
        }
        Ok(())
    }

    /// Refuses an archive that says it has more entries than may still come.
    pub(crate) fn announce(&self, entries: u64) -> Result<(), Stop> {
        self.check_entries(self.entries.saturating_add(entries))
    }

    /// Counts one entry, of whatever kind.
    pub(crate) fn count(&mut self) -> Result<(), Stop> {
        self.entries = self.entries.saturating_add(1);
        self.check_entries(self.entries)?;
        self.check_time()
    }

    fn check_entries(&self, entries: u64) -> Result<(), Stop> {
        let max = self.limits.max_entries;
        if entries > max {
            return Err(Stop::Limit(Code::ExceededArchiveFileNumber, format!("the archive has more than {max} entries")));
        }
        Ok(())
    }

    /// Whether there is time left.
    pub(crate) fn check_time(&self) -> Result<(), Stop> {
        if Instant::now() >= self.deadline {
            let seconds = self.limits.timeout_seconds;
            return Err(Stop::Limit(Code::ExceededArchiveTimeout, format!("extraction and scanning took longer than {seconds} seconds")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn code(result: &Result<(), Stop>) -> Option<Code> {
        match result {
            Err(Stop::Limit(code, _)) => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn each_limit_has_its_code_and_the_last_permitted_value_passes() {
        let limits = ExtractionLimits { max_entries: 2, max_total_bytes: 40_000_000, max_ratio: 20, ..ExtractionLimits::default() };
        let soon = Instant::now() + Duration::from_mins(1);
        let mut ledger = Ledger::new(&limits, 1_000_000, soon);
        assert_eq!(code(&ledger.announce(3)), Some(Code::ExceededArchiveFileNumber));
        assert_eq!((code(&ledger.count()), code(&ledger.count())), (None, None));
        assert_eq!(code(&ledger.count()), Some(Code::ExceededArchiveFileNumber));
        assert_eq!(code(&ledger.charge(20_000_000)), None);
        assert_eq!(code(&ledger.foresee(1)), Some(Code::ExceededArchiveSize));
        assert_eq!(code(&ledger.charge(1)), Some(Code::ExceededArchiveSize));
        let mut large = Ledger::new(&limits, 100_000_000, soon);
        assert_eq!(code(&large.charge(40_000_001)), Some(Code::ExceededArchiveSize));
        let mut late = Ledger::new(&limits, 1, Instant::now());
        assert_eq!(code(&late.charge(1)), Some(Code::ExceededArchiveTimeout));
        let mut small = Ledger::new(&limits, 1, soon);
        assert_eq!(code(&small.charge(ExtractionLimits::RATIO_FLOOR_BYTES)), None, "below the floor the ratio is not looked at");
    }
}
