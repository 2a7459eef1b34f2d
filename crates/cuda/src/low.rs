//! Numbers that lie elsewhere than at their place: rounded, or where a weight's gradient wants them.
//!
//! What a weight's gradient needs stays until the end of a step, for all loops together: then one product makes the gradient of them all.

use std::collections::HashMap;

use looped_gpu::{Element, Layout, Span};
use looped_graph::Param;
use looped_graph::lower::{Kernel, Place, Start, Step};

/// A weight's gradient, still to be computed: dy^T x over all loops, and the sums of dy for the bias.
pub(crate) struct Late {
    /// The gradient with respect to the layer's result, and its input, of all runs.
    pub(crate) operands: [Option<Span>; 2],
    /// The weight.
    pub(crate) weight: Param,
    /// The bias.
    pub(crate) bias: Option<Param>,
}

/// Which of a weight's gradients: the list, the step, and the run if each stands for itself.
type Key = (usize, usize, Option<usize>);

/// Which numbers lie where.
pub(crate) struct Low {
    element: Element,
    /// By the place, as long as nothing else was written there: of one list of steps, and of a loop's slot.
    passing: Vec<(Span, Span)>,
    kept: Vec<(Span, Span)>,
    pool: HashMap<(usize, usize), Span>,
    used: usize,
    rooms: HashMap<Span, Span>,
    late: HashMap<Key, usize>,
    pub(crate) all_late: Vec<Late>,
}

impl Low {
    /// Numbers of products in this form.
    pub(crate) fn new(element: Element) -> Self {
        Self {
            element,
            passing: Vec::new(),
            kept: Vec::new(),
            pool: HashMap::new(),
            used: 0,
            rooms: HashMap::new(),
            late: HashMap::new(),
            all_late: Vec::new(),
        }
    }

    /// Begins a list of steps.
    pub(crate) fn begin(&mut self) {
        self.passing.clear();
        self.used = 0;
    }

    /// Forgets all but the room for what stays: for steps that stand by themselves.
    pub(crate) fn end_part(&mut self) {
        self.begin();
        self.kept.clear();
        self.late.clear();
    }

    /// Where the numbers of a place lie instead.
    pub(crate) fn known(&self, of: Span) -> Option<Span> {
        self.passing.iter().chain(&self.kept).find(|(from, _)| *from == of).map(|(_, to)| *to)
    }

    /// Notes where the numbers of a place lie: until the list ends, or for the backward list too.
    pub(crate) fn note(&mut self, of: Span, to: Span, kept: bool) {
        let notes = if kept { &mut self.kept } else { &mut self.passing };
        notes.push((of, to));
    }

    /// Forgets what is known of a place, since it is written.
    pub(crate) fn forget(&mut self, written: Span) {
        self.passing.retain(|(from, _)| !from.overlaps(written));
        self.kept.retain(|(from, _)| !from.overlaps(written));
    }

    /// Room that only this list of steps needs.
    pub(crate) fn passing(&mut self, layout: &mut Layout, len: usize) -> Span {
        self.used += 1;
        let element = self.element;
        *self.pool.entry((self.used, len)).or_insert_with(|| layout.place(element, len))
    }

    /// Room for what lies at a place of a loop's slot.
    pub(crate) fn keeping(&mut self, layout: &mut Layout, of: Span) -> Span {
        let element = self.element;
        *self.rooms.entry(of).or_insert_with(|| layout.place(element, of.len()))
    }

    /// Room for one operand of a weight's gradient, in one of `times` runs of its step.
    pub(crate) fn late(
        &mut self,
        layout: &mut Layout,
        at: (usize, usize),
        of: &Step,
        runs: [usize; 2],
        operand: usize,
    ) -> Span {
        let (index, [run, times]) = self.late_index(at, of, runs);
        let (element, len) = (self.element, of.places[operand].len as usize);
        let region =
            self.all_late[index].operands[operand].get_or_insert_with(|| layout.place(element, times * len));
        region.slot(run, len)
    }

