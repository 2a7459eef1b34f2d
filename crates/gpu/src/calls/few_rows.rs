//! Launches of products with few rows, as a recurrence has at each token: cuBLASLt takes 7 us for the smallest.

use super::{Argument, Calls};
use crate::source::constant;
use crate::{Element, Error, Form, Operation, Product, Result};

/// A block has 16 rows at most, so a weight is read as often as there are so many rows: of 128 rows 8 times, and the second
/// level of cache gives about 5 MB in a microsecond. For more rows cuBLASLt's larger tiles are the better ones, by reckoning.
const MOST_ROWS: usize = 128;
/// Multiplications of a product. So many take 2.3 us of an H200 in floats; for more, the tensor cores are worth waiting for.
const MOST_WORK: usize = 1 << 26;
/// Large tiles are taken where they are about as many as a GPU has multiprocessors, of which each then has one.
const ENOUGH_TILES: usize = 96;

impl Product {
    /// Whether [`Calls::few_rows`] is the faster way to do it.
    #[must_use]
    pub fn has_few_rows(&self) -> bool {
        self.form != Form::Weight
            && self.rows <= MOST_ROWS
            && self.rows.saturating_mul(self.outputs).saturating_mul(self.inputs) <= MOST_WORK
            && self.out.element() == Element::F32
    }
}

impl Calls {
    /// A product by a kernel that is made for few rows. Its arithmetic is in floats, whatever is asked for.
    ///
    /// # Errors
    /// If a place doesn't fit, the operands aren't kept as these kernels are compiled for, or it is the gradient of a weight.
    pub fn few_rows(&self, product: &Product) -> Result<Operation> {
        let Product { form, rows, outputs, inputs, left, right, bias, start, out, .. } = *product;
        let wrong = |problem: String| {
            Err(Error::Operation { operation: product.name(), problem: format!("few rows: {problem}") })
        };
        let (columns, inner) = match form {
            Form::Forward => (outputs, inputs),
            Form::Input => (inputs, outputs),
            Form::Weight => return wrong("the gradient of a weight has as many as the weight".to_owned()),
        };
        if let Some(problem) = product.problem() {
            return wrong(problem);
        }
        let size = |name: &str| constant(name) as usize;
        let tiles = |sides: [usize; 2]| [columns.div_ceil(sides[1]), rows.div_ceil(sides[0])];
        let large = tiles([size("FEW_LARGE_ROWS"), size("FEW_LARGE_COLUMNS")]);
        let small = tiles([size("FEW_SMALL_ROWS"), size("FEW_SMALL_COLUMNS")]);
        let many = large[0] * large[1] >= ENOUGH_TILES;
        let kernel = match (form, many) {
            (Form::Forward, true) => "few_rows_large",
            (Form::Forward, false) => "few_rows_small",
            (_, true) => "few_rows_back_large",
            (_, false) => "few_rows_back_small",
        };
        let one = self.source.storage.element().bytes();
        let call =
            self.call(kernel).read_stored(left, rows * inner, one).read_stored(right, inner * columns, one);
        let mut call = call.read_maybe_any(bias).read_maybe_any(start);
        let out = call.check(Some(out), rows * columns, Element::F32, Element::F32.bytes());
        call.arguments.push(Argument::Write(out));
        call.int(rows)
            .int(columns)
            .int(inner)
            .launch_plane(if many { large } else { small }, size("FEW_BYTES"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

    use super::*;
    use crate::{Layout, Math, Source, Storage};

    fn product(form: Form, [rows, outputs, inputs]: [usize; 3]) -> Product {
        let mut layout = Layout::default();
        let (x, w, y) = (rows * inputs, outputs * inputs, rows * outputs);
        let [left, right, out] = match form {
            Form::Forward => [x, w, y],
            Form::Input => [y, w, x],
            Form::Weight => [y, x, w],
        }
        .map(|len| layout.floats(len));
        Product { form, math: Math::F32, rows, outputs, inputs, left, right, bias: None, start: None, out }
    }

    #[test]
    fn a_recurrence_s_products_fill_a_gpu_with_one_tile_for_each_multiprocessor() {
        let calls = Calls { source: Source { width: 32, head: 16, storage: Storage::F32 } };
        for (form, sides, want) in [
            (Form::Forward, [64, 1024, 256], ("few_rows_large", [32, 4])),
            (Form::Input, [64, 1024, 256], ("few_rows_back_small", [16, 8])),
            (Form::Forward, [64, 128, 33], ("few_rows_small", [8, 8])),
            (Form::Input, [128, 10, 384], ("few_rows_back_large", [12, 8])),
        ] {
            let product = product(form, sides);
            assert!(product.has_few_rows());
            let Operation::Launch(launch) = calls.few_rows(&product).unwrap() else { panic!("not a launch") };
            assert_eq!((launch.kernel(), launch.grid.map(|n| n as usize)), want, "{sides:?}");
            assert_eq!(launch.problem(), None);
        }
    }

    #[test]
    fn what_is_large_or_of_another_kind_is_left_to_others() {
        let calls = Calls { source: Source { width: 32, head: 16, storage: Storage::Bf16 } };
        for (form, sides) in
            [(Form::Forward, [129, 8, 8]), (Form::Input, [64, 2048, 513]), (Form::Weight, [8, 8, 8])]
        {
            assert!(!product(form, sides).has_few_rows(), "{form:?} {sides:?}");
        }
        let text = |product: &Product| calls.few_rows(product).unwrap_err().to_string();
        assert_eq!(
            text(&product(Form::Weight, [8, 8, 8])),
            "product by weight 8 x 8 x 8: few rows: the gradient of a weight has as many as the weight"
        );
        let floats = product(Form::Forward, [8, 8, 8]);
        assert_eq!(text(&floats), "few_rows_small: argument 0 holds 64 F32, not 64 Bf16");
        assert!(text(&Product { rows: 9, ..floats }).contains("places of [64, 64, 64] elements"));
    }
}
