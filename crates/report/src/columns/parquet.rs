//! Parquet, as <https://parquet.apache.org/docs/file-format/> has it: the little of it that columns of numbers and words need.
//!
//! Rows are written in groups. A column of a group is one page, not compressed: numbers as they are, words by their number in a dictionary of
//! the group. Which rows have no number is said before a page's numbers. What describes pages and the file is in Thrift's compact form
//! ([`Thrift`]).

use std::collections::HashMap;

use super::{Column, Values, rows};

/// The rows of a group.
const GROUP: usize = 1 << 17;
/// The file's first bytes, and its last.
const MAGIC: &[u8] = b"PAR1";

/// The numbers by which the format calls things.
const INT64: i64 = 2;
const DOUBLE: i64 = 5;
const BYTE_ARRAY: i64 = 6;
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;

/// Where a column of a group lies in the file.
struct Chunk {
    begin: usize,
    /// Where its numbers begin, behind a dictionary.
    data: usize,
    end: usize,
    rows: usize,
}

/// A table as a Parquet file.
#[must_use]
pub fn parquet(columns: &[Column]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let rows = rows(columns);
    let mut groups: Vec<(usize, Vec<Chunk>)> = Vec::new();
    for from in (0..rows).step_by(GROUP) {
        let to = rows.min(from + GROUP);
        groups.push((
            to - from,
            columns.iter().map(|column| chunk(&mut file, &column.values, from, to)).collect(),
        ));
    }
    let about = about(columns, rows, &groups);
    file.extend(&about);
    // A table whose description is larger than 4 GiB has more columns than memory holds.
    file.extend((about.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

/// Writes the rows from `from` to `to` of a column.
fn chunk(file: &mut Vec<u8>, values: &Values, from: usize, to: usize) -> Chunk {
    let (begin, rows) = (file.len(), to - from);
    match values {
        Values::Whole(values) => {
            let bytes: Vec<u8> = values[from..to].iter().flat_map(|value| value.to_le_bytes()).collect();
            data_page(file, &bytes, rows, PLAIN);
            Chunk { begin, data: begin, end: file.len(), rows }
        }
        Values::Real(values) => {
            let values = &values[from..to];
            let there: Vec<u32> = values.iter().map(|value| u32::from(value.is_some())).collect();
            let levels = runs(&there, 1);
            let mut bytes = (levels.len() as u32).to_le_bytes().to_vec();
            bytes.extend(levels);
            bytes.extend(values.iter().flatten().flat_map(|value| value.to_le_bytes()));
            data_page(file, &bytes, rows, PLAIN);
            Chunk { begin, data: begin, end: file.len(), rows }
        }
        Values::Text(values) => {
            let mut words: Vec<&str> = Vec::new();
            let mut numbers: HashMap<&str, u32> = HashMap::new();
            let mut indices = Vec::with_capacity(rows);
            for value in &values[from..to] {
                let next = words.len() as u32;
                let number = *numbers.entry(value).or_insert(next);
                if number == next {
                    words.push(value);
                }
                indices.push(number);
            }
            let mut bytes = Vec::new();
            for word in &words {
                bytes.extend((word.len() as u32).to_le_bytes());
                bytes.extend(word.as_bytes());
            }
            dictionary_page(file, &bytes, words.len());
            let data = file.len();
            let bits = (u32::BITS - (words.len() as u32).saturating_sub(1).leading_zeros()).max(1);
            let mut bytes = vec![bits as u8];
            bytes.extend(runs(&indices, bits));
            data_page(file, &bytes, rows, RLE_DICTIONARY);
            Chunk { begin, data, end: file.len(), rows }
        }
    }
}

/// Small numbers as runs of equal ones: how many, then which, in as many bytes as `bits` need.
fn runs(values: &[u32], bits: u32) -> Vec<u8> {
    let width = bits.div_ceil(8) as usize;
    let mut bytes = Vec::new();
    for run in values.chunk_by(|one, next| one == next) {
        varint(&mut bytes, (run.len() as u64) << 1);
        bytes.extend(&run[0].to_le_bytes()[..width]);
    }
    bytes
}

fn data_page(file: &mut Vec<u8>, bytes: &[u8], rows: usize, encoding: i64) {
    let mut header = Thrift::default();
    page(&mut header, DATA_PAGE, bytes.len());
    header.open(5);
    for (field, value) in [(1, rows as i64), (2, encoding), (3, RLE), (4, RLE)] {
        header.i32(field, value);
    }
    header.close();
    file.extend(header.end());
    file.extend(bytes);
}

fn dictionary_page(file: &mut Vec<u8>, bytes: &[u8], words: usize) {
    let mut header = Thrift::default();
    page(&mut header, DICTIONARY_PAGE, bytes.len());
    header.open(7);
    header.i32(1, words as i64);
    header.i32(2, PLAIN);
    header.close();
    file.extend(header.end());
    file.extend(bytes);
}

/// What both kinds of page say first: the kind, and the size, compressed and not.
fn page(header: &mut Thrift, kind: i64, size: usize) {
    header.i32(1, kind);
    header.i32(2, size as i64);
    header.i32(3, size as i64);
}

/// The description of the whole file.
fn about(columns: &[Column], rows: usize, groups: &[(usize, Vec<Chunk>)]) -> Vec<u8> {
    let mut about = Thrift::default();
    about.i32(1, 1);
    about.list(2, Thrift::STRUCT, columns.len() + 1);
    about.element();
    about.text(4, "schema");
    about.i32(5, columns.len() as i64);
    about.close();
    for column in columns {
        let (kind, optional) = match column.values {
            Values::Text(_) => (BYTE_ARRAY, false),
            Values::Whole(_) => (INT64, false),
            Values::Real(_) => (DOUBLE, true),
        };
        about.element();
        about.i32(1, kind);
        about.i32(3, i64::from(optional));
        about.text(4, &column.name);
        if kind == BYTE_ARRAY {
            // Text in UTF-8.
            about.i32(6, 0);
        }
        about.close();
    }
    about.i64(3, rows as i64);
    about.list(4, Thrift::STRUCT, groups.len());
    for (rows, chunks) in groups {
        about.element();
        about.list(1, Thrift::STRUCT, chunks.len());
        for (column, chunk) in columns.iter().zip(chunks) {
            about.element();
            about.i64(2, chunk.begin as i64);
            described(&mut about, column, chunk);
            about.close();
        }
        let size: usize = chunks.iter().map(|chunk| chunk.end - chunk.begin).sum();
        about.i64(2, size as i64);
        about.i64(3, *rows as i64);
        about.close();
    }
    about.text(6, concat!("looped ", env!("CARGO_PKG_VERSION")));
    about.end()
}

/// What the description says of a column of a group.
fn described(about: &mut Thrift, column: &Column, chunk: &Chunk) {
    let (kind, encodings): (i64, &[i64]) = match column.values {
        Values::Text(_) => (BYTE_ARRAY, &[PLAIN, RLE_DICTIONARY]),
        Values::Whole(_) => (INT64, &[PLAIN]),
        Values::Real(_) => (DOUBLE, &[PLAIN, RLE]),
    };
    about.open(3);
    about.i32(1, kind);
    about.list(2, Thrift::I32, encodings.len());
    encodings.iter().for_each(|encoding| about.number(*encoding));
    about.list(3, Thrift::BINARY, 1);
    about.bytes(column.name.as_bytes());
    // Not compressed.
    about.i32(4, 0);
    about.i64(5, chunk.rows as i64);
    about.i64(6, (chunk.end - chunk.begin) as i64);
    about.i64(7, (chunk.end - chunk.begin) as i64);
    about.i64(9, chunk.data as i64);
    if chunk.data > chunk.begin {
        about.i64(11, chunk.begin as i64);
    }
    about.close();
}

/// Writes structs in Thrift's compact form: fields by their difference to the one before, numbers in as few bytes as they need.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    /// The last field of the struct that is being written, and of those around it.
    last: u8,
    around: Vec<u8>,
}

impl Thrift {
    const I32: u8 = 5;
    const I64: u8 = 6;
    const BINARY: u8 = 8;
    const LIST: u8 = 9;
    const STRUCT: u8 = 12;

    /// The head of a field; fields come in the order of their numbers, which are less than 16 apart.
    fn field(&mut self, field: u8, kind: u8) {
        self.bytes.push((field - self.last) << 4 | kind);
        self.last = field;
    }

    fn i32(&mut self, field: u8, value: i64) {
        self.field(field, Self::I32);
        self.number(value);
    }

    fn i64(&mut self, field: u8, value: i64) {
        self.field(field, Self::I64);
        self.number(value);
    }

    fn text(&mut self, field: u8, value: &str) {
        self.field(field, Self::BINARY);
        self.bytes(value.as_bytes());
    }

    /// A list, whose elements come next.
    fn list(&mut self, field: u8, kind: u8, count: usize) {
        self.field(field, Self::LIST);
        if count < 15 {
            self.bytes.push((count as u8) << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            varint(&mut self.bytes, count as u64);
        }
    }

    /// Begins a struct that is a field.
    fn open(&mut self, field: u8) {
        self.field(field, Self::STRUCT);
        self.element();
    }

    /// Begins a struct that is an element of a list.
    fn element(&mut self) {
        self.around.push(std::mem::take(&mut self.last));
    }

    /// Ends the innermost struct.
    fn close(&mut self) {
        self.bytes.push(0);
        self.last = self.around.pop().unwrap_or(0);
    }

    /// Ends the outermost struct.
    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }

    fn number(&mut self, value: i64) {
        // Small numbers of either sign take few bytes.
        varint(&mut self.bytes, (value << 1 ^ value >> 63) as u64);
    }

    fn bytes(&mut self, value: &[u8]) {
        varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend(value);
    }
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
