//! Scalar functions.

use super::arena::{Buf, NOTHING};
use super::emit::Emit;
use super::{Kernel, PointOf, Shared};
use crate::ops::Func;
use crate::{Demand, NodeId, Rows, Wire};

impl Emit<'_> {
    /// An operand at some rows: its buffer, or where its one row lies.
    fn operand(&mut self, wire: Wire, rows: Demand) -> (Buf, Option<Shared>) {
        if self.graph().shape(wire).rows == Rows::Once {
            return (NOTHING, self.shared(wire));
        }
        (self.value_at(wire, rows), None)
    }

    pub(super) fn point(&mut self, node: NodeId, func: Func) {
        let out = Wire { node, output: 0 };
        let (rows, width) = (self.rows_of(out), self.width(out));
        let (mut bufs, mut shared) = (Vec::with_capacity(3), [None; 2]);
        for (i, wire) in self.graph().node(node).inputs.iter().enumerate() {
            let (buf, one) = self.operand(*wire, rows);
            shared[i] = one;
            bufs.push(buf);
        }
        bufs.push(self.define(out));
        self.step(Kernel::Point(PointOf { func, width, operand: 0, add: false, shared }), &bufs);
    }

    pub(super) fn point_back(&mut self, node: NodeId, func: Func, d: Buf) {
        let out = Wire { node, output: 0 };
        let (rows, width) = (self.rows_of(out), self.width(out));
        let inputs = self.graph().node(node).inputs.clone();
        if let Func::Add = func {
            let wanted: Vec<Wire> = inputs.into_iter().filter(|wire| self.wants(*wire)).collect();
            // One of them takes the gradient over: one that has none yet.
            let heir = wanted.iter().rposition(|wire| !self.grads.contains_key(wire));
            for (i, wire) in wanted.iter().enumerate().filter(|(i, _)| Some(*i) != heir) {
                let _ = i;
                self.add(d, rows, *wire);
            }
            if let Some(heir) = heir {
                self.hand_over(d, rows, wanted[heir]);
            }
            return;
        }
        let mut shared = [None; 2];
        let mut values = Vec::with_capacity(2);
        for (i, wire) in inputs.iter().enumerate() {
            let (buf, one) = self.operand(*wire, rows);
            shared[i] = one;
            values.push(buf);
        }
        for (operand, wire) in
            inputs.iter().enumerate().filter(|(_, wire)| self.known.needs[wire.node.index()])
        {
            self.into(*wire, rows, |to, dx, add| {
                let mut bufs = vec![d];
                bufs.extend(&values);
                bufs.push(dx);
                to.step(Kernel::PointBack(PointOf { func, width, operand, add, shared }), &bufs);
            });
        }
    }
}
