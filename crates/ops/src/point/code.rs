//! From a list of values, each computed from earlier ones, to instructions on places and registers.

use crate::simd::MOST_LANES;

/// Numbers in a strip, if there are registers for so many.
const STRIP: usize = 256;
/// Floats for all registers: half a first-level cache at most.
pub(super) const MEMORY: usize = 4096;

/// A scalar function of one or two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PointFunc {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// c a
    Scale(f32),
    /// a + c
    Offset(f32),
    /// e^a
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// max(a, 0)
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-a)
    Sigmoid,
    /// GELU in its tanh form, as [`Kernels::gelu`](crate::Kernels::gelu).
    Gelu,
    /// The derivative of GELU.
    GeluSlope,
    /// b where a > 0, else 0.
    IfPositive,
}

impl PointFunc {
    const fn is_binary(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::IfPositive)
    }
}

/// How a value of a program is computed. Values are numbered by their place in the list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PointStep {
    /// An input of the program, by number.
    Input(usize),
    /// A number.
    Const(f32),
    /// A function of earlier values; one of one value doesn't look at the second.
    Apply(PointFunc, usize, usize),
}

/// Where rows of the program's width lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which operand of the call.
    pub operand: usize,
    /// The first column.
    pub column: usize,
    /// From one row to the next; 0 if one row stands for all.
    pub stride: usize,
    /// A call is of one block of the operand's rows, which lie one after another. How many blocks further this is; `None`: the first one, whatever
    /// the call's.
    pub block: Option<usize>,
}

/// What a program leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointResult {
    /// The value.
    pub value: usize,
    /// Where it is written.
    pub place: Place,
    /// Whether it is added to what is there, instead of replacing it. At a stride of 0 the rows add up.
    pub add: bool,
}

/// An elementwise program with its buffers' layout, ready to run.
#[derive(Clone, Debug)]
pub struct PointCode {
    pub(super) width: usize,
    pub(super) places: Vec<Place>,
    /// Which of the places are written.
    pub(super) written: Vec<bool>,
    /// What the last registers are filled with before anything is run.
    pub(super) constants: Vec<f32>,
    /// All registers; places are numbered after them.
    pub(super) registers: usize,
    pub(super) lines: Vec<Line>,
    /// Numbers in a strip; 0 if there are more registers than have room.
    pub(super) strip: usize,
    /// Whether rows lie one after another everywhere, so that they are one long row.
    pub(super) joined: bool,
    /// Whether all rows are written to one, which stands if there are no others.
    pub(super) single: bool,
}

/// What an instruction does, with the fused ones that no author writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Func(PointFunc),
    /// a
    Copy,
    /// a b + c
    MulAdd,
    /// c - a b
    NegMulAdd,
    /// a (1 - b b)
    TanhSlope,
    /// a (b - b b)
    SigmoidSlope,
    /// a b (1 - c c)
    MulTanhSlope,
    /// a b (c - c c)
    MulSigmoidSlope,
}

impl Action {
    const fn arity(self) -> usize {
        match self {
            Self::Copy => 1,
            Self::TanhSlope | Self::SigmoidSlope => 2,
            Self::MulAdd | Self::NegMulAdd | Self::MulTanhSlope | Self::MulSigmoidSlope => 3,
            Self::Func(func) => 1 + func.is_binary() as usize,
        }
    }
}

/// An instruction: what it writes, what it does, and what it reads, by numbers of registers and places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) action: Action,
    pub(super) to: usize,
    pub(super) from: [usize; 3],
}

/// A value before it has a register.
#[derive(Clone, Copy, Debug)]
enum Value {
    Place(usize),
    Const(f32),
    Act(Action, [usize; 3]),
}

impl Value {
    fn reads(&self) -> &[usize] {
        match self {
            Self::Act(action, from) => &from[..action.arity()],
            _ => &[],
        }
    }
}

