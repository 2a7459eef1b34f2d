//! The framing of TFRecord files: length, its checksum, data, its checksum, all little-endian.

/// Bytes a record takes beside its data.
pub(super) const OVERHEAD: usize = 8 + 4 + 4;

/// `data` as one record.
pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &checksum(&length)[..], data, &checksum(data)].concat()
}

/// The data of each record of a file, up to the first that is torn or fails its checksum.
pub(super) fn read(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = file.split_first_chunk::<8>()?;
        let (length_sum, rest) = rest.split_first_chunk::<4>()?;
        if checksum(length) != *length_sum {
            return None;
        }
        let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let (data_sum, rest) = rest.split_first_chunk::<4>()?;
        if checksum(data) != *data_sum {
            return None;
        }
        file = rest;
        Some(data)
    })
}

/// CRC-32C, rotated and shifted: a file that holds checksums would otherwise have weak ones itself.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct.pack('<I', tensorboard.summary.writer.record_writer.masked_crc32c(b'looped'))`, TensorBoard 2.21.
    #[test]
    fn the_checksum_is_the_one_of_tensorboard() {
        assert_eq!(checksum(b"looped"), [0xb3, 0xcd, 0x82, 0xb7]);
    }

    #[test]
    fn records_come_back() {
        let file = [frame(b"one"), frame(b""), frame(b"three")].concat();
        assert_eq!(read(&file).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(file.len(), 8 + 3 * OVERHEAD);
    }

    #[test]
    fn reading_stops_at_the_first_damage() {
        let file = [frame(b"one"), frame(b"two")].concat();
        let first = frame(b"one").len();
        for at in first..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(read(&damaged).count(), 1, "a flipped bit at {at}");
            assert_eq!(read(&file[..at]).count(), 1, "torn at {at}");
        }
    }
}
