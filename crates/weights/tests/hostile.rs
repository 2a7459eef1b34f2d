//! Whatever a file's bytes are, reading them neither panics nor takes more memory than a small multiple of their number.
//!
//! Each campaign tries 2,000 files. For 100,000 of each:
//!
//! ```sh
//! PROPTEST_CASES=100000 cargo test -p looped-weights --test hostile
//! ```
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use looped_weights::{Array, Problem, Weights, from_bytes};
use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The tests of this file take turns: what one allocates would be counted against another.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `bytes`, and holds the peak of the memory taken against the crate's promise: 32 times their number and 1 MiB,
/// less the once that `read` itself takes for the file.
fn read_in_bounds(bytes: &[u8]) -> Result<Weights, Problem> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = from_bytes(bytes);
    let taken = MEMORY.peak_usage() - before;
    let bound = 31 * bytes.len() + (1 << 20);
    assert!(taken <= bound, "{taken} bytes were taken for a file of {}", bytes.len());
    if let Err(problem) = &result {
        let message = problem.to_string();
        assert!(!message.is_empty() && message.len() < 2000, "{message}");
        assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    }
    result
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(2000), failure_persistence: None, ..ProptestConfig::default() }
}

/// The fixtures' bytes with one of these ends to their names.
fn fixtures(end: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    assert!(paths.len() > 3);
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A change to a file's bytes.
#[derive(Clone, Debug)]
enum Change {
    /// Other bits at one place; half of the time near the end, where an archive has its directory.
    Flip(Index, bool, u8),
    /// The file ends early.
    Cut(Index),
    /// A few bytes written over others: lengths and counts often become huge by it.
    Over(Index, Vec<u8>),
    /// A few bytes put between others.
    Insert(Index, Vec<u8>),
    /// A few bytes taken out.
    Remove(Index, usize),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        let huge = select(vec![
            vec![0xff; 4],
            vec![0xff; 8],
            vec![0; 4],
            vec![0xff, 0xff, 0xff, 0x7f],
            vec![0, 0, 0, 0x80],
        ]);
        let few = prop_oneof![vec(any::<u8>(), 1..9), huge];
        prop_oneof![
            6 => (any::<Index>(), any::<bool>(), 1u8..).prop_map(|(at, end, bits)| Self::Flip(at, end, bits)),
            1 => any::<Index>().prop_map(Self::Cut),
            3 => (any::<Index>(), few.clone()).prop_map(|(at, bytes)| Self::Over(at, bytes)),
            2 => (any::<Index>(), few).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            2 => (any::<Index>(), 1usize..40).prop_map(|(at, len)| Self::Remove(at, len)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip(at, false, bits) => bytes[at.index(len)] ^= bits,
            Self::Flip(at, true, bits) => bytes[len - 1 - at.index(len.min(800))] ^= bits,
            Self::Cut(at) => bytes.truncate(at.index(len)),
            Self::Over(at, new) => {
                let at = at.index(len);
                bytes.iter_mut().skip(at).zip(new).for_each(|(old, new)| *old = *new);
            }
            Self::Insert(at, new) => {
                let at = at.index(len);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..len.min(at + count));
            }
        }
    }
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    changes.iter().for_each(|change| change.apply(&mut bytes));
    bytes
}

type Entries = Vec<(String, Vec<u8>)>;

/// An archive's entries, if all of them are sound.
fn unzip(bytes: &[u8]) -> Option<Entries> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut content = |name: &str| {
        let mut bytes = Vec::new();
        zip.by_name(name).ok()?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    names.iter().map(|name| Some((name.clone(), content(name)?))).collect()
}

/// A sound archive of the entries, with checksums that are right.
fn zip(entries: &Entries) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
            .unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive with this pickle in it, and one storage of four numbers.
fn checkpoint(pickle: Vec<u8>) -> Vec<u8> {
    zip(&vec![("m/data.pkl".into(), pickle), ("m/data/0".into(), vec![0; 16])])
}