    /// Lets one operand of a weight's gradient be what another's is, if these numbers are one of that.
    pub(crate) fn share(
        &mut self,
        at: (usize, usize),
        of: &Step,
        runs: [usize; 2],
        operand: usize,
        numbers: Span,
    ) -> bool {
        let (index, [run, _]) = self.late_index(at, of, runs);
        let regions = self.all_late.iter().flat_map(|late| late.operands).flatten();
        let len = numbers.len();
        let mut regions =
            regions.filter(|region| region.len() >= (run + 1) * len && region.slot(run, len) == numbers);
        let Some(region) = regions.next() else { return false };
        let own = self.all_late[index].operands[operand].get_or_insert(region);
        *own == region
    }

    /// Which of the weights' gradients a step makes, with its run among those that it stands for.
    fn late_index(&mut self, at: (usize, usize), of: &Step, [run, times]: [usize; 2]) -> (usize, [usize; 2]) {
        let Kernel::WeightGradient { weight, bias, .. } = of.kernel else {
            unreachable!("only a weight's gradient is computed late")
        };
        // Kernels load 16 bytes at once: what doesn't end there can't lie one after the other.
        let fits = |i: usize| (of.places[i].len as usize * self.element.bytes()).is_multiple_of(16);
        let alone = times > 1 && !(fits(0) && fits(1));
        let key = (at.0, at.1, alone.then_some(run));
        let index = *self.late.entry(key).or_insert_with(|| {
            self.all_late.push(Late { operands: [None; 2], weight, bias });
            self.all_late.len() - 1
        });
        (index, if alone { [0, 1] } else { [run, times] })
    }
}

/// Who reads the numbers at a place next, as they are after step `from`: the weight's gradient with the operand that they are, and whether
/// a product does.
pub(crate) fn next_readers(steps: &[Step], from: usize, place: Place) -> (Option<(usize, usize)>, bool) {
    let mut product = false;
    for (i, step) in steps.iter().enumerate().skip(from) {
        match step.kernel {
            Kernel::WeightGradient { exact: false, .. } => {
                if let Some(operand) = step.places.iter().position(|own| *own == place) {
                    return (Some((i, operand)), product);
                }
            }
            Kernel::Product { exact: false, .. }
            | Kernel::ProductGelu { exact: false, .. }
            | Kernel::ProductGeluOnly { exact: false, .. }
            | Kernel::ProductGeluBack { exact: false, .. }
            | Kernel::RowProduct { .. } => product |= step.places[0] == place,
            Kernel::RowGradient(_) => product |= step.places.contains(&place),
            _ => {}
        }
        if written(step).any(|own| own.overlaps(place)) {
            break;
        }
    }
    (None, product)
}

/// The places that a step may write.
pub(crate) fn written(step: &Step) -> impl Iterator<Item = Place> + '_ {
    let first = match step.kernel {
        Kernel::Product { start: Start::Residual(_), .. } | Kernel::DotBack { .. } => 2,
        Kernel::Product { .. }
        | Kernel::RowProduct { .. }
        | Kernel::ProductGelu { .. }
        | Kernel::ProductGeluOnly { .. }
        | Kernel::ProductGeluBack { .. }
        | Kernel::Dot { .. }
        | Kernel::Norm(_)
        | Kernel::Gather
        | Kernel::Scatter { .. }
        | Kernel::TakeColumns { .. }
        | Kernel::PutColumns { .. }
        | Kernel::Lookup(_)
        | Kernel::Positions(_)
        | Kernel::Rotary { .. }
        | Kernel::Add
        | Kernel::Copy
        | Kernel::Keep { .. } => 1,
        Kernel::Attention { .. } => 2,
        Kernel::NormBack { .. } | Kernel::AttentionBack { .. } => 4,
        Kernel::WeightGradient { .. }
        | Kernel::RowGradient(_)
        | Kernel::LookupBack(_)
        | Kernel::PositionsBack(_) => usize::MAX,
        _ => 0,
    };
    // Attention's result, which comes last, is only read.
    let end = if let Kernel::AttentionBack { .. } = step.kernel { 6 } else { usize::MAX };
    step.places.iter().take(end).skip(first).copied()
}
