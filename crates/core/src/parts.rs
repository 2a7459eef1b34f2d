//! The register of parts: every block, injector, task, baseline, optimiser, schedule, depth, unroll, loss,
//! regulariser and engine linked into the program, with its keys and help.
//!
//! typetag turns a `type = "..."` table into an object; this register holds what typetag doesn't: the JSON Schema that
//! validation, `looped list` and editors read. [`register!`](crate::register) adds a part to it.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// What a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A [`BlockConfig`](crate::BlockConfig).
    Block,
    /// An [`Injector`](crate::Injector).
    Injector,
    /// A [`Task`](crate::Task).
    Task,
    /// A [`Baseline`](crate::Baseline).
    Baseline,
    /// An [`Optimizer`](crate::Optimizer).
    Optimizer,
    /// A [`Schedule`](crate::Schedule).
    Schedule,
    /// A [`Depth`](crate::Depth).
    Depth,
    /// An [`Unroll`](crate::Unroll).
    Unroll,
    /// A [`LoopLoss`](crate::LoopLoss).
    LoopLoss,
    /// A [`Regularizer`](crate::Regularizer).
    Regularizer,
    /// An [`Engine`](crate::Engine).
    Engine,
}

impl Kind {
    /// All kinds, in the order of `looped list`.
    pub const ALL: [Self; 11] = [
        Self::Block,
        Self::Injector,
        Self::Task,
        Self::Baseline,
        Self::Optimizer,
        Self::Schedule,
        Self::Depth,
        Self::Unroll,
        Self::LoopLoss,
        Self::Regularizer,
        Self::Engine,
    ];

    /// `block`, `injector`, `task`, `baseline`, `optimizer`, `schedule`, `depth`, `unroll`, `loss`, `regularizer` or `engine`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Injector => "injector",
            Self::Task => "task",
            Self::Baseline => "baseline",
            Self::Optimizer => "optimizer",
            Self::Schedule => "schedule",
            Self::Depth => "depth",
            Self::Unroll => "unroll",
            Self::LoopLoss => "loss",
            Self::Regularizer => "regularizer",
            Self::Engine => "engine",
        }
    }

    /// The name of several, as `looped list` takes it.
    #[must_use]
    pub fn plural(self) -> String {
        match self {
            Self::LoopLoss => "losses".to_owned(),
            _ => format!("{}s", self.name()),
        }
    }

    /// Whether a config has a table for a part of this kind. An engine has its name alone.
    #[must_use]
    pub const fn is_table(self) -> bool {
        !matches!(self, Self::Engine)
    }

    /// The kind called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A registered part.
#[derive(Debug)]
pub struct Part {
    /// What the part is for.
    pub kind: Kind,
    /// Its name in `type = "..."`; equal to its typetag name.
    pub tag: &'static str,
    /// The crate that registered it.
    pub source: &'static str,
    /// The JSON Schema of its config, without the `type` key.
    pub schema: fn() -> Schema,
}

inventory::collect!(Part);

impl Part {
    /// Every part linked into the program, sorted by kind and tag.
    #[must_use]
    pub fn all() -> Vec<&'static Self> {
        let mut parts: Vec<&Self> = inventory::iter::<Self>().collect();
        parts.sort_by_key(|part| (part.kind, part.tag, part.source));
        parts
    }

    /// The parts of one kind, sorted by tag.
    #[must_use]
    pub fn of(kind: Kind) -> Vec<&'static Self> {
        Self::all().into_iter().filter(|part| part.kind == kind).collect()
    }

    /// The part of `kind` called `tag`.
    #[must_use]
    pub fn find(kind: Kind, tag: &str) -> Option<&'static Self> {
        Self::of(kind).into_iter().find(|part| part.tag == tag)
    }

    /// One line of help: the first paragraph of the config's documentation.
    #[must_use]
    pub fn help(&self) -> String {
        let schema = (self.schema)();
        let text = schema.get("description").and_then(Value::as_str).unwrap_or("");
        text.split("\n\n").next().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Names that two parts of one kind share: a program with any can't tell which one a config means.
    #[must_use]
    pub fn clashes() -> Vec<String> {
        let parts = Self::all();
        parts
            .windows(2)
            .filter(|pair| (pair[0].kind, pair[0].tag) == (pair[1].kind, pair[1].tag))
            .map(|pair| {
                let (a, b) = (pair[0], pair[1]);
                format!(
                    "the {} `{}` is registered twice, by {} and by {}",
                    a.kind.name(),
                    a.tag,
                    a.source,
                    b.source
                )
            })
            .collect()
    }
}

