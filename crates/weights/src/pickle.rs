//! Pickles of `torch.save`, and what they stand for.
//!
//! What a pickle builds is plain data: texts that point into the pickle, and objects that lie in one flat heap and refer
//! to each other by number, so that no depth of nesting costs any depth of recursion.

mod machine;
mod value;

use crate::Problem;
use crate::budget::Budget;
use crate::view::View;

use machine::Machine;
use value::Object;
pub(crate) use value::Value;

/// A pickle that has been run to its end.
#[derive(Debug)]
pub(crate) struct Pickle<'p> {
    heap: Vec<Object<'p>>,
    top: Value<'p>,
}

impl<'p> Pickle<'p> {
    /// Runs the pickle in `bytes`.
    pub(crate) fn run(bytes: &'p [u8], budget: &mut Budget) -> Result<Self, Problem> {
        let (heap, top) = Machine::new(bytes, budget).run()?;
        Ok(Self { heap, top })
    }

    /// The value that the whole pickle stands for.
    pub(crate) fn top(&self) -> Value<'p> {
        self.top
    }

    /// The entries of a dict, in the order they were written.
    pub(crate) fn dict(&self, value: Value) -> Option<&[(Value<'p>, Value<'p>)]> {
        match self.object(value)? {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// A tensor's view of its storage.
    pub(crate) fn tensor(&self, value: Value) -> Option<&View<'p>> {
        match self.object(value)? {
            Object::Tensor(view) => Some(view),
            _ => None,
        }
    }

    fn object(&self, value: Value) -> Option<&Object<'p>> {
        match value {
            Value::Object(number) => self.heap.get(number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(instructions: &[u8]) -> Result<String, String> {
        let bytes = [b"\x80\x02", instructions].concat();
        let top =
            Pickle::run(&bytes, &mut Budget::of_file(&bytes)).map(|pickle| format!("{:?}", pickle.top()));
        top.map_err(|problem| problem.to_string().split(';').next().unwrap().to_owned())
    }

    #[test]
    fn numbers() {
        for (instructions, number) in [
            (&b"K\xff."[..], 255),
            (b"M\x01\x80.", 0x8001),
            (b"J\xfe\xff\xff\xff.", -2),
            (b"\x8a\x00.", 0),
            (b"\x8a\x01\x80.", -128),
            (b"\x8a\x02\xff\x00.", 255),
            (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", i64::MAX),
            (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", i64::MIN),
        ] {
            assert_eq!(run(instructions), Ok(format!("Int({number})")), "{instructions:?}");
        }
        assert_eq!(run(b"\x8a\x09\0\0\0\0\0\0\0\0\x01."), Ok("Fact".into()));
    }

    #[test]
    fn values_are_kept_and_found_again() {
        assert_eq!(run(b"X\x01\0\0\0aq\0Nq\x01h\0."), Ok("Text(\"a\")".into()));
        assert_eq!(run(b"(K\x01K\x02t(K\x03t\x86."), Ok("Object(2)".into()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (instructions, message) in [
            (&b""[..], "data.pkl, byte 2: the pickle ends in the middle"),
            (b"N", "data.pkl, byte 3: the pickle ends in the middle"),
            (b".", "data.pkl, byte 2: nothing on the stack"),
            (b"N(.", "data.pkl, byte 4: nothing on the stack"),
            (b"X\xff\xff\xff\xffa", "data.pkl, byte 2: the pickle ends in the middle"),
            (b"Nh\x05", "data.pkl, byte 3: memo 5 is asked for and was never set"),
            (b"Nq\x05", "data.pkl, byte 3: memo 5 is set before memo 0"),
            (b"}N)s(Nu", "data.pkl, byte 8: a key without a value"),
            (b"NN)s", "data.pkl, byte 5: an entry set in something that is no dict"),
            (b"}Na", "data.pkl, byte 4: an item appended to something that is no list"),
            (
                b"ccollections\nOrderedDict\nN\x85R",
                "data.pkl, byte 29: a call that torch.save does not write",
            ),
            (b"\x93", "data.pkl, byte 2: the instruction 0x93 is none of torch.save's"),
            (b"cos\nsystem\n", "asks to run `os.system`"),
            (b"cbuiltins\neval\n", "asks to run `builtins.eval`"),
            (b"c\x1b[2J\nx\n", "asks to run `\\u{1b}[2J.x`"),
            (b"cos\n", "data.pkl, byte 2: a name without an end"),
        ] {
            assert_eq!(run(instructions), Err(message.into()), "{instructions:?}");
        }
    }
}
