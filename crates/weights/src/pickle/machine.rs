//! The machine that runs pickles.
//!
//! A pickle is a program for a stack machine, and Python's machine will import and call anything it is told to. This one
//! knows the instructions that `torch.save` writes (protocol 2) and no others, looks every name up in [`Global`], and
//! spends the file's [`Budget`] on whatever it keeps.

use super::value::{Object, Value};
use crate::Problem;
use crate::budget::Budget;
use crate::error::shown;
use crate::globals::Global;
use crate::view::{Storage, View};

/// The deepest stack: `torch.save` sets a dict's entries a thousand at a time.
const DEEPEST: usize = 8192;
/// The longest name of a module, or of something in one.
const LONGEST_NAME: usize = 256;
/// The most axes of a tensor.
const MOST_AXES: usize = 8;
/// What a value or an object costs in a growing vector, whose old copy lives while the new one, twice as long, is filled.
const VALUE: u64 = 3 * size_of::<Value>() as u64;
const OBJECT: u64 = 3 * size_of::<Object>() as u64;

pub(super) struct Machine<'p, 'b> {
    bytes: &'p [u8],
    at: usize,
    /// Where the present instruction stands.
    op_at: usize,
    stack: Vec<Value<'p>>,
    /// The stack's heights at the marks set and not yet taken away.
    marks: Vec<usize>,
    memo: Vec<Value<'p>>,
    heap: Vec<Object<'p>>,
    budget: &'b mut Budget,
}

impl<'p, 'b> Machine<'p, 'b> {
    pub(super) fn new(bytes: &'p [u8], budget: &'b mut Budget) -> Self {
        let (stack, marks, memo, heap) = Default::default();
        Self { bytes, at: 0, op_at: 0, stack, marks, memo, heap, budget }
    }

    /// Runs to the end: the heap, and what is on top of the stack then, which is what the pickle stands for.
    pub(super) fn run(mut self) -> Result<(Vec<Object<'p>>, Value<'p>), Problem> {
        loop {
            self.op_at = self.at;
            match self.byte()? {
                0x80 => self.protocol()?,
                b'.' => return self.pop().map(|top| (self.heap, top)),

                b'N' | 0x88 | 0x89 | b']' => self.push(Value::Fact)?,
                b'G' => self.take(8).and_then(|_| self.push(Value::Fact))?,
                b'K' => self.number::<1>().and_then(|n| self.push(Value::Int(n)))?,
                b'M' => self.number::<2>().and_then(|n| self.push(Value::Int(n)))?,
                b'J' => self.number::<4>().and_then(|n| self.push(Value::Int(n as i32 as i64)))?,
                0x8a => self.long()?,
                b'X' => self.text()?,
                b'c' => self.global()?,

                b'(' => self.mark()?,
                b')' => self.tuple(0)?,
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => self.since_mark().and_then(|n| self.tuple(n))?,
                b'}' => self.allocate(Object::Dict(Vec::new()))?,
                b's' => self.set_items(2)?,
                b'u' => self.since_mark().and_then(|n| self.set_items(n))?,
                b'a' => self.append(1)?,
                b'e' => self.since_mark().and_then(|n| self.append(n))?,

                b'q' => self.number::<1>().and_then(|n| self.remember(n))?,
                b'r' => self.number::<4>().and_then(|n| self.remember(n))?,
                b'h' => self.number::<1>().and_then(|n| self.recall(n))?,
                b'j' => self.number::<4>().and_then(|n| self.recall(n))?,

                b'Q' => self.storage()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                other => {
                    return Err(self.wrong(format!("the instruction {other:#04x} is none of torch.save's")));
                }
            }
        }
    }

    // Reading.

    fn wrong(&self, what: impl Into<String>) -> Problem {
        Problem::Pickle { at: self.op_at, what: what.into() }
    }