impl PointCode {
    /// Code for rows of `width` numbers. An input is read at its place in `inputs`.
    ///
    /// A result may be written where inputs are read. Otherwise places that are written lie apart from all others.
    ///
    /// # Panics
    /// If a value is computed from later ones, or places overlap in part.
    #[must_use]
    pub fn new(width: usize, steps: &[PointStep], inputs: &[Place], results: &[PointResult]) -> Self {
        let mut draft = Draft { width, places: Vec::new(), written: Vec::new(), added: Vec::new() };
        let mut values: Vec<Value> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            values.push(match *step {
                PointStep::Input(input) => Value::Place(draft.place(inputs[input])),
                PointStep::Const(c) => Value::Const(c),
                PointStep::Apply(func, a, b) => {
                    let b = if func.is_binary() { b } else { a };
                    assert!(a < i && b < i, "value {i} is computed from later ones");
                    Value::Act(Action::Func(func), [a, b, a])
                }
            });
        }
        let mut targets = Vec::new();
        for result in results {
            let place = draft.place(result.place);
            assert!(!draft.written[place], "two results are written to one place");
            let mut value = result.value;
            if result.add {
                let read = |v: &Value| matches!(v, Value::Place(p) if *p == place);
                assert!(result.place.stride != 0 || !values.iter().any(read), "a sum over rows is read");
                values.push(Value::Place(place));
                values.push(Value::Act(Action::Func(PointFunc::Add), [value, values.len() - 1, value]));
                value = values.len() - 1;
            } else if !matches!(values[value], Value::Act(..)) {
                values.push(Value::Act(Action::Copy, [value; 3]));
                value = values.len() - 1;
            }
            draft.written[place] = true;
            draft.added[place] = result.add;
            targets.push((value, place));
        }
        draft.refuse_overlaps();
        fuse(&mut values, &targets);
        let alive = alive(&values, &targets);
        draft.allocate(&values, &alive, &targets)
    }
}

/// Joins what one instruction alone reads with it: a product with a sum or difference, and the slope of tanh or of the logistic function with
/// the product that it is a factor of. All round as they did apart, but for the product within a sum, which isn't rounded.
fn fuse(values: &mut [Value], targets: &[(usize, usize)]) {
    let alive = alive(values, targets);
    let mut readers = vec![0usize; values.len()];
    for (value, _) in values.iter().zip(&alive).filter(|(_, alive)| **alive) {
        value.reads().iter().for_each(|&read| readers[read] += 1);
    }
    targets.iter().for_each(|(value, _)| readers[*value] += 1);
    let product = |values: &[Value], i: usize| match values[i] {
        Value::Act(Action::Func(PointFunc::Mul), [a, b, _]) if readers[i] == 1 => Some((a, b)),
        _ => None,
    };
    // 1 - y^2, or y - y^2: what is y, and which of the two.
    let slope = |values: &[Value], i: usize| match values[i] {
        Value::Act(Action::NegMulAdd, [y, z, from]) if readers[i] == 1 && y == z => match values[from] {
            Value::Const(1.0) => Some((y, true)),
            _ => (from == y).then_some((y, false)),
        },
        _ => None,
    };
    for i in 0..values.len() {
        let Value::Act(Action::Func(func), [a, b, _]) = values[i] else { continue };
        let fused = match func {
            PointFunc::Add => match (product(values, a), product(values, b)) {
                (Some((x, y)), _) => Some((Action::MulAdd, [x, y, b])),
                (None, Some((x, y))) => Some((Action::MulAdd, [x, y, a])),
                (None, None) => None,
            },
            PointFunc::Sub => product(values, b).map(|(x, y)| (Action::NegMulAdd, [x, y, a])),
            PointFunc::Mul => {
                let found = [(a, b), (b, a)].into_iter().find_map(|(g, of)| Some((g, slope(values, of)?)));
                found.map(|(g, (y, of_tanh))| match (product(values, g), of_tanh) {
                    (None, true) => (Action::TanhSlope, [g, y, g]),
                    (None, false) => (Action::SigmoidSlope, [g, y, g]),
                    (Some((p, q)), true) => (Action::MulTanhSlope, [p, q, y]),
                    (Some((p, q)), false) => (Action::MulSigmoidSlope, [p, q, y]),
                })
            }
            _ => None,
        };
        if let Some((action, from)) = fused {
            values[i] = Value::Act(action, from);
        }
    }
}

/// Which values a target depends on.
fn alive(values: &[Value], targets: &[(usize, usize)]) -> Vec<bool> {
    let mut alive = vec![false; values.len()];
    targets.iter().for_each(|(value, _)| alive[*value] = true);
    for i in (0..values.len()).rev() {
        if alive[i] {
            values[i].reads().iter().for_each(|&read| alive[read] = true);
        }
    }
    alive
}

struct Draft {
    width: usize,
    places: Vec<Place>,
    written: Vec<bool>,
    added: Vec<bool>,
}