/// The instruction that puts a text on the stack.
fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// One instruction of a pickle, or a few that belong together; most of them are what `torch.save` writes.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let global = |text: &str| format!("c{}\n", text.replacen(' ', "\n", 1)).into_bytes();
    let storage =
        [b"(", &text("storage")[..], &global("torch FloatStorage"), &text("0"), &text("cpu"), b"K\x04tQ"]
            .concat();
    let tensor =
        [&global("torch._utils _rebuild_tensor_v2")[..], b"(", &storage, b"K\x00K\x04\x85K\x01\x85\x89}tR"]
            .concat();
    let known = vec![
        global("torch._utils _rebuild_tensor_v2"),
        global("torch._utils _rebuild_parameter"),
        global("torch FloatStorage"),
        global("torch Size"),
        global("collections OrderedDict"),
        [global("collections OrderedDict"), b")R".to_vec()].concat(),
        text("storage"),
        text("model"),
        text("0"),
        [text("w"), tensor.clone(), b"s".to_vec()].concat(),
        storage,
        tensor,
    ];
    let plain = b"NNN])}}(((tttusaeeRRbbQ\x85\x86\x87\x88\x89.".to_vec();
    prop_oneof![
        8 => select(plain).prop_map(|op| vec![op]),
        6 => select(known),
        3 => (select(b"KqhhX".to_vec()), 0u8..6).prop_map(|(op, n)| vec![op, n]),
        2 => (select(b"Jrj".to_vec()), any::<[u8; 4]>()).prop_map(|(op, n)| [&[op], &n[..]].concat()),
        1 => vec(any::<u8>(), 0..12).prop_map(|bytes| [&[0x8a, bytes.len() as u8], &bytes[..]].concat()),
        1 => vec(any::<u8>(), 1..4),
    ]
}

#[test]
fn changed_files() {
    let _turn = alone();
    let files = [fixtures(".pt"), fixtures(".safetensors")].concat();
    proptest!(cases(), |(file in select(files), changes in vec(Change::any(), 1..5))| {
        let _ = read_in_bounds(&changed(&file, &changes));
    });
}

/// In a whole file the archive's checksums catch most changes; these have sound archives around them.
#[test]
fn changed_entries_of_archives() {
    let _turn = alone();
    let archives = fixtures(".pt").into_iter().filter(|file| file.len() < 10_000);
    let archives: Vec<Entries> = archives.filter_map(|file| unzip(&file)).collect();
    proptest!(cases(), |(mut entries in select(archives), changes in vec(Change::any(), 1..4), storages in any::<bool>())| {
        for (name, content) in &mut entries {
            if name.ends_with("data.pkl") || storages && name.contains("/data/") {
                *content = changed(content, &changes);
            }
        }
        let _ = read_in_bounds(&zip(&entries));
    });
}

#[test]
fn made_up_pickles() {
    let _turn = alone();
    proptest!(cases(), |(instructions in vec(instruction(), 0..60))| {
        let pickle = [b"\x80\x02}".to_vec(), instructions.concat(), b".".to_vec()].concat();
        let _ = read_in_bounds(&checkpoint(pickle));
    });
}