/// Adds a part to the register: its kind, its tag (the one given to typetag) and its config type. An [`Engine`](crate::Engine) is a struct
/// without fields, and its tag is its name.
///
/// ```
/// use looped_core::graph::{At, Inject, Params, Value};
/// use looped_core::{Injector, ModelDims, schemars, typetag};
/// use serde::{Deserialize, Serialize};
///
/// /// Half of the state meets the embedded prompt.
/// #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Half {}
///
/// #[typetag::serde(name = "half")]
/// impl Injector for Half {
///     fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
///         Box::new(Self {})
///     }
/// }
/// looped_core::register!(Injector, "half", Half);
///
/// impl Inject for Half {
///     fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
///         at.input.like(0.0)
///     }
///     fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
///         at.input + state * 0.5
///     }
/// }
///
/// # fn main() {
/// assert!(looped_core::Part::find(looped_core::Kind::Injector, "half").is_some());
/// # }
/// ```
#[macro_export]
macro_rules! register {
    (Engine, $name:literal, $engine:ident) => {
        $crate::inventory::submit! { $crate::NamedEngine { name: $name, engine: &$engine } }
        $crate::register!(@ Engine, $name, $engine);
    };
    (@ $kind:ident, $tag:literal, $config:ty) => {
        $crate::inventory::submit! {
            $crate::Part {
                kind: $crate::Kind::$kind,
                tag: $tag,
                source: env!("CARGO_PKG_NAME"),
                schema: || $crate::schemars::schema_for!($config),
            }
        }
    };
    ($kind:ident, $tag:literal, $config:ty) => {
        $crate::register!(@ $kind, $tag, $config);
    };
}

/// The key that marks, in a schema, the place of a part; its value is the kind's name.
pub const PART_KEY: &str = "x-looped-part";

/// The `format` that marks, in a schema, a key that holds the path of a file: a relative path in an experiment file then
/// starts at that file's folder. `#[schemars(extend("format" = "path"))]` sets it.
pub const PATH: &str = "path";

fn placeholder(kind: Kind) -> Schema {
    let mut schema = json_schema!({ "type": "object" });
    schema.insert(PART_KEY.to_owned(), kind.name().into());
    schema
}

/// Where a schema has a block; for `#[schemars(schema_with = "...")]`.
#[must_use]
pub fn block_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Block)
}

/// Where a schema has a list of blocks.
#[must_use]
pub fn blocks_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "minItems": 1, "items": placeholder(Kind::Block) })
}

/// Where a schema has an injector.
#[must_use]
pub fn injector_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Injector)
}

/// Where a schema has a task.
#[must_use]
pub fn task_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Task)
}

/// Where a schema has a list of baselines.
#[must_use]
pub fn baselines_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": placeholder(Kind::Baseline) })
}

/// Where a schema has an optimiser.
#[must_use]
pub fn optimizer_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Optimizer)
}

/// Where a schema has a schedule of the learning rate.
#[must_use]
pub fn schedule_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Schedule)
}

/// Where a schema has a depth.
#[must_use]
pub fn depth_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Depth)
}

/// Where a schema has an unroll.
#[must_use]
pub fn unroll_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::Unroll)
}

/// Where a schema has a loss over the loops.
#[must_use]
pub fn loss_schema(_: &mut SchemaGenerator) -> Schema {
    placeholder(Kind::LoopLoss)
}

/// Where a schema has a list of regularisers.
#[must_use]
pub fn regularizers_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": placeholder(Kind::Regularizer) })
}
