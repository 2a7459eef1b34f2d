//! The interpreter: one instruction at a time on a strip of one or several rows.

use super::code::{Action, Line, MEMORY, PointCode, PointFunc};
use crate::gelu;
use crate::math::{exp, log, sigmoid, tanh};
use crate::simd::{Kernel, MOST_LANES, Simd};

use std::mem::MaybeUninit;

/// All registers. A vector of one that straddled two cache lines would take twice as long to read.
#[repr(align(64))]
struct Registers([MaybeUninit<f32>; MEMORY]);

/// Where a register's or a place's part of the strip starts, and how far its next row is.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) at: *mut f32,
    pub(super) step: usize,
}

/// A program on all its rows.
pub(super) struct Run<'a> {
    pub(super) code: &'a PointCode,
    pub(super) rows: usize,
    pub(super) width: usize,
    /// Room for the registers, then the places, each with `rows` rows of `width` floats in memory.
    pub(super) cursors: &'a mut [Cursor],
}

impl Kernel for Run<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { code, rows, width, cursors } = self;
        let mut memory = Registers([const { MaybeUninit::uninit() }; MEMORY]);
        let mut overflow = Vec::new();
        let (registers, strip): (&mut [MaybeUninit<f32>], usize) = if code.strip > 0 {
            (&mut memory.0, code.strip)
        } else {
            overflow.resize(code.registers * MOST_LANES, MaybeUninit::uninit());
            (&mut overflow, MOST_LANES)
        };
        let columns_most = strip.min(width);
        let rows_most = if columns_most == width { (strip / width).clamp(1, rows) } else { 1 };
        let variables = code.registers - code.constants.len();
        for (i, cursor) in cursors[..code.registers].iter_mut().enumerate() {
            let register = &mut registers[i * strip..][..strip];
            if i >= variables {
                register.fill(MaybeUninit::new(code.constants[i - variables]));
            }
            *cursor = Cursor { at: register.as_mut_ptr().cast(), step: columns_most };
        }

        let (mut top, mut left) = (0, 0);
        loop {
            let (rows_here, columns) = (rows_most.min(rows - top), columns_most.min(width - left));
            for line in &code.lines {
                let part = Part { line, cursors, rows: rows_here, columns };
                // SAFETY: all cursors stand at `rows_here` rows of `columns` floats each: registers hold a strip, and places are
                // within their operands. Only places of `Operand::Write` are written, which `Kernels::point` has seen too. Every register is
                // written before it is read.
                unsafe { step(s, &part) };
            }
            let places = &mut cursors[code.registers..];
            left += columns;
            if left < width {
                places.iter_mut().for_each(|place| place.at = place.at.wrapping_add(columns));
                continue;
            }
            top += rows_here;
            if top == rows {
                return;
            }
            // Back to the first column, rows further down.
            for place in places {
                place.at = place.at.wrapping_add(rows_here * place.step).wrapping_sub(left - columns);
            }
            left = 0;
        }
    }
}

/// An instruction and its strip.
struct Part<'a> {
    line: &'a Line,
    cursors: &'a [Cursor],
    rows: usize,
    columns: usize,
}

/// One instruction on a strip. Each is a function of its own: together they would have more constants than there are registers for.
///
/// # Safety
/// What the line writes and reads stands at `rows` rows of `columns` floats; what it writes may be written.
#[inline(always)]
unsafe fn step<S: Simd>(s: S, part: &Part<'_>) {
    match part.line.action {
        Action::Copy => s.call(Each { part, map: Copy }),
        Action::MulAdd => s.call(Each { part, map: MulAdd }),
        Action::NegMulAdd => s.call(Each { part, map: NegMulAdd }),
        Action::TanhSlope => s.call(Each { part, map: TanhSlope }),
        Action::SigmoidSlope => s.call(Each { part, map: SigmoidSlope }),
        Action::MulTanhSlope => s.call(Each { part, map: MulTanhSlope }),
        Action::MulSigmoidSlope => s.call(Each { part, map: MulSigmoidSlope }),
        Action::Func(func) => match func {
            PointFunc::Add => s.call(Each { part, map: Add }),
            PointFunc::Sub => s.call(Each { part, map: Sub }),
            PointFunc::Mul => s.call(Each { part, map: Mul }),
            PointFunc::Div => s.call(Each { part, map: Div }),
            PointFunc::IfPositive => s.call(Each { part, map: IfPositive }),
            PointFunc::Scale(c) => s.call(Each { part, map: Scale(c) }),
            PointFunc::Offset(c) => s.call(Each { part, map: Offset(c) }),
            PointFunc::Exp => s.call(Each { part, map: Exp }),
            PointFunc::Log => s.call(Each { part, map: Log }),
            PointFunc::Sqrt => s.call(Each { part, map: Sqrt }),
            PointFunc::Relu => s.call(Each { part, map: Relu }),
            PointFunc::Tanh => s.call(Each { part, map: Tanh }),
            PointFunc::Sigmoid => s.call(Each { part, map: Sigmoid }),
            PointFunc::Gelu => s.call(Each { part, map: Gelu }),
            PointFunc::GeluSlope => s.call(Each { part, map: GeluSlope }),
        },
    }
}