/// A checkpoint of one tensor, whose place in its storage may be anywhere: what is read is what the definition says, an
/// element at a time, or nothing.
#[test]
fn made_up_tensors() {
    let _turn = alone();
    let number = |n: usize| [b"J", &(n as u32).to_le_bytes()[..]].concat();
    let tuple = |axes: &[usize]| {
        [b"(".to_vec(), axes.iter().flat_map(|&axis| number(axis)).collect(), b"t".to_vec()].concat()
    };
    let axes = prop_oneof![
        vec((0usize..5, 0usize..9), 0..4),
        vec((any::<u32>(), any::<u32>()), 0..10).prop_map(wide)
    ];
    let offset = prop_oneof![9 => 0usize..20, 1 => any::<u32>().prop_map(|offset| offset as usize >> 1)];
    proptest!(cases(), |(offset in offset, axes in axes, len in 0usize..40, said in prop_oneof![9 => Just(0), 1 => 0usize..9])| {
        let (shape, strides): (Vec<usize>, Vec<usize>) = axes.into_iter().unzip();
        let storage: Vec<f32> = (0..len).map(|n| n as f32).collect();
        let pid = [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text("0"), &text("cpu"), &number(len + said), b"tQ"];
        let rebuild = [&pid.concat()[..], &number(offset), &tuple(&shape), &tuple(&strides), b"\x89}tRs."].concat();
        let pickle = [b"\x80\x02}", &text("w")[..], b"ctorch._utils\n_rebuild_tensor_v2\n(", &rebuild].concat();
        let bytes = storage.iter().flat_map(|x| x.to_le_bytes()).collect();
        let result = read_in_bounds(&zip(&vec![("m/data.pkl".into(), pickle), ("m/data/0".into(), bytes)]));
        let gathered = if said == 0 { gathered(&storage, offset, &shape, &strides) } else { None };
        match (result, gathered) {
            (Ok(weights), Some(data)) => prop_assert_eq!(&weights["w"], &Array { shape, data }),
            (Ok(weights), None) => prop_assert!(false, "{weights:?} was made up"),
            (Err(problem), Some(data)) => {
                // Too many elements of too few numbers, or too many axes.
                let dear = matches!(problem, Problem::TooLarge { .. }) && data.len() > 60_000;
                prop_assert!(dear || shape.len() > 8, "{problem}");
            }
            (Err(_), None) => {}
        }
    });
}

fn wide(axes: Vec<(u32, u32)>) -> Vec<(usize, usize)> {
    axes.into_iter()
        .map(|(len, stride)| (len as usize & 0x7fff_ffff, stride as usize & 0x7fff_ffff))
        .collect()
}

