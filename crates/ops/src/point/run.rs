//! The interpreter: one instruction at a time on a strip of one or several rows.

use super::{Operand, PointCode, PointFunc};
use crate::gelu;
use crate::math::{exp, log, sigmoid, tanh};
use crate::point::code::Action;
use crate::simd::{Kernel, MOST_LANES, Simd};

use std::mem::MaybeUninit;

/// Numbers in a strip, if there are registers for so many.
const STRIP: usize = 256;
/// Floats for all registers: half a first-level cache at most.
const MEMORY: usize = 4096;
/// Registers and places that fit a table on the stack.
const SMALL: usize = 48;

/// All registers. A vector of one that straddled two cache lines would take twice as long to read.
#[repr(align(64))]
struct Registers([MaybeUninit<f32>; MEMORY]);

pub(super) struct Run<'a, 'b> {
    pub(super) code: &'a PointCode,
    pub(super) rows: usize,
    pub(super) operands: &'a mut [Operand<'b>],
}

/// Where a register's or a place's part of the strip starts, and how far its next row is.
#[derive(Clone, Copy)]
struct Cursor {
    at: *mut f32,
    step: usize,
}

/// A strip: some rows of some columns.
#[derive(Clone, Copy)]
struct Strip {
    rows: usize,
    columns: usize,
}

impl Kernel for Run<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { code, rows, operands } = self;
        // Rows that lie one after another everywhere are one long row.
        let joined = code.places.iter().all(|place| place.stride == code.width);
        let (rows, width) = if joined { (1, rows * code.width) } else { (rows, code.width) };

        let strip = match &code.lines[..] {
            // Nothing is left for a later instruction.
            [_] if code.registers == 0 => rows * width,
            _ => (MEMORY / code.registers.max(1)).min(STRIP) / MOST_LANES * MOST_LANES,
        };
        let mut memory = Registers([const { MaybeUninit::uninit() }; MEMORY]);
        let mut overflow = Vec::new();
        let (registers, strip): (&mut [MaybeUninit<f32>], usize) = if strip > 0 {
            (&mut memory.0, strip)
        } else {
            overflow.resize(code.registers * MOST_LANES, MaybeUninit::uninit());
            (&mut overflow, MOST_LANES)
        };
        let mut small = [Cursor { at: std::ptr::null_mut(), step: 0 }; SMALL];
        let mut large = Vec::new();
        let count = code.registers + code.places.len();
        let table: &mut [Cursor] = if count <= SMALL {
            &mut small[..count]
        } else {
            large.resize(count, small[0]);
            &mut large
        };

        let columns_most = strip.min(width);
        let rows_most = if columns_most == width { (strip / width).clamp(1, rows) } else { 1 };
        for (cursor, register) in table.iter_mut().zip(registers.chunks_exact_mut(strip)).take(code.registers)
        {
            *cursor = Cursor { at: register.as_mut_ptr().cast(), step: columns_most };
        }
        let first = code.registers - code.constants.len();
        for (c, register) in code.constants.iter().zip(registers.chunks_exact_mut(strip).skip(first)) {
            register.fill(MaybeUninit::new(*c));
        }
        for top in (0..rows).step_by(rows_most) {
            let rows_here = rows_most.min(rows - top);
            for left in (0..width).step_by(columns_most) {
                let columns = columns_most.min(width - left);
                for (place, cursor) in code.places.iter().zip(&mut table[code.registers..]) {
                    let step = if joined { 0 } else { place.stride };
                    let base = match &mut operands[place.operand] {
                        Operand::Read(x) => x.as_ptr().cast_mut(),
                        Operand::Write(x) => x.as_mut_ptr(),
                    };
                    // SAFETY: `Kernels::point` has seen that the operand holds all rows of the place.
                    *cursor = Cursor { at: unsafe { base.add(top * step + place.column + left) }, step };
                }
                let strip = Strip { rows: rows_here, columns };
                for line in &code.lines {
                    let from = [table[line.from[0]], table[line.from[1]], table[line.from[2]]];
                    // SAFETY: all cursors stand at `rows_here` rows of `columns` floats each: registers hold a strip, and places are
                    // within their operands. Only places of `Operand::Write` are written, which `Kernels::point` has seen too. Every register is
                    // written before it is read.
                    unsafe { step(s, line.action, strip, table[line.to], from) };
                }
            }
        }
    }
}

