//! Operations for which the engines have no kernel: each runs by its meaning, and says so.

use super::arena::Buf;
use super::emit::Emit;
use super::{IslandOf, Kernel};
use crate::{Demand, NodeId, Rows, Wire};

impl Emit<'_> {
    fn island_of(&mut self, node: NodeId) -> (IslandOf, Vec<Buf>) {
        let (mut inputs, mut bufs) = (Vec::new(), Vec::new());
        for wire in self.graph().node(node).inputs.clone() {
            if self.graph().shape(wire).rows == Rows::Once {
                inputs.push(self.shared(wire));
            } else {
                inputs.push(None);
                bufs.push(self.value_at(wire, Demand::All));
            }
        }
        (IslandOf { node, inputs, given: Vec::new(), wanted: Vec::new(), add: Vec::new() }, bufs)
    }

    fn results(&self, node: NodeId) -> Vec<Wire> {
        (0..self.graph().node(node).shapes.len()).map(|output| Wire { node, output }).collect()
    }

    pub(super) fn island(&mut self, node: NodeId) {
        let (of, mut bufs) = self.island_of(node);
        let mut gathers = Vec::new();
        for wire in self.results(node) {
            if self.rows_of(wire) == Demand::All {
                let buf = self.define(wire);
                bufs.push(buf);
            } else {
                let all = self.room(wire, Demand::All);
                bufs.push(all);
                gathers.push((all, self.define(wire)));
            }
        }
        self.step(Kernel::Island(of), &bufs);
        for (all, some) in gathers {
            self.step(Kernel::Gather, &[all, some]);
        }
    }

    pub(super) fn island_back(&mut self, node: NodeId) {
        let mut slopes = Vec::new();
        let (mut of, mut bufs) = self.island_of(node);
        for wire in self.results(node) {
            let d = self.grads.get(&wire).copied();
            of.given.push(d.is_some());
            let Some(d) = d else { continue };
            slopes.push(if self.rows_of(wire) == Demand::All {
                d
            } else {
                let all = self.room(wire, Demand::All);
                self.step(Kernel::Scatter { add: false }, &[d, all]);
                all
            });
        }
        bufs.extend(slopes);
        let inputs = self.graph().node(node).inputs.clone();
        let mut again = Vec::new();
        for (i, wire) in inputs.iter().copied().enumerate() {
            let wanted = self.wants(wire);
            of.wanted.push(wanted);
            if !wanted || self.graph().shape(wire).rows == Rows::Once {
                continue;
            }
            // An operation may take one value twice: its gradients are added after the step, which names each place once.
            let known = inputs[..i].contains(&wire);
            let target = if known { None } else { Some(self.target(wire, Demand::All)) };
            let (buf, add) = match &target {
                Some(target) => (target.buf, target.add),
                None => (self.room(wire, Demand::All), false),
            };
            of.add.push(add);
            bufs.push(buf);
            match target {
                Some(target) => self.settle(target),
                None => again.push((buf, wire)),
            }
        }
        self.step(Kernel::IslandBack(of), &bufs);
        for (buf, wire) in again {
            self.hand_over(buf, Demand::All, wire);
        }
    }
}