/// A view's elements by its definition; `None` if one of them, or their number, is out of reach.
fn gathered(storage: &[f32], offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<f32>> {
    let Some(((&len, shape), (&stride, strides))) = shape.split_first().zip(strides.split_first()) else {
        return Some(vec![*storage.get(offset)?]);
    };
    if shape.contains(&0) || len == 0 {
        return Some(vec![]);
    }
    let mut all = Vec::new();
    for index in 0..len {
        all.extend(gathered(storage, offset + index * stride, shape, strides)?);
        if all.len() > 1 << 20 {
            return None;
        }
    }
    Some(all)
}

#[test]
fn changed_headers_of_safetensors() {
    let _turn = alone();
    let files = fixtures(".safetensors");
    let json = vec(select(br#"0123456789[]{},:"-.eFB"#.to_vec()), 1..4);
    let change = prop_oneof![
        3 => (any::<Index>(), json.clone()).prop_map(|(at, bytes)| Change::Over(at, bytes)),
        2 => (any::<Index>(), json).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => Change::any(),
    ];
    proptest!(cases(), |(file in select(files), changes in vec(change, 1..4))| {
        let len = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        let header = changed(&file[8..8 + len], &changes);
        let bytes = [&(header.len() as u64).to_le_bytes(), &header[..], &file[8 + len..]].concat();
        let _ = read_in_bounds(&bytes);
    });
}

#[test]
fn random_bytes() {
    let _turn = alone();
    let heads = select(vec![&b""[..], b"PK\x03\x04", b"PK\x05\x06", b"\x80\x02", b"\x40\0\0\0\0\0\0\0{\""]);
    proptest!(cases(), |(head in heads, tail in vec(any::<u8>(), 0..2000))| {
        prop_assert!(read_in_bounds(&[head, &tail[..]].concat()).is_err());
    });
}

/// A million bytes of the instructions that cost most for their length.
#[test]
fn pickles_that_build_much() {
    let _turn = alone();
    for (start, again) in [
        (&b"}"[..], &b"N)s"[..]),
        (b"}", b"}})s"),
        (b"}", b"}}s"),
        (b"}", b"(NNNNNNNNNNNNNNNNNNNNu"),
        (b"]", b"(NNNNNNNNNNNNNNNNNNNNe"),
        (b"]", b")a"),
        (b"]", b"NNN\x87a"),
        (b"N", b"N"),
        (b"", b"("),
        (b"(", b"}"),
        (b"(", b"N(tt("),
        (b"}q\0", b"h\0h\0s"),
        (b"}q\0", b"q\0"),
    ] {
        let pickle = [b"\x80\x02", start, &again.repeat(1_000_000 / again.len()), b"."].concat();
        let problem = read_in_bounds(&checkpoint(pickle)).unwrap_err();
        assert!(
            matches!(problem, Problem::Pickle { .. } | Problem::TooLarge { .. } | Problem::NoWeights { .. }),
            "{problem}"
        );
    }
    let memo: Vec<u8> = (0u32..200_000).flat_map(|at| [&b"r"[..], &at.to_le_bytes()].concat()).collect();
    let _ = read_in_bounds(&checkpoint([b"\x80\x02N", &memo[..], b"."].concat()));
}

/// A thousand tensors that are each the whole of one storage.
#[test]
fn tensors_that_share_a_storage_too_often() {
    let _turn = alone();
    let storage = [
        b"(",
        &text("storage")[..],
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"J\0\0\x01\0tQq\0",
    ];
    let tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(h\0K\0J\0\0\x01\0\x85K\x01\x85\x89}tRs";
    let mut pickle =
        [b"\x80\x02}", &text("storage")[..], &storage.concat(), b"s", &text("model"), b"}"].concat();
    for name in 0..1000 {
        pickle.extend([&text(&name.to_string())[..], tensor].concat());
    }
    pickle.extend(b"s.");
    let entries = vec![("m/data.pkl".into(), pickle), ("m/data/0".into(), vec![0; 4 << 16])];
    let problem = read_in_bounds(&zip(&entries)).unwrap_err();
    assert!(problem.to_string().starts_with("tensor `"), "{problem}");
    assert!(matches!(problem, Problem::TooLarge { .. }), "{problem}");
}

/// Archives whose directory is nearly all of them.
#[test]
fn directories_of_many_entries() {
    let _turn = alone();
    let end = |entries: u16, size: u32, start: u32| {
        [
            b"PK\x05\x06\0\0\0\0",
            &[entries.to_le_bytes(); 2].concat()[..],
            &size.to_le_bytes(),
            &start.to_le_bytes(),
            &[0; 2],
        ]
        .concat()
    };
    // Sixty-five thousand entries with names of two bytes and no content.
    let mut bytes = b"PK\x03\x04".to_vec();
    for name in 0..u16::MAX {
        bytes.extend(
            [b"PK\x01\x02", &[0; 24][..], &2u16.to_le_bytes(), &[0; 16], &name.to_le_bytes()].concat(),
        );
    }
    let size = bytes.len() as u32 - 4;
    bytes.extend(end(u16::MAX, size, 4));
    assert!(read_in_bounds(&bytes).is_err());
    // Three thousand ends of archives, each of which points to a directory of its own.
    let header = [b"PK\x01\x02", &[0; 24][..], &1u16.to_le_bytes(), &[0; 16], b"x"].concat();
    let mut bytes = [b"PK\x03\x04".to_vec(), header.repeat(60_000)].concat();
    for at in 0..2900 {
        bytes.extend(end(u16::MAX, 2_000_000, 4 + 47 * at));
    }
    assert!(read_in_bounds(&bytes).is_err());
}

/// Headers that are long for what they say.
#[test]
fn safetensors_that_say_much() {
    let _turn = alone();
    let tensor =
        |shape: &str| format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[0,0]}}}}");
    let names = |count: usize| {
        let entry = |n| format!("\"{n}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","))
    };
    let headers = [
        tensor(&"1,".repeat(500_000)),
        tensor(&["1"; 500_000].join(",")),
        format!("{{\"__metadata__\":{{{}}}}}", ["\"\":\"\""; 200_000].join(",")),
        format!("{{\"__metadata__\":[{}]}}", ["[]"; 300_000].join(",")),
        format!("{{\"a\":{}", "[".repeat(1_000_000)),
        format!("{{\"{}\":0}}", "\\u0001".repeat(200_000)),
        format!("{{\"a\":{{\"dtype\":\"{}\"}}}}", "F".repeat(1_000_000)),
        names(20_000),
    ];
    for header in headers {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        let _ = read_in_bounds(&bytes);
    }
}
