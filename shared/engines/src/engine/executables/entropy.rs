//! How random bytes look.

/// Bytes that are counted, spread over the content.
const SAMPLE: usize = 4 * 1024 * 1024;

/// Shannon's entropy, in bits a byte, 0 to 8.
pub(super) fn of(bytes: &[u8]) -> f64 {
    let step = bytes.len() / SAMPLE + 1;
    let mut counts = [0_u32; 256];
    let mut total = 0_u32;
    for byte in bytes.iter().step_by(step) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
        total += 1;
    }
    let share = |count: &u32| f64::from(*count) / f64::from(total.max(1));
    counts.iter().filter(|count| **count > 0).map(share).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes() {
        assert!(of(b"") < 0.01 && of(&[7; 1_000]) < 0.01);
        let all: Vec<u8> = (0..=255).collect();
        assert!((of(&all) - 8.0).abs() < 0.001);
    }
}