/// One instruction on a strip.
///
/// # Safety
/// `to` and those of `from` that the action reads stand at `strip.rows` rows of `strip.columns` floats; `to` may be written.
#[inline(always)]
unsafe fn step<S: Simd>(s: S, action: Action, strip: Strip, to: Cursor, from: [Cursor; 3]) {
    let [a, b, c] = from;
    // SAFETY: the caller's promise.
    unsafe {
        match action {
            Action::Copy => each(s, strip, to, [a], Copy),
            Action::MulAdd => each(s, strip, to, [a, b, c], MulAdd),
            Action::NegMulAdd => each(s, strip, to, [a, b, c], NegMulAdd),
            Action::TanhSlope => each(s, strip, to, [a, b], TanhSlope),
            Action::SigmoidSlope => each(s, strip, to, [a, b], SigmoidSlope),
            Action::MulTanhSlope => each(s, strip, to, [a, b, c], MulTanhSlope),
            Action::MulSigmoidSlope => each(s, strip, to, [a, b, c], MulSigmoidSlope),
            Action::Func(func) => match func {
                PointFunc::Add => each(s, strip, to, [a, b], Add),
                PointFunc::Sub => each(s, strip, to, [a, b], Sub),
                PointFunc::Mul => each(s, strip, to, [a, b], Mul),
                PointFunc::Div => each(s, strip, to, [a, b], Div),
                PointFunc::IfPositive => each(s, strip, to, [a, b], IfPositive),
                PointFunc::Scale(c) => each(s, strip, to, [a], Scale(c)),
                PointFunc::Offset(c) => each(s, strip, to, [a], Offset(c)),
                PointFunc::Exp => each(s, strip, to, [a], Exp),
                PointFunc::Log => each(s, strip, to, [a], Log),
                PointFunc::Sqrt => each(s, strip, to, [a], Sqrt),
                PointFunc::Relu => each(s, strip, to, [a], Relu),
                PointFunc::Tanh => each(s, strip, to, [a], Tanh),
                PointFunc::Sigmoid => each(s, strip, to, [a], Sigmoid),
                PointFunc::Gelu => each(s, strip, to, [a], Gelu),
                PointFunc::GeluSlope => each(s, strip, to, [a], GeluSlope),
            },
        }
    }
}

/// A function of `N` vectors.
trait Map<const N: usize>: std::marker::Copy {
    fn apply<S: Simd>(self, s: S, x: [S::F; N]) -> S::F;
}

/// # Safety
/// As [`step`].
#[inline(always)]
unsafe fn each<S: Simd, const N: usize>(
    s: S,
    strip: Strip,
    mut to: Cursor,
    mut from: [Cursor; N],
    map: impl Map<N>,
) {
    let whole = strip.columns / S::LANES * S::LANES;
    let rest = strip.columns - whole;
    for _ in 0..strip.rows {
        for at in (0..whole).step_by(S::LANES) {
            let mut x = [s.splat(0.0); N];
            // SAFETY: the caller's promise; a vector is read before the same place is written.
            unsafe {
                for i in 0..N {
                    x[i] = s.load_ptr(from[i].at.add(at));
                }
                s.store_ptr(to.at.add(at), map.apply(s, x));
            }
        }
        if rest > 0 {
            let mut x = [s.splat(0.0); N];
            // SAFETY: as above, of the `rest` columns that are left.
            unsafe {
                for i in 0..N {
                    x[i] = s.load_first_ptr(from[i].at.add(whole), rest);
                }
                s.store_first_ptr(to.at.add(whole), map.apply(s, x), rest);
            }
        }
        to.at = to.at.wrapping_add(to.step);
        for cursor in &mut from {
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
