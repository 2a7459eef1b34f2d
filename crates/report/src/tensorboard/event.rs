//! The few protocol-buffer messages of an event file, by hand.
//!
//! ```text
//! Event   { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary summary }
//! Summary { 1: repeated Value value }
//! Value   { 1: string tag, 2: float simple_value }
//! ```

/// How a field's bytes are laid out; the low three bits of its key.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// The event every file starts with.
pub(super) fn version(wall_time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.fixed64(1, wall_time).bytes(3, b"brain.Event:2");
    event.0
}

/// The event that holds `values` at `step`.
pub(super) fn scalars(wall_time: f64, step: u64, values: &[(&str, f32)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, number) in values {
        let mut value = Message::default();
        value.bytes(1, tag.as_bytes()).fixed32(2, *number);
        summary.bytes(1, &value.0);
    }
    let mut event = Message::default();
    event.fixed64(1, wall_time).varint(2, step).bytes(5, &summary.0);
    event.0
}

/// The step of an event, 0 where it states none; `None` where the bytes are no message.
pub(super) fn step(mut event: &[u8]) -> Option<u64> {
    let mut step = 0;
    while !event.is_empty() {
        let key = take_varint(&mut event)?;
        match (key & 7) as u8 {
            VARINT => {
                let value = take_varint(&mut event)?;
                if key >> 3 == 2 {
                    step = value;
                }
            }
            FIXED64 => skip(&mut event, 8)?,
            BYTES => {
                let length = take_varint(&mut event)?;
                skip(&mut event, length)?;
            }
            FIXED32 => skip(&mut event, 4)?,
            _ => return None,
        }
    }
    Some(step)
}

/// A message being written, field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u8, kind: u8) {
        self.0.push(field << 3 | kind);
    }

    fn varint(&mut self, field: u8, value: u64) -> &mut Self {
        self.key(field, VARINT);
        self.base128(value);
        self
    }

    fn fixed64(&mut self, field: u8, value: f64) -> &mut Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn fixed32(&mut self, field: u8, value: f32) -> &mut Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u8, value: &[u8]) -> &mut Self {
        self.key(field, BYTES);
        self.base128(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn base128(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn skip(bytes: &mut &[u8], count: u64) -> Option<()> {
    *bytes = bytes.get(usize::try_from(count).ok()?..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Event(wall_time=1.5, step=300, summary=Summary(value=[Summary.Value(tag='loss', simple_value=0.25)]))
    /// .SerializeToString().hex()` with the messages of `tensorboard.compat.proto`, TensorBoard 2.21.
    #[test]
    fn bytes_are_those_of_the_protobuf_library() {
        let hex: String = scalars(1.5, 300, &[("loss", 0.25)]).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "09000000000000f83f10ac022a0d0a0b0a046c6f7373150000803e");
        let hex: String = version(2.0).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0900000000000000401a0d627261696e2e4576656e743a32");
    }

    #[test]
    fn the_step_comes_back() {
        for at in [0, 1, 127, 128, 300, 500_000, u64::MAX >> 1] {
            assert_eq!(step(&scalars(0.0, at, &[("a", 1.0), ("b", f32::NAN)])), Some(at));
        }
        assert_eq!(step(&version(1.0)), Some(0));
        assert_eq!(step(&[0x10]), None, "a key without its value");
        assert_eq!(step(&[0x2a, 0x05, 0x00]), None, "shorter than its length");
    }
}
