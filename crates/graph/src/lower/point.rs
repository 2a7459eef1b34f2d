//! Elementwise programs: neighbouring scalar functions as one step, on columns where they are.

use std::sync::Arc;

use super::arena::Buf;
use super::emit::{Emit, Target};
use super::units::{Cluster, Unit, form};
use super::{At, Kernel, PointOf, Strided};
use crate::ops::Func;
use crate::{Demand, Form, Instruction, NodeId, PointProgram, Rows, Wire};

/// The places of a step while they are collected.
#[derive(Default)]
struct Places(Vec<Buf>);

impl Places {
    fn at(&mut self, buf: Buf) -> At {
        let found = self.0.iter().position(|known| *known == buf);
        At::Place(found.unwrap_or_else(|| {
            self.0.push(buf);
            self.0.len() - 1
        }))
    }
}

impl Emit<'_> {
    /// The value whose columns these are, and the first of them.
    fn base(&self, mut wire: Wire) -> (Wire, usize) {
        let mut column = 0;
        while let (Unit::View, Some(Form::Columns(range)), false) = (
            &self.known.units[wire.node.index()],
            form(self.graph().node(wire.node)),
            // What comes from outside comes as it is.
            self.is_given(wire),
        ) {
            column += range.start;
            wire = self.graph().node(wire.node).inputs[0];
        }
        (wire, column)
    }

    /// Where an operand lies.
    fn operand(&mut self, wire: Wire, rows: Demand, places: &mut Places) -> Strided {
        let (base, column) = self.base(wire);
        let at = match self.graph().shape(base).rows {
            // `Program::refusals` told of a row that is neither a parameter nor computed once a step.
            Rows::Once => self.shared(base).map(At::Shared),
            _ => None,
        };
        match at {
            Some(at) => Strided { at, column, stride: 0 },
            None => {
                let buf = self.value_at(base, rows);
                Strided { at: places.at(buf), column, stride: self.width(base) }
            }
        }
    }

    pub(super) fn point(&mut self, node: NodeId, cluster: &Cluster) {
        let out = Wire { node, output: 0 };
        let (rows, width) = (self.rows_of(out), self.width(out));
        let mut places = Places::default();
        let inputs = cluster.operands.iter().map(|wire| self.operand(*wire, rows, &mut places)).collect();
        let y = self.define(out);
        let result = Strided { at: places.at(y), column: 0, stride: width };
        let program = Arc::clone(&cluster.program);
        self.step(
            Kernel::Point(PointOf {
                id: self.known.next_point(),
                program,
                width,
                inputs,
                is_gradient: false,
                results: vec![(result, false)],
            }),
            &places.0,
        );
    }

    pub(super) fn point_back(&mut self, node: NodeId, cluster: &Cluster, d: Buf) {
        let out = Wire { node, output: 0 };
        let (rows, width) = (self.rows_of(out), self.width(out));
        let wanted: Vec<usize> =
            (0..cluster.operands.len()).filter(|i| self.wants(cluster.operands[*i])).collect();
        let gradient = cluster.program.gradient(&wanted, &[]);
        // The gradient itself, unchanged: one operand with rows of its own takes it over when all is read.
        let slope = cluster.program.inputs;
        let unchanged = |result: usize| gradient.code[result] == Instruction::Input(slope);
        let heir = (0..wanted.len()).rev().find(|i| {
            let wire = cluster.operands[wanted[*i]];
            unchanged(gradient.results[*i])
                && self.base(wire) == (wire, 0)
                && self.graph().shape(wire).rows != Rows::Once
        });

        let mut places = Places::default();
        let mut targets: Vec<(Wire, Target)> = Vec::new();
        let mut results = Vec::new();
        for (i, operand) in wanted.iter().enumerate().filter(|(i, _)| Some(*i) != heir) {
            let (base, column) = self.base(cluster.operands[*operand]);
            let shared = if self.graph().shape(base).rows == Rows::Once { self.shared(base) } else { None };
            if let Some(shared) = shared {
                results.push((i, Strided { at: At::Gradient(shared), column, stride: 0 }, true));
                continue;
            }
            if !targets.iter().any(|(known, _)| *known == base) {
                let target = self.target(base, rows);
                targets.push((base, target));
            }
            let buf = targets.iter().find(|(known, _)| *known == base).map_or(d, |(_, target)| target.buf);
            results.push((i, Strided { at: places.at(buf), column, stride: self.width(base) }, false));
        }
        // A gradient that is new is set where the results cover it, each column once; else it starts from 0.
        for (base, target) in &targets {
            let of_base = |strided: &Strided| strided.at == places_at(&places, target.buf);
            let mut columns: Vec<usize> = results
                .iter()
                .filter(|(_, strided, _)| of_base(strided))
                .map(|(_, strided, _)| strided.column)
                .collect();
            columns.sort_unstable();
            let covers = columns.len() * width == self.width(*base)
                && columns.iter().enumerate().all(|(i, column)| *column == i * width);
            let add = target.add || !covers;
            if !target.add && !covers {
                self.step(Kernel::Fill(0.0), &[target.buf]);
            }
            results
                .iter_mut()
                .filter(|(_, strided, _)| of_base(strided))
                .for_each(|(_, _, adds)| *adds = add);
        }
        if !results.is_empty() {
            let kept: Vec<usize> = results.iter().map(|(i, ..)| gradient.results[*i]).collect();
            let program = gradient.only(&kept);
            let mut inputs = Vec::with_capacity(program.inputs);
            for (i, wire) in cluster.operands.iter().enumerate() {
                // What the gradient doesn't read isn't computed again for it.
                inputs.push(if program.reads(i) {
                    self.operand(*wire, rows, &mut places)
                } else {
                    Strided { at: At::Place(0), column: 0, stride: 0 }
                });
            }
            inputs.push(Strided { at: places.at(d), column: 0, stride: width });
            let results = results.into_iter().map(|(_, strided, add)| (strided, add)).collect();
            self.step(
                Kernel::Point(PointOf {
                    id: self.known.next_point(),
                    program: Arc::new(program),
                    is_gradient: true,
                    width,
                    inputs,
                    results,
                }),
                &places.0,
            );
        }
        for (_, target) in targets {
            self.settle(target);
        }
        if let Some(heir) = heir {
            self.hand_over(d, rows, cluster.operands[wanted[heir]]);
        }
    }

    /// a + b, of rows of their own: nothing is computed backward.
    pub(super) fn sum_back(&mut self, node: NodeId, d: Buf) {
        let rows = self.rows_of(Wire { node, output: 0 });
        let inputs = self.graph().node(node).inputs.clone();
        let wanted: Vec<Wire> = inputs.into_iter().filter(|wire| self.wants(*wire)).collect();
        // One of them takes the gradient over: one that has none yet.
        let heir = wanted.iter().rposition(|wire| !self.grads.contains_key(wire));
        for (_, wire) in wanted.iter().enumerate().filter(|(i, _)| Some(*i) != heir) {
            self.add(d, rows, *wire);
        }
        if let Some(heir) = heir {
            self.hand_over(d, rows, wanted[heir]);
        }
    }

    pub(super) fn sum(&mut self, node: NodeId) {
        let out = Wire { node, output: 0 };
        let (rows, width) = (self.rows_of(out), self.width(out));
        let program = Arc::new(PointProgram::of(Func::Add));
        let mut places = Places::default();
        let inputs = self.graph().node(node).inputs.clone();
        let inputs = inputs.into_iter().map(|wire| self.operand(wire, rows, &mut places)).collect();
        let y = self.define(out);
        let result = Strided { at: places.at(y), column: 0, stride: width };
        self.step(
            Kernel::Point(PointOf {
                id: self.known.next_point(),
                program,
                width,
                inputs,
                is_gradient: false,
                results: vec![(result, false)],
            }),
            &places.0,
        );
    }
}

fn places_at(places: &Places, buf: Buf) -> At {
    At::Place(places.0.iter().position(|known| *known == buf).unwrap_or(usize::MAX))
}
