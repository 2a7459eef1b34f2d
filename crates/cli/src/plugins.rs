//! The one list of crates whose parts this program knows: a crate that nothing names is not linked.

use looped_blocks as _;
use looped_eval as _;
use looped_tasks as _;
