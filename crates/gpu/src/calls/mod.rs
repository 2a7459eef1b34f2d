//! Launches of the kernels, each checked: every place holds what the kernel touches there, aligned as it loads it.

mod adam;
mod attention;
mod between_loops;
mod builder;
mod column_sums;
mod few_rows;
mod losses;
mod norm;
mod own;
mod pointwise;
mod rows;
mod scan;
#[cfg(test)]
mod tests;

use builder::Builder;

pub use adam::{Adam, DECISION, SETTINGS};
pub use attention::{Cores, Seen};
pub use between_loops::{After, Before, Ending, Enter, Leave, Next};
pub use column_sums::{Table, Totals};
pub use losses::{Loss, Losses};
pub use norm::NormBackward;
pub use own::{Given, Own};
pub use rows::{Columns, Picks, Shifted};
pub use scan::{StateSpace, States};

use std::borrow::Cow;

use crate::Span;
use crate::source::{Code, Source};

/// One launch of a kernel, made by [`Calls`].
#[derive(Clone, Debug)]
pub struct Launch {
    pub(crate) kernel: Cow<'static, str>,
    pub(crate) code: Code,
    pub(crate) grid: [u32; 2],
    pub(crate) shared: u32,
    pub(crate) arguments: Vec<Argument>,
}

/// What a kernel is given in one place of its argument list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// A place that it only reads; or null.
    Read(Option<Span>),
    /// A place that it writes; or null.
    Write(Option<Span>),
    Int(i32),
    Float(f32),
}

/// Makes launches of the kernels compiled for one width, head and storage.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// What they are compiled for.
    pub source: Source,
}

/// The norms' eps.
const EPS: f32 = 1e-5;

impl Calls {
    fn call(&self, kernel: &'static str) -> Builder {
        Builder { kernel, source: self.source, arguments: Vec::new(), problem: None }
    }

    fn run(&self) -> usize {
        self.call("").aligned(self.source.storage.element())
    }
}

impl Launch {
    /// The kernel's name.
    #[must_use]
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// What the kernel's declaration says against these arguments, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        use crate::source::Kind;
        let Some(signature) = self.code.signature(&self.kernel) else {
            return Some("there is no such kernel".to_owned());
        };
        let kinds: Vec<Kind> = self
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Read(_) => Kind::Read,
                Argument::Write(_) => Kind::Write,
                Argument::Int(_) => Kind::Int,
                Argument::Float(_) => Kind::Float,
            })
            .collect();
        (kinds != signature.takes).then(|| format!("takes {:?}, was given {kinds:?}", signature.takes))
    }
}
