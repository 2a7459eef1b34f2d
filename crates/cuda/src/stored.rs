//! Where values that only products read are stored.
//!
//! A product takes its operands rounded to bf16, where that is asked for, and a weight's gradient needs the operands of all loops together
//! at the end of a step. What nobody else reads is therefore written there and then as it will be needed, and not to its own place. Which
//! values these are shows in the two lists of steps that belong together, one forward and one backward.

use std::collections::{HashMap, HashSet};

use looped_graph::lower::{At, Kernel, Place, Space, Start, Step, Strided};

/// A place of a step: forward (0) or backward (1), which step, and which of its places.
pub(crate) type Spot = (usize, usize, usize);

/// What is known of a pair of lists.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// What is written for products alone.
    elsewhere: HashSet<Spot>,
    /// The operand of a weight's gradient that a spot's numbers are.
    homes: HashMap<Spot, Spot>,
    /// Steps backward that needn't take the GELU once more: it has been kept.
    kept_gelus: HashSet<usize>,
}

/// How numbers are written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Anyhow: floats at their own place.
    Plain,
    /// As a product's operand.
    Operand,
    /// As attention takes them.
    Attention,
}

/// What one step does with its places: reads and writes, in this order.
struct Touches {
    reads: Vec<(usize, Use)>,
    writes: Vec<(usize, Use)>,
}

fn touches(step: &Step) -> Touches {
    use Use::{Attention, Operand, Plain};
    let operand = |exact: bool| if exact { Plain } else { Operand };
    let of = |reads: &[(usize, Use)], writes: &[(usize, Use)]| Touches {
        reads: reads.to_vec(),
        writes: writes.to_vec(),
    };
    match step.kernel {
        Kernel::Product { exact, start: Start::Residual(_), .. } => {
            of(&[(0, operand(exact)), (1, Plain)], &[(2, Plain)])
        }
        Kernel::Product { exact, start: Start::Output, .. } => {
            of(&[(0, operand(exact)), (1, Plain)], &[(1, Plain)])
        }
        Kernel::Product { exact, .. } => of(&[(0, operand(exact))], &[(1, operand(exact))]),
        Kernel::RowProduct { add: true, .. } => of(&[(0, Operand), (1, Plain)], &[(1, Plain)]),
        Kernel::RowProduct { .. } => of(&[(0, Operand)], &[(1, Operand)]),
        Kernel::RowGradient(_) => of(&[(0, Operand), (1, Operand)], &[]),
        Kernel::ProductGelu { exact, .. } => of(&[(0, operand(exact))], &[(1, Plain), (2, operand(exact))]),
        Kernel::ProductGeluOnly { exact, .. } => of(&[(0, operand(exact))], &[(1, operand(exact))]),
        Kernel::ProductGeluBack { exact, .. } => {
            of(&[(0, operand(exact)), (1, Plain)], &[(1, Plain), (2, operand(exact))])
        }
        Kernel::WeightGradient { exact, .. } => of(&[(0, operand(exact)), (1, operand(exact))], &[]),
        Kernel::Norm(_) => of(&[(0, Plain)], &[(1, Operand), (2, Plain), (3, Plain)]),
        Kernel::Attention { .. } => of(&[(0, Attention), (1, Plain)], &[(2, Operand), (3, Plain)]),
        Kernel::AttentionBack { .. } => {
            let reads: &[(usize, Use)] =
                &[(0, Attention), (1, Plain), (2, Plain), (3, Attention), (6, Attention)];
            of(reads, &[(4, Operand), (5, Plain)])
        }
        Kernel::NormBack { add: true, .. } => {
            of(&[(0, Plain), (1, Plain), (2, Plain), (3, Plain), (4, Plain)], &[(4, Plain)])
        }
        Kernel::NormBack { .. } => of(&[(0, Plain), (1, Plain), (2, Plain), (3, Plain)], &[(4, Plain)]),
        Kernel::DotBack { .. } => of(&[(0, Plain), (1, Plain), (2, Plain)], &[(2, Plain)]),
        Kernel::Fill(_) => of(&[], &[(0, Plain)]),
        Kernel::Add | Kernel::Scatter { add: true } => of(&[(0, Plain), (1, Plain)], &[(1, Plain)]),
        Kernel::Copy
        | Kernel::Gather
        | Kernel::Scatter { add: false }
        | Kernel::Lookup(_)
        | Kernel::Positions(_)
        | Kernel::Rotary { .. }
        | Kernel::Keep { .. }
        | Kernel::Dot { .. }
        | Kernel::TakeColumns { add: false, .. } => of(&[(0, Plain)], &[(1, Plain)]),
        Kernel::Point(ref point) => {
            let place = |strided: &Strided| {
                if let At::Place(place) = strided.at { Some((place, Plain)) } else { None }
            };
            // Other columns of a row that is written stay as they are.
            let part = |(strided, add): &&(Strided, bool)| *add || strided.stride != point.width;
            let kept = point.results.iter().filter(part).map(|(strided, _)| strided);
            let reads: Vec<(usize, Use)> = point.inputs.iter().chain(kept).filter_map(place).collect();
            let writes: Vec<(usize, Use)> =
                point.results.iter().filter_map(|(strided, _)| place(strided)).collect();
            of(&reads, &writes)
        }
        _ => {
            let all: Vec<(usize, Use)> = (0..step.places.len()).map(|i| (i, Plain)).collect();
            of(&all, &all)
        }
    }
}

