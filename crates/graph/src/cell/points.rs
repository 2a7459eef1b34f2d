//! A cell's elementwise code: for each level of the cell and each width, one program forward and one backward.

use crate::{Instruction, PointProgram, Reg, ops::Func};

use super::buffers::{Buffers, Rows, Space, View, Window};

/// A program with the windows of its inputs and results.
#[derive(Clone, Debug)]
pub(crate) struct Points {
    pub(crate) program: PointProgram,
    pub(crate) inputs: Vec<Window>,
    pub(crate) results: Vec<Window>,
}

/// What of a program's values the backward pass reads, and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    values: Vec<(Reg, Window)>,
    /// Those that are written for its sake alone.
    stores: Vec<(Reg, Window)>,
}

/// A program that is run on rows, with where its inputs and results lie.
#[derive(Clone, Debug)]
pub struct Code {
    /// What is computed of each row.
    pub program: PointProgram,
    /// Its inputs; it may read some of them alone ([`PointProgram::reads`]).
    pub inputs: Vec<Window>,
    /// Which of its values go where, and whether they are added to what is there. All have one width.
    pub results: Vec<(Reg, Window, bool)>,
}

impl Code {
    /// The rows that are read and written, in order, each once.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        let read = self.inputs.iter().enumerate().filter(|(i, _)| self.program.reads(*i));
        let windows = read.map(|(_, window)| window).chain(self.results.iter().map(|(_, window, _)| window));
        let mut views: Vec<View> = windows.map(|window| window.view).collect();
        views.sort_unstable();
        views.dedup();
        views
    }
}

impl Points {
    /// Chooses what is kept: the results; gates, each in place of the sum that it alone reads, if that lies in a buffer that is `private` to this
    /// program; and a copy of whatever else would be gone.
    pub(crate) fn keep(&self, buffers: &mut Buffers, private: impl Fn(usize) -> bool) -> Kept {
        let program = &self.program;
        let mut kept = Kept::default();
        for (&reg, &window) in program.results.iter().zip(&self.results) {
            if matches!(program.code[reg], Instruction::Apply(..)) && !kept.has(reg) {
                kept.values.push((reg, window));
            }
        }
        let depends = dependencies(program);
        let lost =
            |buffers: &Buffers, input: usize| buffers.0[self.inputs[input].view.buffer].rows == Rows::Token;
        for (reg, instruction) in program.code.iter().enumerate() {
            // Functions whose derivative is made of their value.
            let own = matches!(
                instruction,
                Instruction::Apply(Func::Tanh | Func::Sigmoid | Func::Exp | Func::Sqrt, _)
            );
            if !own || kept.has(reg) {
                continue;
            }
            let with = self.reads(&kept, Some(reg));
            let place = (0..self.inputs.len()).find(|&input| {
                let window = self.inputs[input];
                let taken = kept.values.iter().any(|(_, other)| *other == window);
                depends[reg][input] && private(window.view.buffer) && !taken && !with[input]
            });
            if let Some(input) = place {
                kept.store(reg, self.inputs[input]);
                continue;
            }
            let count = |reads: &[bool]| (0..reads.len()).filter(|&i| reads[i] && lost(buffers, i)).count();
            if count(&with) < count(&self.reads(&kept, None)) {
                let window = extra(buffers, self.inputs[0].width);
                kept.store(reg, window);
            }
        }
        let reads = self.reads(&kept, None);
        for (input, &is_read) in reads.iter().enumerate() {
            if !is_read || !lost(buffers, input) {
                continue;
            }
            let own = program.code.iter().position(|known| *known == Instruction::Input(input));
            if let Some(reg) = own {
                let window = extra(buffers, self.inputs[input].width);
                kept.store(reg, window);
            }
        }
        kept
    }

    /// Which inputs the backward program reads if these values are kept.
    fn reads(&self, kept: &Kept, more: Option<Reg>) -> Vec<bool> {
        let regs: Vec<Reg> = kept.values.iter().map(|(reg, _)| *reg).chain(more).collect();
        let gradient = self.gradient(&regs);
        (0..self.inputs.len()).map(|input| gradient.reads(input)).collect()
    }

    fn gradient(&self, kept: &[Reg]) -> PointProgram {
        let all: Vec<usize> = (0..self.inputs.len()).collect();
        self.program.gradient(&all, kept)
    }

    /// Forward: with what is kept written, or without.
    pub(crate) fn forward(&self, kept: Option<&Kept>) -> Code {
        let results = self.program.results.iter().copied().zip(self.results.iter().copied());
        let stores = kept.into_iter().flat_map(|kept| kept.stores.iter().copied());
        let results: Vec<(Reg, Window, bool)> =
            results.chain(stores).map(|(reg, window)| (reg, window, false)).collect();
        Code { program: self.program.clone(), inputs: self.inputs.clone(), results }
    }

    /// Backward: from the gradients with respect to the results to those with respect to the inputs, each set or added.
    pub(crate) fn backward(&self, kept: &Kept, slopes: &[Window], targets: &[(Window, bool)]) -> Code {
        let regs: Vec<Reg> = kept.values.iter().map(|(reg, _)| *reg).collect();
        let gradient = self.gradient(&regs);
        let windows = kept.values.iter().map(|(_, window)| *window);
        let inputs: Vec<Window> =
            self.inputs.iter().copied().chain(windows).chain(slopes.iter().copied()).collect();
        let results: Vec<(Reg, Window, bool)> =
            gradient.results.iter().zip(targets).map(|(&reg, &(window, add))| (reg, window, add)).collect();
        Code { program: gradient, inputs, results }
    }
}

impl Kept {
    fn has(&self, reg: Reg) -> bool {
        self.values.iter().any(|(kept, _)| *kept == reg)
    }

    fn store(&mut self, reg: Reg, window: Window) {
        self.values.push((reg, window));
        self.stores.push((reg, window));
    }
}

fn extra(buffers: &mut Buffers, width: usize) -> Window {
    let buffer = buffers.add(width, Rows::All, Space::Tape);
    Window { view: View::now(buffer), column: 0, width }
}

/// For each value of a program, which inputs it depends on.
fn dependencies(program: &PointProgram) -> Vec<Vec<bool>> {
    let mut all: Vec<Vec<bool>> = Vec::new();
    for instruction in &program.code {
        let mut own = vec![false; program.inputs];
        if let Instruction::Input(input) = instruction {
            own[*input] = true;
        }
        for &read in instruction.reads() {
            own.iter_mut().zip(&all[read]).for_each(|(own, of)| *own |= of);
        }
        all.push(own);
    }
    all
}
