//! Rows of a table: by the token's position, or by the loop's number.

use candle_core::{Result, Tensor};

use super::{takes, takes_tokens};
use crate::{Form, Meaning, Op, Param, Reach, Shape, Trace};

/// [`Value::positions`](crate::Value::positions).
#[derive(Clone, Debug)]
pub struct Positions {
    /// (positions, width)
    pub table: Param,
    name: String,
    rows: usize,
    width: usize,
}

impl Positions {
    pub(crate) fn new(trace: &Trace, table: Param) -> Self {
        let info = trace.param_info(table);
        let (rows, width) = table_of(&info.dims);
        Self { table, name: info.name, rows, width }
    }

    /// How many positions there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }
}

/// Rows and width of a table; none, if it isn't one.
fn table_of(dims: &[usize]) -> (usize, usize) {
    if let [rows, width] = *dims { (rows, width) } else { (0, 0) }
}

impl Op for Positions {
    fn name(&self) -> String {
        format!("positions `{}`", self.name)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        takes(self.width, inputs[0])?;
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn params(&self) -> Vec<Param> {
        vec![self.table]
    }

    fn light(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::Positions(self.table)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        if of.tokens > self.rows {
            candle_core::bail!("there are {} tokens, and positions for {}", of.tokens, self.rows);
        }
        let rows = of.param(self.table).narrow(0, 0, of.tokens)?;
        Ok(vec![inputs[0].broadcast_add(&rows)?])
    }
}

/// [`At::by_loop`](crate::At::by_loop).
#[derive(Clone, Debug)]
pub struct ByLoop {
    /// (loops, width)
    pub table: Param,
    name: String,
    rows: usize,
    width: usize,
}

impl ByLoop {
    pub(crate) fn new(trace: &Trace, table: Param) -> Self {
        let info = trace.param_info(table);
        let (rows, width) = table_of(&info.dims);
        Self { table, name: info.name, rows, width }
    }

    /// How many rows the table has.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The table's row of a loop: the last one for all loops beyond it.
    #[must_use]
    pub fn row(&self, index: usize) -> usize {
        index.min(self.rows.saturating_sub(1))
    }
}

impl Op for ByLoop {
    fn name(&self) -> String {
        format!("by loop `{}`", self.name)
    }

    fn shapes(&self, _: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        if self.rows == 0 {
            return Err(format!("`{}` isn't a table of at least one row", self.name));
        }
        Ok(vec![Shape::once(self.width)])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn params(&self) -> Vec<Param> {
        vec![self.table]
    }

    fn light(&self) -> bool {
        true
    }

    fn by_loop(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::ByLoop(self)
    }

    fn meaning(&self, _: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let row = of.param(self.table).narrow(0, self.row(of.index), 1)?;
        Ok(vec![row.reshape((1, 1, self.width))?])
    }
}