impl Draft {
    fn place(&mut self, place: Place) -> usize {
        self.places.iter().position(|known| *known == place).unwrap_or_else(|| {
            self.places.push(place);
            self.written.push(false);
            self.added.push(false);
            self.places.len() - 1
        })
    }

    fn refuse_overlaps(&self) {
        for (a, written) in self.places.iter().zip(&self.written).filter(|(_, written)| **written) {
            for b in self.places.iter().filter(|b| *b != a && b.operand == a.operand) {
                let within_rows = |place: &Place| place.column + self.width <= place.stride;
                let apart = a.stride == b.stride
                    && match (a.block, b.block) {
                        (Some(x), Some(y)) if x != y => within_rows(a) && within_rows(b),
                        (x, y) => x == y && a.column.abs_diff(b.column) >= self.width,
                    };
                assert!(apart || !written, "{a:?} is written and overlaps {b:?}");
            }
        }
    }

    fn allocate(self, values: &[Value], alive: &[bool], targets: &[(usize, usize)]) -> PointCode {
        let mut last = vec![0; values.len()];
        for (i, value) in values.iter().enumerate().filter(|(i, _)| alive[*i]) {
            value.reads().iter().for_each(|&read| last[read] = i);
        }
        // A result goes straight to its place, unless what was there is still to be read. Then it waits in a register.
        let mut direct: Vec<Option<usize>> = vec![None; values.len()];
        let mut waiting = Vec::new();
        for &(value, place) in targets {
            let read_later =
                |(i, v): (usize, &Value)| matches!(v, Value::Place(p) if *p == place) && last[i] > value;
            if direct[value].is_none() && !values.iter().enumerate().any(read_later) {
                direct[value] = Some(place);
            } else {
                last[value] = values.len();
                waiting.push((value, place));
            }
        }

        let mut registers: Vec<usize> = Vec::new(); // for each, the last reader of what it holds
        let mut at: Vec<Location> = Vec::with_capacity(values.len());
        let mut constants: Vec<f32> = Vec::new();
        for (i, value) in values.iter().enumerate() {
            at.push(match *value {
                _ if !alive[i] => Location::Register(0),
                Value::Place(place) => Location::Place(place),
                Value::Const(c) => {
                    let known = constants.iter().position(|known| known.to_bits() == c.to_bits());
                    Location::Const(known.unwrap_or_else(|| {
                        constants.push(c);
                        constants.len() - 1
                    }))
                }
                Value::Act(..) if direct[i].is_some() => Location::Place(direct[i].unwrap_or(0)),
                Value::Act(..) => {
                    // An instruction may write over what it reads, so a register is free from its last reader on.
                    let free = registers.iter().position(|&until| until <= i);
                    let register = free.unwrap_or_else(|| {
                        registers.push(0);
                        registers.len() - 1
                    });
                    registers[register] = last[i];
                    Location::Register(register)
                }
            });
        }

        let (variables, all) = (registers.len(), registers.len() + constants.len());
        let number = |location: Location| match location {
            Location::Register(i) => i,
            Location::Const(i) => variables + i,
            Location::Place(i) => all + i,
        };
        let mut lines = Vec::new();
        for (i, value) in values.iter().enumerate().filter(|(i, _)| alive[*i]) {
            if let Value::Act(action, from) = *value {
                let from = from.map(|read| number(at[read]));
                lines.push(Line { action, to: number(at[i]), from });
            }
        }
        for (value, place) in waiting {
            lines.push(Line { action: Action::Copy, to: all + place, from: [number(at[value]); 3] });
        }
        let Self { width, places, written, added } = self;
        let strip = strip(all, &lines);
        let joined = places.iter().all(|place| place.stride == width);
        let mut set =
            places.iter().zip(&written).zip(&added).filter(|((_, written), added)| **written && !**added);
        let single = set.any(|((place, _), _)| place.stride == 0);
        PointCode { width, places, written, constants, registers: all, lines, strip, joined, single }
    }
}

#[derive(Clone, Copy)]
enum Location {
    Register(usize),
    Const(usize),
    Place(usize),
}

/// The numbers in a strip of a program with so many registers; 0 if not even vectors fit the registers' memory.
fn strip(registers: usize, lines: &[Line]) -> usize {
    match lines {
        // Nothing is left for a later instruction.
        [_] if registers == 0 => usize::MAX,
        _ => (MEMORY / registers.max(1)).min(STRIP) / MOST_LANES * MOST_LANES,
    }
}