/// A function of `N` vectors.
trait Map<const N: usize>: std::marker::Copy {
    fn apply<S: Simd>(self, s: S, x: [S::F; N]) -> S::F;
}

/// A function of each number of a strip. Made by [`step`] alone, whose caller promises what `run` needs.
struct Each<'a, M, const N: usize> {
    part: &'a Part<'a>,
    map: M,
}

impl<M: Map<N>, const N: usize> Kernel for Each<'_, M, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Part { line, cursors, rows, columns } = *self.part;
        let mut from = [cursors[line.to]; N];
        for (from, at) in from.iter_mut().zip(line.from) {
            *from = cursors[at];
        }
        let first = Row { to: cursors[line.to], from };
        let rest = columns % S::LANES;
        let whole = columns - rest;

        let mut row = first;
        for _ in 0..rows {
            let mut at = 0;
            while at < whole {
                let mut x = [s.splat(0.0); N];
                // SAFETY: the promise of `step`'s caller; a vector is read before the same place is written.
                unsafe {
                    for (x, from) in x.iter_mut().zip(&row.from) {
                        *x = s.load_ptr(from.at.add(at));
                    }
                    s.store_ptr(row.to.at.add(at), self.map.apply(s, x));
                }
                at += S::LANES;
            }
            row.advance();
        }
        // In a loop of its own: the vectors' loop needs all registers.
        let mut row = first;
        for _ in 0..if rest > 0 { rows } else { 0 } {
            let mut x = [s.splat(0.0); N];
            // SAFETY: as above, of the `rest` columns that are left.
            unsafe {
                for (x, from) in x.iter_mut().zip(&row.from) {
                    *x = s.load_first_ptr(from.at.add(whole), rest);
                }
                s.store_first_ptr(row.to.at.add(whole), self.map.apply(s, x), rest);
            }
            row.advance();
        }
    }
}

/// Where an instruction's rows begin.
#[derive(Clone, Copy)]
struct Row<const N: usize> {
    to: Cursor,
    from: [Cursor; N],
}

impl<const N: usize> Row<N> {
    #[inline(always)]
    fn advance(&mut self) {
        self.to.at = self.to.at.wrapping_add(self.to.step);
        for cursor in &mut self.from {
            cursor.at = cursor.at.wrapping_add(cursor.step);
        }
    }
}

macro_rules! map {
    ($name:ident, $n:literal, $s:ident, $x:pat => $value:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Map<$n> for $name {
            #[inline(always)]
            fn apply<S: Simd>(self, $s: S, $x: [S::F; $n]) -> S::F {
                $value
            }
        }
    };
}

map!(Copy, 1, _s, [a] => a);
map!(Add, 2, s, [a, b] => s.add(a, b));
map!(Sub, 2, s, [a, b] => s.sub(a, b));
map!(Mul, 2, s, [a, b] => s.mul(a, b));
map!(Div, 2, s, [a, b] => s.div(a, b));
map!(IfPositive, 2, s, [a, b] => s.greater(a, s.splat(0.0), b, s.splat(0.0)));
map!(MulAdd, 3, s, [a, b, c] => s.mul_add(a, b, c));
map!(NegMulAdd, 3, s, [a, b, c] => s.neg_mul_add(a, b, c));
map!(TanhSlope, 2, s, [g, y] => s.mul(g, s.neg_mul_add(y, y, s.splat(1.0))));
map!(SigmoidSlope, 2, s, [g, y] => s.mul(g, s.neg_mul_add(y, y, y)));
map!(MulTanhSlope, 3, s, [a, b, y] => s.mul(s.mul(a, b), s.neg_mul_add(y, y, s.splat(1.0))));
map!(MulSigmoidSlope, 3, s, [a, b, y] => s.mul(s.mul(a, b), s.neg_mul_add(y, y, y)));
map!(Exp, 1, s, [a] => exp(s, a));
map!(Log, 1, s, [a] => log(s, a));
map!(Sqrt, 1, s, [a] => s.sqrt(a));
// In this order of arguments a NaN stays one.
map!(Relu, 1, s, [a] => s.max(s.splat(0.0), a));
map!(Tanh, 1, s, [a] => tanh(s, a));
map!(Sigmoid, 1, s, [a] => sigmoid(s, a));
map!(Gelu, 1, s, [a] => gelu::value(s, a));
map!(GeluSlope, 1, s, [a] => gelu::value_and_slope(s, a).1);

#[derive(Clone, Copy)]
struct Scale(f32);
impl Map<1> for Scale {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [a]: [S::F; 1]) -> S::F {
        s.mul(a, s.splat(self.0))
    }
}

#[derive(Clone, Copy)]
struct Offset(f32);
impl Map<1> for Offset {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, [a]: [S::F; 1]) -> S::F {
        s.add(a, s.splat(self.0))
    }
}