/// A pair of lists, and what may be stored otherwise.
pub(crate) struct Rule<'a> {
    /// Forward and backward.
    pub(crate) lists: [&'a [Step]; 2],
    /// Of a loop's slot, what lies before this is everybody's.
    pub(crate) own: u32,
    /// Whether products take rounded operands.
    pub(crate) rounds: bool,
    /// Whether the attention of a step can read and write rounded numbers.
    pub(crate) attention: &'a dyn Fn(&Step) -> bool,
}

impl Rule<'_> {
    fn step(&self, (half, i, _): Spot) -> &Step {
        &self.lists[half][i]
    }
}

impl Stored {
    /// Everything lies at its place.
    pub(crate) fn nowhere_else() -> Self {
        Self::default()
    }

    /// What holds of a pair of lists.
    pub(crate) fn of(rule: &Rule<'_>) -> Self {
        let mut found = Search::through(rule);
        let gelus = kept_gelus(rule.lists, &found);
        for (step, gelu) in &gelus {
            let again = found.readers.remove(&(1, *step, 1)).unwrap_or_default();
            found.readers.entry(*gelu).or_default().extend(again);
        }
        let mut elsewhere = found.writers.clone();
        // What one spot needs may keep another from being elsewhere: until nothing changes any more.
        loop {
            let count = elsewhere.len();
            let fit = elsewhere.iter().filter(|spot| found.fits(rule, &elsewhere, **spot)).copied();
            elsewhere = fit.collect();
            if elsewhere.len() == count {
                break;
            }
        }
        let weight = |(reader, _): &&(Spot, Use)| {
            matches!(rule.step(*reader).kernel, Kernel::WeightGradient { exact: false, .. })
        };
        let home = |spot: &Spot| Some((*spot, found.readers_of(*spot).iter().find(weight)?.0));
        let homes: HashMap<Spot, Spot> = elsewhere.iter().filter_map(home).collect();
        let kept = gelus.into_iter().filter(|(_, gelu)| homes.contains_key(gelu));
        Self { kept_gelus: kept.map(|(step, _)| step).collect(), elsewhere, homes }
    }

    /// Whether the numbers that a spot writes go elsewhere than to its place.
    pub(crate) fn elsewhere(&self, spot: Spot) -> bool {
        self.elsewhere.contains(&spot)
    }

    /// The operand of a weight's gradient that they are.
    pub(crate) fn home(&self, spot: Spot) -> Option<Spot> {
        self.homes.get(&spot).copied()
    }

    /// Whether an operand of a weight's gradient was written there by the step that computed it.
    pub(crate) fn is_home(&self, operand: Spot) -> bool {
        self.homes.values().any(|home| *home == operand)
    }

    /// Whether a step backward finds the GELU that it would take once more.
    pub(crate) fn gelu_is_kept(&self, step: usize) -> bool {
        self.kept_gelus.contains(&step)
    }
}

/// Steps backward through a GELU that need not take it once more, with the spot that took it forward.
fn kept_gelus(lists: [&[Step]; 2], found: &Search) -> Vec<(usize, Spot)> {
    let kept = |(i, step): (usize, &Step)| {
        let Kernel::ProductGeluBack { .. } = step.kernel else { return None };
        let same = |own: &Step| {
            matches!(own.kernel, Kernel::ProductGelu { exact: false, .. }) && own.places[1] == step.places[1]
        };
        let gelu = (0, lists[0].iter().position(same)?, 2);
        let operands = found.readers_of((1, i, 1)).iter().all(|(_, how)| *how == Use::Operand);
        (found.writers.contains(&gelu) && operands).then_some((i, gelu))
    };
    lists[1].iter().enumerate().filter_map(kept).collect()
}

