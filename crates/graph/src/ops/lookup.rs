//! Rows of a table: by the token itself, by its position, or by the loop's number.

use candle_core::{DType, Result, Tensor};

use super::{takes, takes_tokens};
use crate::{Form, Meaning, Op, Param, Reach, Shape, Trace};

/// [`Value::lookup`](crate::Value::lookup).
#[derive(Clone, Debug)]
pub struct Lookup {
    /// (width, entries)
    pub table: Param,
    name: String,
    width: usize,
    entries: usize,
}

impl Lookup {
    pub(crate) fn new(trace: &Trace, table: Param) -> Self {
        let info = trace.param_info(table);
        let (width, entries) = table_of(&info.dims);
        Self { table, name: info.name, width, entries }
    }
}

impl Op for Lookup {
    fn name(&self) -> String {
        format!("lookup `{}`", self.name)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        takes(1, inputs[0])?;
        if self.entries == 0 {
            return Err(format!("`{}` isn't a table of at least one entry", self.name));
        }
        Ok(vec![Shape::tokens(self.width)])
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
        Form::Lookup { table: self.table, entries: self.entries }
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let numbers = inputs[0].flatten_all()?.to_dtype(DType::U32)?;
        let rows = of.param(self.table).index_select(&numbers, 1)?.t()?;
        Ok(vec![rows.reshape((of.sequences, of.tokens, self.width))?])
    }
}

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

/// Which rows of a table loops get that it has no row for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Beyond {
    /// The last one.
    #[default]
    Clamp,
    /// All again, from the first on.
    Wrap,
    /// Where there are more loops than rows, the table is stretched over all of them: the first loop gets its first row, the last one its last, and
    /// each between them what lies between two rows.
    Interpolate,
}

/// A place in a table: `part` of the way from one row to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// The row before it.
    pub low: usize,
    /// The row after it; the same if it is a row's place.
    pub high: usize,
    /// 0 at `low`, 1 at `high`.
    pub part: f32,
}

impl Beyond {
    /// Where the loop `index` (from 0) of `loops` finds its row in a table of `rows`.
    #[must_use]
    pub fn place(self, rows: usize, index: usize, loops: usize) -> Between {
        let last = rows.saturating_sub(1);
        let at = |row: usize| Between { low: row, high: row, part: 0.0 };
        match self {
            Self::Wrap => at(index % rows.max(1)),
            Self::Interpolate if loops > rows && last > 0 => {
                let (way, whole) = (index.min(loops - 1) * last, loops - 1);
                let low = way / whole;
                Between { low, high: (low + 1).min(last), part: (way % whole) as f32 / whole as f32 }
            }
            Self::Clamp | Self::Interpolate => at(index.min(last)),
        }
    }
}

/// [`At::by_loop`](crate::At::by_loop).
#[derive(Clone, Debug)]
pub struct ByLoop {
    /// (loops, width)
    pub table: Param,
    /// Which rows loops get that it has no row for.
    pub beyond: Beyond,
    name: String,
    rows: usize,
    width: usize,
}

impl ByLoop {
    pub(crate) fn new(trace: &Trace, table: Param, beyond: Beyond) -> Self {
        let info = trace.param_info(table);
        let (rows, width) = table_of(&info.dims);
        Self { table, beyond, name: info.name, rows, width }
    }

    /// How many rows the table has.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Where the loop `index` (from 0) of `loops` finds its row.
    #[must_use]
    pub fn place(&self, index: usize, loops: usize) -> Between {
        self.beyond.place(self.rows, index, loops)
    }

    /// Whether a loop's row may be none of the table's.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.beyond == Beyond::Interpolate
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
        let Between { low, high, part } = self.place(of.index, of.loops);
        let row = |row: usize| of.param(self.table).narrow(0, row, 1)?.reshape((1, 1, self.width));
        if low == high {
            return Ok(vec![row(low)?]);
        }
        let part = f64::from(part);
        Ok(vec![((row(low)? * (1.0 - part))? + (row(high)? * part)?)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(beyond: Beyond, rows: usize, loops: usize) -> Vec<f32> {
        let at = |index| {
            let Between { low, high, part } = beyond.place(rows, index, loops);
            low as f32 + part * (high - low) as f32
        };
        (0..loops).map(at).collect()
    }

    #[test]
    fn loops_beyond_a_table_get_the_rows_that_are_said() {
        use Beyond::{Clamp, Interpolate, Wrap};
        for beyond in [Clamp, Wrap, Interpolate] {
            assert_eq!(places(beyond, 4, 4), [0.0, 1.0, 2.0, 3.0]);
            assert_eq!(places(beyond, 4, 2), [0.0, 1.0]);
            assert_eq!(places(beyond, 1, 3), [0.0; 3]);
        }
        assert_eq!(places(Clamp, 3, 7), [0.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(places(Wrap, 3, 7), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]);
        assert_eq!(places(Interpolate, 3, 5), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(places(Interpolate, 2, 5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        // A loop after the last one that was said.
        assert_eq!(Interpolate.place(3, 9, 5), Between { low: 2, high: 2, part: 0.0 });
    }
}
