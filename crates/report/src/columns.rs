//! Tables of numbers for other programs: as CSV, and as Parquet.

mod csv;
mod parquet;

pub use csv::csv;
pub use parquet::parquet;

/// A column: a name, and a value for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The values.
    pub values: Values,
}

/// The values of a column, of one type. Those of a table's columns are equally many.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Numbers; nothing where a row has none. One that isn't finite is a number too.
    Real(Vec<Option<f64>>),
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn text(name: &str, values: Vec<String>) -> Self {
        Self { name: name.to_owned(), values: Values::Text(values) }
    }

    /// A column of whole numbers.
    #[must_use]
    pub fn whole(name: &str, values: Vec<i64>) -> Self {
        Self { name: name.to_owned(), values: Values::Whole(values) }
    }

    /// A column of numbers.
    #[must_use]
    pub fn real(name: &str, values: Vec<Option<f64>>) -> Self {
        Self { name: name.to_owned(), values: Values::Real(values) }
    }
}

/// The rows of a table: those of its shortest column.
fn rows(columns: &[Column]) -> usize {
    let count = |column: &Column| match &column.values {
        Values::Text(values) => values.len(),
        Values::Whole(values) => values.len(),
        Values::Real(values) => values.len(),
    };
    columns.iter().map(count).min().unwrap_or(0)
}

#[cfg(test)]
mod tests;
