//! Points for signs, none of which alone means anything.

/// What was noticed about a content.
#[derive(Debug, Default)]
pub(super) struct Score {
    points: u32,
    signs: Vec<(u32, &'static str)>,
}

impl Score {
    /// Notes a sign, if it is there.
    pub(super) fn add(&mut self, points: u32, sign: &'static str, there: bool) {
        if there {
            self.points += points;
            self.signs.push((points, sign));
        }
    }

    /// Whether a sign was noted.
    pub(super) fn has(&self, sign: &str) -> bool {
        self.signs.iter().any(|(_, noted)| *noted == sign)
    }

    /// `<prefix>.<heaviest sign>` once the points reach the threshold.
    pub(super) fn threat(&self, prefix: &str, threshold: u32) -> Option<String> {
        // Of equal weights the one that was noted first: callers note the telling ones first.
        let heaviest = self.signs.iter().rev().max_by_key(|(points, _)| *points)?;
        (self.points >= threshold).then(|| format!("{prefix}.{}", heaviest.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_sign_gives_its_name_once_there_are_enough() {
        let mut score = Score::default();
        score.add(1, "Small", true);
        score.add(9, "Absent", false);
        score.add(2, "Large", true);
        score.add(2, "AsLarge", true);
        assert_eq!(score.threat("Heur.X", 5).as_deref(), Some("Heur.X.Large"));
        assert_eq!(score.threat("Heur.X", 6), None);
        assert!(score.has("Small") && !score.has("Absent"));
    }
}
