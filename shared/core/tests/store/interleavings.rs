//! Any interleaving of several workers and the sweep on one submission, checked against a model.
//!
//! A worker is an invocation of the scan function. It claims, renews, loses its child process (`Death`), gives the
//! claim back, writes its verdict; it vanishes (`Vanish`: its token is lost) or freezes past its lease (`Freeze`:
//! it keeps the token and writes late).

use std::collections::HashMap;

use portcullis_core::domain::submission::{ObjectRef, State, Submission};
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::{Claim, Scans};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::table::{Item, Table, object, outcome};

const WORKERS: usize = 3;
/// Submissions that are played through.
const CASES: u32 = 96;

#[derive(Clone, Copy, Debug)]
enum Step {
    Claim { worker: usize, replaced: bool },
    Renew { worker: usize },
    Death { worker: usize },
    Vanish { worker: usize },
    Freeze { worker: usize },
    Release { worker: usize },
    Finish { worker: usize },
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = || 0..WORKERS;
    let step = prop_oneof![
        6 => (worker(), prop::bool::weighted(0.1)).prop_map(|(worker, replaced)| Step::Claim { worker, replaced }),
        2 => worker().prop_map(|worker| Step::Renew { worker }),
        2 => worker().prop_map(|worker| Step::Death { worker }),
        2 => worker().prop_map(|worker| Step::Vanish { worker }),
        3 => worker().prop_map(|worker| Step::Freeze { worker }),
        2 => worker().prop_map(|worker| Step::Release { worker }),
        2 => worker().prop_map(|worker| Step::Finish { worker }),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..40)
}

/// What must be true, by the words of the module `scans`.
#[derive(Default)]
struct Model {
    /// Tokens the workers believe in.
    tokens: HashMap<usize, String>,
    /// The token that counts.
    holder: Option<String>,
    /// Whether the holder's lease is running.
    leased: bool,
    /// The object of the first claim.
    pinned: Option<ObjectRef>,
    tries: u32,
    /// Claims that never said how they ended, and child processes that died.
    deaths: u32,
    /// Number of the verdict that was written, and the item since.
    verdict: Option<(i64, Item)>,
    verdicts: u32,
}

struct Play<'a> {
    table: &'a Table,
    scans: Scans,
    submission: Submission,
    model: Model,
}