    fn take(&mut self, len: usize) -> Result<&'p [u8], Problem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (taken, _) =
            rest.split_at_checked(len).ok_or_else(|| self.wrong("the pickle ends in the middle"))?;
        self.at += len;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        self.take(1).map(|taken| taken[0])
    }

    /// An unsigned number of `N` bytes, the least first.
    fn number<const N: usize>(&mut self) -> Result<i64, Problem> {
        Ok(little_endian(self.take(N)?))
    }

    fn protocol(&mut self) -> Result<(), Problem> {
        match self.byte()? {
            2 => Ok(()),
            other => Err(self.wrong(format!("pickle protocol {other}, where torch.save writes 2"))),
        }
    }

    /// An integer with its length before it; longer than eight bytes it is a seed, or the like.
    fn long(&mut self) -> Result<(), Problem> {
        let len = usize::from(self.byte()?);
        let bytes = self.take(len)?;
        let value = match bytes.last() {
            None => Value::Int(0),
            Some(_) if len > 8 => Value::Fact,
            Some(top) if len < 8 && *top >= 0x80 => Value::Int(little_endian(bytes) - (1 << (8 * len))),
            Some(_) => Value::Int(little_endian(bytes)),
        };
        self.push(value)
    }

    fn text(&mut self) -> Result<(), Problem> {
        let len = self.number::<4>()?;
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("a text that is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    /// A line of text: one half of a global's name.
    fn line(&mut self) -> Result<&'p str, Problem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().take(LONGEST_NAME).position(|&byte| byte == b'\n');
        let len = len.ok_or_else(|| self.wrong("a name without an end"))?;
        let line = self.take(len + 1)?;
        std::str::from_utf8(&line[..len]).map_err(|_| self.wrong("a name that is not UTF-8"))
    }

    fn global(&mut self) -> Result<(), Problem> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::find(module, name)
            .ok_or_else(|| Problem::Refused { name: shown(&format!("{module}.{name}")) })?;
        self.push(Value::Global(global))
    }

    // The stack, its marks, the memo and the heap.

    fn push(&mut self, value: Value<'p>) -> Result<(), Problem> {
        if self.stack.len() == DEEPEST {
            return Err(self.wrong(format!("more than {DEEPEST} values on the stack")));
        }
        self.stack.push(value);
        Ok(())
    }

    /// The topmost value above the last mark.
    fn pop(&mut self) -> Result<Value<'p>, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let value = if self.stack.len() > floor { self.stack.pop() } else { None };
        value.ok_or_else(|| self.wrong("nothing on the stack"))
    }

    fn mark(&mut self) -> Result<(), Problem> {
        if self.marks.len() == DEEPEST {
            return Err(self.wrong(format!("more than {DEEPEST} marks on the stack")));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Takes the last mark away, and says how many values stand above it.
    fn since_mark(&mut self) -> Result<usize, Problem> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("no mark on the stack"))?;
        Ok(self.stack.len() - mark)
    }

    /// The topmost `count` values above the last mark, taken off.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'p>>, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= floor => {
                self.budget.spend(count as u64 * VALUE, "data.pkl")?;
                Ok(self.stack.split_off(start))
            }
            _ => Err(self.wrong("nothing on the stack")),
        }
    }

    fn allocate(&mut self, object: Object<'p>) -> Result<(), Problem> {
        self.budget.spend(OBJECT, "data.pkl")?;
        self.heap.push(object);
        self.push(Value::Object(self.heap.len() - 1))
    }

    /// Keeps the topmost value as number `at`. Picklers count from 0 without a gap.
    fn remember(&mut self, at: i64) -> Result<(), Problem> {
        let value = *self.stack.last().ok_or_else(|| self.wrong("nothing on the stack"))?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if at > self.memo.len() {
            return Err(self.wrong(format!("memo {at} is set before memo {}", self.memo.len())));
        }
        if at == self.memo.len() {
            self.budget.spend(VALUE, "data.pkl")?;
            self.memo.push(value);
        } else {
            self.memo[at] = value;
        }
        Ok(())
    }

    fn recall(&mut self, at: i64) -> Result<(), Problem> {
        let value = usize::try_from(at).ok().and_then(|at| self.memo.get(at)).copied();
        let value = value.ok_or_else(|| self.wrong(format!("memo {at} is asked for and was never set")))?;
        self.push(value)
    }

    fn object(&self, value: Value) -> Option<&Object<'p>> {
        match value {
            Value::Object(number) => self.heap.get(number),
            _ => None,
        }
    }

    fn as_tuple(&self, value: Value) -> Option<&[Value<'p>]> {
        match self.object(value)? {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    // Tuples, dicts and lists.

    fn tuple(&mut self, count: usize) -> Result<(), Problem> {
        let items = self.pop_many(count)?;
        self.allocate(Object::Tuple(items))
    }

    /// Sets the topmost `count` values, key after value, in the dict below them.
    fn set_items(&mut self, count: usize) -> Result<(), Problem> {
        let items = self.pop_many(count)?;
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.wrong("a key without a value"));
        }
        self.budget.spend(count as u64 * VALUE, "data.pkl")?;
        let target = self.pop()?;
        let dict = match target {
            Value::Object(number) => self.heap.get_mut(number),
            _ => None,
        };
        let Some(Object::Dict(entries)) = dict else {
            return Err(self.wrong("an entry set in something that is no dict"));
        };
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        self.push(target)
    }

    /// Lists hold no weights: what is appended to one is let go.
    fn append(&mut self, count: usize) -> Result<(), Problem> {
        self.pop_many(count)?;
        match self.pop()? {
            Value::Fact => self.push(Value::Fact),
            _ => Err(self.wrong("an item appended to something that is no list")),
        }
    }

    // Storages, tensors and what else is made by a call.

    /// `('storage', torch.FloatStorage, '0', 'cpu', 12)`
    fn storage(&mut self) -> Result<(), Problem> {
        let id = self.pop()?;
        let Some(
            &[
                Value::Text("storage"),
                Value::Global(Global::Storage(kind)),
                Value::Text(key),
                _,
                Value::Int(len),
            ],
        ) = self.as_tuple(id)
        else {
            return Err(self.wrong("a reference to something that is no storage"));
        };
        let len = u64::try_from(len).map_err(|_| self.wrong("a storage of negative length"))?;
        self.allocate(Object::Storage(Storage { kind, key, len }))
    }

    fn reduce(&mut self) -> Result<(), Problem> {
        let args = self.pop()?;
        let function = self.pop()?;
        let args = self.as_tuple(args).ok_or_else(|| self.wrong("a call without a tuple of arguments"))?;
        match (function, args) {
            (Value::Global(Global::OrderedDict), []) => self.allocate(Object::Dict(Vec::new())),
            (Value::Global(Global::Fact), _) => self.push(Value::Fact),
            (Value::Global(Global::RebuildParameter), &[tensor, _, _])
                if matches!(self.object(tensor), Some(Object::Tensor(_))) =>
            {
                self.push(tensor)
            }
            (Value::Global(Global::RebuildTensor), &[storage, Value::Int(offset), shape, strides, ..]) => {
                self.tensor(storage, offset, shape, strides)
            }
            _ => Err(self.wrong("a call that torch.save does not write")),
        }
    }

    fn tensor(&mut self, storage: Value, offset: i64, shape: Value, strides: Value) -> Result<(), Problem> {
        let Some(&Object::Storage(storage)) = self.object(storage) else {
            return Err(self.wrong("a tensor without a storage"));
        };
        let offset = usize::try_from(offset).map_err(|_| self.wrong("a tensor with a negative offset"))?;
        let (shape, strides) = (self.lengths(shape)?, self.lengths(strides)?);
        self.budget.spend(size_of::<View>() as u64, "data.pkl")?;
        self.allocate(Object::Tensor(Box::new(View { storage, offset, shape, strides })))
    }

    /// A tuple of lengths, as a shape is or strides are.
    fn lengths(&mut self, value: Value) -> Result<Vec<usize>, Problem> {
        let items = self.as_tuple(value).ok_or_else(|| self.wrong("a tensor without a shape"))?;
        if items.len() > MOST_AXES {
            return Err(
                self.wrong(format!("a tensor of {} axes, where {MOST_AXES} are the most", items.len()))
            );
        }
        let length = |item: &Value| match item {
            Value::Int(len) => usize::try_from(*len).ok(),
            _ => None,
        };
        let lengths: Option<Vec<usize>> = items.iter().map(length).collect();
        let lengths = lengths.ok_or_else(|| self.wrong("a tensor's shape or stride that is no length"))?;
        self.budget.spend(VALUE * lengths.len() as u64, "data.pkl")?;
        Ok(lengths)
    }

    /// An `OrderedDict`'s attributes, such as a state dict's `_metadata`, matter to no weight.
    fn build(&mut self) -> Result<(), Problem> {
        self.pop()?;
        let target = self.pop()?;
        match self.object(target) {
            Some(Object::Dict(_)) => self.push(target),
            _ => Err(self.wrong("attributes for something that is no dict")),
        }
    }
}

/// Up to eight bytes as a number, the least first.
fn little_endian(bytes: &[u8]) -> i64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | i64::from(byte))
}
