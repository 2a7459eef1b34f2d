//! What happens to the state: one of four words, by a rule that is printed with it.

use looped_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::StabilityPlan;

/// A state has settled if its last step is a smaller part of it than this.
pub const SETTLED: f64 = 1e-3;

/// A state has come back if it is nearer than this part of the last step to where it was some loops ago.
pub const RETURNED: f64 = 0.1;

/// A state has diverged if it is so many times as large as after the trained loops.
pub const DIVERGED: f64 = 10.0;

/// The longest period that is looked for.
const LONGEST: usize = 16;

/// Fewest loops from which something can be said.
const FEWEST: usize = 4;

/// What the state of a prompt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhatHappens {
    /// It ends at a fixed point.
    Settles,
    /// It neither settles nor comes back.
    Drifts,
    /// It comes back to where it was.
    Cycles,
    /// It grows, or isn't finite any more.
    Diverges,
}

impl WhatHappens {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settles => "settles",
            Self::Drifts => "drifts",
            Self::Cycles => "cycles",
            Self::Diverges => "diverges",
        }
    }
}

/// What happens to most prompts' states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What happens to more prompts' states than anything else.
    pub verdict: WhatHappens,
    /// The rule that says so, with its numbers.
    pub rule: String,
    /// The part of the prompts of each kind.
    pub shares: Shares,
    /// Where most states cycle, the period of most of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<usize>,
    /// The median over the prompts of the last step, relative to the whole state.
    pub last_step: Option<f64>,
}

/// Parts of the prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Whose state settles.
    pub settles: f64,
    /// Whose state drifts.
    pub drifts: f64,
    /// Whose state cycles.
    pub cycles: f64,
    /// Whose state diverges.
    pub diverges: f64,
}

/// What the verdict on a prompt rests on.
#[derive(Clone, Debug)]
pub(super) struct OfPrompt {
    /// |Z_l - Z_L| / |Z_L| over all tokens together, loop by loop.
    pub(super) distances: Vec<f64>,
    /// |Z_L| / |Z_trained|.
    pub(super) grown: f64,
}

impl OfPrompt {
    /// How far the state `back` loops ago is from the last.
    fn lag(&self, back: usize) -> f64 {
        self.distances[self.distances.len() - 1 - back]
    }

    fn what_happens(&self) -> (WhatHappens, Option<usize>) {
        let step = self.lag(1);
        if !step.is_finite() || !self.grown.is_finite() || self.grown > DIVERGED {
            return (WhatHappens::Diverges, None);
        }
        if step < SETTLED {
            return (WhatHappens::Settles, None);
        }
        let longest = LONGEST.min(self.distances.len() / 4);
        match (2..=longest).find(|&back| self.lag(back) < RETURNED * step) {
            Some(period) => (WhatHappens::Cycles, Some(period)),
            None => (WhatHappens::Drifts, None),
        }
    }
}

pub(super) fn refuse(plan: &StabilityPlan) -> Result<()> {
    plan.eval.check()?;
    let refused = |why: String| Err(Error::Data(format!("stability: {why}")));
    if plan.eval.loops < FEWEST {
        return refused(format!(
            "{} loops say nothing of the end; it takes at least {FEWEST}",
            plan.eval.loops
        ));
    }
    if plan.eval.prompts < 2 || plan.states < 2 {
        return refused("1 prompt has no other to start from; it takes at least 2".into());
    }
    Ok(())
}

pub(super) fn of(prompts: &[OfPrompt]) -> Verdict {
    use WhatHappens::{Cycles, Diverges, Drifts, Settles};
    let each: Vec<(WhatHappens, Option<usize>)> = prompts.iter().map(OfPrompt::what_happens).collect();
    let share = |what| each.iter().filter(|(found, _)| *found == what).count() as f64 / each.len() as f64;
    let shares = Shares {
        settles: share(Settles),
        drifts: share(Drifts),
        cycles: share(Cycles),
        diverges: share(Diverges),
    };
    let all = [
        (Diverges, shares.diverges),
        (Cycles, shares.cycles),
        (Drifts, shares.drifts),
        (Settles, shares.settles),
    ];
    let verdict = all.into_iter().fold((Settles, 0.0), |most, one| if one.1 > most.1 { one } else { most }).0;
    let periods = |period| each.iter().filter(|(_, found)| *found == Some(period)).count();
    let period = (2..=LONGEST).rev().max_by_key(|&period| periods(period));
    let steps =
        crate::best::sorted(prompts.iter().map(|prompt| prompt.lag(1)).filter(|step| step.is_finite()));
    let rule = match verdict {
        Settles => format!("the last step is less than {SETTLED} of the state"),
        Drifts => format!(
            "the last step is at least {SETTLED} of the state, and no state of the last {} loops but one is nearer to the last than {RETURNED} of \
             that step",
            LONGEST.min(prompts.first().map_or(0, |prompt| prompt.distances.len()) / 4)
        ),
        Cycles => format!(
            "the last step is at least {SETTLED} of the state, and an earlier state is nearer to the last than {RETURNED} of that step"
        ),
        Diverges => format!(
            "the state is more than {DIVERGED} times as large as after the trained loops, or not finite"
        ),
    };
    Verdict {
        verdict,
        rule,
        shares,
        period: period.filter(|_| verdict == Cycles),
        last_step: Some(crate::best::at(&steps, 0.5)).filter(|step| step.is_finite()),
    }
}