impl Play<'_> {
    async fn step(&mut self, number: i64, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Claim { worker, replaced } => self.claim(worker, replaced).await?,
            Step::Renew { worker } => {
                let Some(token) = self.token(worker) else { return Ok(()) };
                let renewed = won(self.scans.renew(&self.submission.id, &token).await)?;
                prop_assert_eq!(renewed, self.holds(&token));
                self.model.leased |= renewed;
            }
            Step::Death { worker } => {
                let Some(token) = self.token(worker) else { return Ok(()) };
                let counted = self.scans.count_death(&self.submission.id, &token).await;
                if self.holds(&token) {
                    self.model.tries += 1;
                    self.model.deaths += 1;
                    self.model.leased = true;
                    prop_assert_eq!(counted.ok(), Some(self.model.tries));
                } else {
                    prop_assert!(matches!(counted, Err(StoreError::Conflict { .. })), "{:?}", counted);
                }
            }
            Step::Vanish { worker } => {
                let Some(token) = self.model.tokens.remove(&worker) else { return Ok(()) };
                self.end_lease(&token).await;
            }
            Step::Freeze { worker } => {
                let Some(token) = self.token(worker) else { return Ok(()) };
                self.end_lease(&token).await;
            }
            Step::Release { worker } => {
                let Some(token) = self.model.tokens.remove(&worker) else { return Ok(()) };
                let released = won(self.scans.release(&self.submission.id, &token).await)?;
                prop_assert_eq!(released, self.holds(&token));
                if released {
                    self.model.tries -= 1;
                    self.model.holder = None;
                    self.model.leased = false;
                }
            }
            Step::Finish { worker } => {
                let Some(token) = self.model.tokens.remove(&worker) else { return Ok(()) };
                let finished = won(self.scans.finish(&self.submission, &token, &outcome(number), None).await)?;
                prop_assert_eq!(finished, self.holds(&token));
                self.ended(finished, number).await;
            }
            Step::Sweep => {
                let finished = won(self.scans.finish_unclaimed(&self.submission, &outcome(number)).await)?;
                prop_assert_eq!(finished, self.model.verdict.is_none() && !self.model.leased);
                self.ended(finished, number).await;
            }
        }
        self.check().await
    }

    async fn claim(&mut self, worker: usize, replaced: bool) -> Result<(), TestCaseError> {
        let mut object = object(&self.submission);
        if replaced {
            object.version = Some("v2".into());
        }
        let claim = self.scans.claim(&self.submission.id, &object).await.unwrap();
        let model = &mut self.model;
        if model.pinned.as_ref().is_some_and(|pinned| *pinned != object) {
            prop_assert!(matches!(claim, Claim::OtherObject), "{:?}", claim);
        } else if let Some((number, _)) = &model.verdict {
            let Claim::Done(record) = claim else { return Err(TestCaseError::fail("not done")) };
            prop_assert_eq!(record.outcome, Some(outcome(*number)));
        } else if model.leased {
            prop_assert!(matches!(claim, Claim::Held { .. }), "{:?}", claim);
        } else {
            let Claim::Won(claimed) = claim else { return Err(TestCaseError::fail(format!("not won: {claim:?}"))) };
            // Whoever held it before never said how it ended.
            model.deaths += u32::from(model.holder.is_some());
            model.tries += 1;
            model.pinned = Some(object);
            model.holder = Some(claimed.token.clone());
            model.leased = true;
            model.tokens.insert(worker, claimed.token);
            prop_assert_eq!(claimed.record.attempts, model.tries);
        }
        Ok(())
    }

    fn token(&self, worker: usize) -> Option<String> {
        self.model.tokens.get(&worker).cloned()
    }

    fn holds(&self, token: &str) -> bool {
        self.model.holder.as_deref() == Some(token)
    }

    /// Time passes, for the holder only: a stale token has no lease to lose.
    async fn end_lease(&mut self, token: &str) {
        if self.holds(token) {
            self.table.let_lease_end(&self.submission.id).await;
            self.model.leased = false;
        }
    }

    async fn ended(&mut self, finished: bool, number: i64) {
        if finished {
            self.model.verdicts += 1;
            self.model.holder = None;
            self.model.leased = false;
            self.model.verdict = Some((number, self.table.submission_item(&self.submission.id).await));
        }
    }

    /// The promises, after every step.
    async fn check(&self) -> Result<(), TestCaseError> {
        let model = &self.model;
        prop_assert!(model.verdicts <= 1, "two verdicts");
        if let Some((_, item)) = &model.verdict {
            prop_assert_eq!(&self.table.submission_item(&self.submission.id).await, item, "a finished record changed");
        }
        let (record, _) = self.scans.get(&self.submission.id).await.unwrap().unwrap();
        prop_assert_eq!(record.attempts, model.tries);
        prop_assert!(record.attempts <= model.deaths + 1, "{} tries after {} deaths", record.attempts, model.deaths);
        prop_assert_eq!(&record.object, &model.pinned);
        prop_assert_eq!(record.state == State::Done, model.verdict.is_some());
        prop_assert_eq!(record.outcome, model.verdict.as_ref().map(|(number, _)| outcome(*number)));
        prop_assert_eq!(&record.submission, &self.submission);
        Ok(())
    }
}

/// Whether a write took effect; anything but "somebody else was first" is a failure of the test.
fn won(result: Result<(), StoreError>) -> Result<bool, TestCaseError> {
    match result {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

#[test]
fn whatever_workers_do_there_is_one_verdict_and_it_never_changes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(Table::new());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let played = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let submission = table.submit().await;
            let mut play = Play { table: &table, scans: table.scans(), submission, model: Model::default() };
            for (number, step) in steps.into_iter().enumerate() {
                play.step(i64::try_from(number).unwrap(), step).await?;
            }
            Ok(())
        })
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}

/// The same promises when nobody waits for anybody: workers that claim, dawdle, give back or finish, all at once.
#[tokio::test]
async fn workers_that_race_write_one_verdict() {
    let table = Table::new().await;
    for _ in 0..5 {
        let submission = table.submit().await;
        let workers = (0..8_i64).map(|worker| {
            let (scans, submission) = (table.scans(), submission.clone());
            tokio::spawn(async move {
                let mut verdicts = Vec::new();
                for round in 0..20 {
                    let Claim::Won(claimed) = scans.claim(&submission.id, &object(&submission)).await.unwrap() else { continue };
                    let number = worker * 100 + round;
                    if (worker + round) % 3 == 0 {
                        if scans.finish(&submission, &claimed.token, &outcome(number), None).await.is_ok() {
                            verdicts.push(number);
                        }
                    } else {
                        scans.release(&submission.id, &claimed.token).await.unwrap();
                    }
                }
                verdicts
            })
        });
        let mut verdicts: Vec<i64> = futures::future::try_join_all(workers).await.unwrap().into_iter().flatten().collect();
        if verdicts.is_empty() {
            let claimed = table.claim(&submission).await;
            table.scans().finish(&submission, &claimed.token, &outcome(-1), None).await.unwrap();
            verdicts.push(-1);
        }
        let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        let (record, _) = table.scans().get(&submission.id).await.unwrap().unwrap();
        assert_eq!((record.outcome, record.attempts), (Some(outcome(*verdict)), 1), "every other try was given back");
    }
}