/// Who writes and who reads what, in a pair of lists.
#[derive(Default)]
struct Search {
    own: u32,
    /// The spots that wrote what lies somewhere.
    open: Vec<(Place, Spot)>,
    /// Those of which a part has been written over.
    broken: Vec<(Place, Spot)>,
    /// Spots whose numbers may go elsewhere.
    writers: HashSet<Spot>,
    readers: HashMap<Spot, Vec<(Spot, Use)>>,
    /// Who wrote what a spot reads whole.
    sources: HashMap<Spot, Option<Spot>>,
    /// Spots that attention reads in its own way.
    attention: HashSet<Spot>,
}

impl Search {
    fn through(rule: &Rule<'_>) -> Self {
        let mut found = Self { own: rule.own, ..Self::default() };
        for (half, list) in rule.lists.into_iter().enumerate() {
            // What lies in scratch memory is gone after a list.
            found.open.retain(|(place, _)| place.space != Space::Scratch);
            found.broken.retain(|(place, _)| place.space != Space::Scratch);
            for (i, step) in list.iter().enumerate() {
                found.step(half, i, step);
            }
        }
        found
    }

    fn readers_of(&self, spot: Spot) -> &[(Spot, Use)] {
        self.readers.get(&spot).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody keeps the numbers of a spot from lying elsewhere.
    fn fits(&self, rule: &Rule<'_>, elsewhere: &HashSet<Spot>, spot: Spot) -> bool {
        let whole = |at: Spot| !rule.rounds || self.is_whole(rule, elsewhere, at);
        let by_attention =
            matches!(rule.step(spot).kernel, Kernel::Attention { .. } | Kernel::AttentionBack { .. });
        (!by_attention || whole(spot))
            && self.readers_of(spot).iter().all(|(reader, how)| match how {
                Use::Plain => false,
                Use::Operand => true,
                Use::Attention => whole(*reader),
            })
    }

    /// Whether attention reads and writes all of its values rounded: it does so with all of them or with none.
    fn is_whole(&self, rule: &Rule<'_>, elsewhere: &HashSet<Spot>, at @ (half, i, _): Spot) -> bool {
        let step = rule.step(at);
        let result = if matches!(step.kernel, Kernel::Attention { .. }) { 2 } else { 4 };
        let read = self.attention.iter().filter(|(h, s, _)| (*h, *s) == (half, i));
        let mut sources = read.map(|spot| self.sources.get(spot).copied().flatten());
        (rule.attention)(step)
            && elsewhere.contains(&(half, i, result))
            && sources.all(|source| source.is_some_and(|source| elsewhere.contains(&source)))
    }

    fn step(&mut self, half: usize, i: usize, step: &Step) {
        let Touches { reads, writes } = touches(step);
        for (which, how) in reads {
            let Some(place) = step.places.get(which).copied().filter(|place| place.len > 0) else { continue };
            let spot = (half, i, which);
            if how == Use::Attention {
                self.attention.insert(spot);
            }
            let source = self.open.iter().find(|(written, _)| *written == place).map(|(_, by)| *by);
            match source {
                Some(by) => self.readers.entry(by).or_default().push((spot, how)),
                // Parts of other numbers: these have to be where they belong.
                None => {
                    for (_, by) in self.open.iter().chain(&self.broken).filter(|(of, _)| of.overlaps(place)) {
                        self.readers.entry(*by).or_default().push((spot, Use::Plain));
                    }
                }
            }
            self.sources.insert(spot, source);
        }
        for (which, how) in writes {
            let Some(place) = step.places.get(which).copied().filter(|place| place.len > 0) else { continue };
            for open in std::mem::take(&mut self.open) {
                match open.0.overlaps(place) {
                    false => self.open.push(open),
                    true if open.0 != place => self.broken.push(open),
                    true => {}
                }
            }
            self.open.push((place, (half, i, which)));
            let private = match place.space {
                Space::Scratch => true,
                Space::Slot => place.start >= self.own,
                Space::Early | Space::Chunk | Space::Next => false,
            };
            if how == Use::Operand && private {
                self.writers.insert((half, i, which));
            }
        }
    }
}
