//! The derivative of a program, as a program.

use super::{Instruction, PointBuilder, PointProgram, Reg};
use crate::ops::Func;

impl PointProgram {
    /// The program that computes gradients of this one.
    ///
    /// Its inputs are this program's inputs, then the values of the registers `kept`, then the gradient with respect to each result. Its results are the
    /// gradients with respect to the inputs `wanted`. What it needs of this program's values it computes again, up to those that are
    /// kept.
    ///
    /// # Panics
    /// If this program is a gradient itself and holds [`Instruction::GeluSlope`].
    #[must_use]
    pub fn gradient(&self, wanted: &[usize], kept: &[Reg]) -> Self {
        let mut code = PointBuilder::new(self.inputs + kept.len() + self.results.len());
        let mut values: Vec<Reg> = Vec::with_capacity(self.code.len());
        for (i, instruction) in self.code.iter().enumerate() {
            values.push(match *instruction {
                _ if kept.contains(&i) => {
                    let at = kept.iter().position(|&kept| kept == i).unwrap_or(0);
                    code.input(self.inputs + at)
                }
                Instruction::Input(input) => code.input(input),
                Instruction::Const(number) => code.constant(number),
                Instruction::Apply(func, from) => code.apply(func, from.map(|read| values[read])),
                Instruction::IfPositive([a, b]) => code.if_positive(values[a], values[b]),
                Instruction::GeluSlope(a) => code.gelu_slope(values[a]),
            });
        }

        let mut gradients = Gradients { code, of: vec![None; self.code.len()] };
        for (i, &result) in self.results.iter().enumerate() {
            let gradient = gradients.code.input(self.inputs + kept.len() + i);
            gradients.add(result, gradient);
        }
        for (i, instruction) in self.code.iter().enumerate().rev() {
            if let Some(gradient) = gradients.of[i] {
                gradients.pass_on(*instruction, &values, values[i], gradient);
            }
        }

        let Gradients { mut code, of } = gradients;
        let results: Vec<Reg> = wanted
            .iter()
            .map(|&input| {
                let read = self.code.iter().position(|known| *known == Instruction::Input(input));
                read.and_then(|reg| of[reg]).unwrap_or_else(|| code.constant(0.0))
            })
            .collect();
        code.finish(&results)
    }
}

struct Gradients {
    code: PointBuilder,
    /// With respect to each register of the program; `None` is 0.
    of: Vec<Option<Reg>>,
}

impl Gradients {
    fn add(&mut self, to: Reg, gradient: Reg) {
        self.of[to] = Some(match self.of[to] {
            None => gradient,
            Some(had) => self.code.apply(Func::Add, [had, gradient]),
        });
    }

    /// Adds to the gradients of what an instruction reads, from that of its result `y`.
    fn pass_on(&mut self, instruction: Instruction, values: &[Reg], y: Reg, gradient: Reg) {
        use Func::{Add, Div, Exp, Gelu, Log, Mul, Offset, Relu, Scale, Sigmoid, Sqrt, Sub, Tanh};
        let g = gradient;
        match instruction {
            Instruction::Input(_) | Instruction::Const(_) => {}
            Instruction::IfPositive([a, b]) => {
                let gb = self.code.if_positive(values[a], g);
                self.add(b, gb);
            }
            Instruction::GeluSlope(_) => panic!("the gradient of a program that is a gradient itself"),
            Instruction::Apply(func, [a, b]) => {
                let (x, z) = (values[a], values[b]);
                match func {
                    Add => {
                        self.add(a, g);
                        self.add(b, g);
                    }
                    Sub => {
                        self.add(a, g);
                        let minus = self.code.apply(Scale(-1.0), [g, g]);
                        self.add(b, minus);
                    }
                    Mul => {
                        let (ga, gb) = (self.code.apply(Mul, [g, z]), self.code.apply(Mul, [g, x]));
                        self.add(a, ga);
                        self.add(b, gb);
                    }
                    Div => {
                        // With respect to the divisor: -g/z y.
                        let ga = self.code.apply(Div, [g, z]);
                        self.add(a, ga);
                        let gb = self.code.apply(Mul, [ga, y]);
                        let gb = self.code.apply(Scale(-1.0), [gb, gb]);
                        self.add(b, gb);
                    }
                    _ => {
                        let ga = match func {
                            Add | Sub | Mul | Div | Offset(_) => g,
                            Scale(c) => self.code.apply(Scale(c), [g, g]),
                            Exp => self.code.apply(Mul, [g, y]),
                            Log => self.code.apply(Div, [g, x]),
                            Sqrt => {
                                let half = self.code.apply(Scale(0.5), [g, g]);
                                self.code.apply(Div, [half, y])
                            }
                            Relu => self.code.if_positive(x, g),
                            Tanh => {
                                let (one, square) = (self.code.constant(1.0), self.code.apply(Mul, [y, y]));
                                let slope = self.code.apply(Sub, [one, square]);
                                self.code.apply(Mul, [g, slope])
                            }
                            Sigmoid => {
                                let square = self.code.apply(Mul, [y, y]);
                                let slope = self.code.apply(Sub, [y, square]);
                                self.code.apply(Mul, [g, slope])
                            }
                            Gelu => {
                                let slope = self.code.gelu_slope(x);
                                self.code.apply(Mul, [g, slope])
                            }
                        };
                        self.add(a, ga);
                    }
                }
            }
        }
    }
}
