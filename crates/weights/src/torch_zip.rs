//! The archive that `torch.save` writes: `data.pkl`, which says what tensors there are, and `data/0`, `data/1`, ...,
//! the storages they lie in. All of it is read in memory; no entry's name is ever a path on this machine.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use crate::budget::Budget;
use crate::error::{line, shown};
use crate::kind::Kind;
use crate::names::{insert, is_mask};
use crate::pickle::{Pickle, Value};
use crate::view::View;
use crate::{Problem, Weights};

/// The weights in a checkpoint's bytes.
pub(crate) fn read(bytes: &[u8]) -> Result<Weights, Problem> {
    let mut budget = Budget::of_file(bytes);
    let mut archive = Archive::open(bytes)?;
    archive.check_byte_order(&mut budget)?;
    let pickle = archive.entry("data.pkl", &mut budget)?;
    let pickle = Pickle::run(&pickle, &mut budget)?;
    let tensors = tensors(&pickle)?;
    archive.gather(&tensors, &mut budget)
}

/// The tensors of the state dict, by name, without GPT-2's masks.
fn tensors<'a, 'p>(pickle: &'a Pickle<'p>) -> Result<Vec<(&'p str, &'a View<'p>)>, Problem> {
    let mut tensors = Vec::new();
    for (key, value) in state_dict(pickle)? {
        let Value::Text(name) = *key else {
            return Err(Problem::NoWeights { found: "a state dict with a key that is no text".into() });
        };
        let view = pickle.tensor(*value).ok_or_else(|| {
            let what =
                "is not a tensor; a state dict holds tensors only: leave it out, and save again".into();
            Problem::Tensor { name: shown(name), what }
        })?;
        if !is_mask(name, &view.shape) {
            tensors.push((name, view));
        }
    }
    Ok(tensors)
}

/// The state dict: under one of the keys that people use, or the whole pickle.
fn state_dict<'a, 'p>(pickle: &'a Pickle<'p>) -> Result<&'a [(Value<'p>, Value<'p>)], Problem> {
    let absent = |found: String| Problem::NoWeights { found };
    let top = pickle.dict(pickle.top()).ok_or_else(|| absent("no dict at all".into()))?;
    for wanted in ["model", "model_state_dict", "state_dict"] {
        let entry = top.iter().find(|(key, _)| matches!(key, Value::Text(text) if *text == wanted));
        if let Some(inner) = entry.and_then(|(_, value)| pickle.dict(*value)) {
            return Ok(inner);
        }
    }
    if top.iter().all(|(_, value)| pickle.tensor(*value).is_some()) && !top.is_empty() {
        return Ok(top);
    }
    Err(absent(format!("a dict with the keys {}", keys(top))))
}

/// The first few of a dict's keys, for a message.
fn keys(entries: &[(Value, Value)]) -> String {
    const MOST: usize = 8;
    let names = entries.iter().take(MOST).map(|(key, _)| match key {
        Value::Text(text) => shown(text),
        _ => "(no text)".into(),
    });
    let names: Vec<String> = names.collect();
    let more = if entries.len() > MOST { ", ..." } else { "" };
    format!("[{}{more}]", names.join(", "))
}

struct Archive<'f> {
    zip: ZipArchive<Cursor<&'f [u8]>>,
    size: u64,
    /// The folder, with its slash, that `data.pkl` lies in: named after the file as it was saved.
    folder: String,
}

impl<'f> Archive<'f> {
    fn open(bytes: &'f [u8]) -> Result<Self, Problem> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| unsound(error.to_string()))?;
        let folder = zip.file_names_raw().find_map(|name| name.strip_suffix(b"data.pkl"));
        let folder = folder.and_then(|folder| std::str::from_utf8(folder).ok());
        let folder = folder.filter(|folder| folder.is_empty() || folder.ends_with('/')).map(str::to_owned);
        let what = "is a zip archive, but not one of torch.save: there is no data.pkl in it";
        let folder = folder.ok_or_else(|| Problem::Unsupported { what: what.into() })?;
        let archive = Self { zip, size: bytes.len() as u64, folder };
        if archive.holds("constants.pkl") {
            let what = "is a program of torch.jit.save, not a checkpoint of torch.save";
            return Err(Problem::Unsupported { what: what.into() });
        }
        Ok(archive)
    }

    fn holds(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.folder)).is_some()
    }

    /// Numbers are read as little-endian, which is how nearly every machine writes them.
    fn check_byte_order(&mut self, budget: &mut Budget) -> Result<(), Problem> {
        if self.holds("byteorder") && self.entry("byteorder", budget)? != b"little" {
            let what = "was saved on a big-endian machine; load it there, and save it as safetensors";
            return Err(Problem::Unsupported { what: what.into() });
        }
        Ok(())
    }

    /// An entry's bytes. What it says of its size is checked against the archive before there is room made for it.
    fn entry(&mut self, name: &str, budget: &mut Budget) -> Result<Vec<u8>, Problem> {
        let broken = |what: String| unsound(format!("its entry {}: {what}", shown(name)));
        let path = format!("{}{name}", self.folder);
        let mut entry = self.zip.by_name(&path).map_err(|error| broken(error.to_string()))?;
        let (packed, size) = (entry.compressed_size(), entry.size());
        let stored = entry.compression() == CompressionMethod::Stored;
        if packed > self.size || stored && size != packed {
            return Err(broken(format!("{size} bytes are declared, in a file of {} bytes", self.size)));
        }
        budget.spend(size, format_args!("entry {}", shown(name)))?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // One byte more than declared, so that the entry's end is seen and its checksum compared.
        entry.by_ref().take(size + 1).read_to_end(&mut bytes).map_err(|error| broken(error.to_string()))?;
        if bytes.len() as u64 != size {
            return Err(broken(format!("{size} bytes are declared, and {} are there", bytes.len())));
        }
        Ok(bytes)
    }

    /// The tensors' elements, storage after storage, so that each is read once and only one at a time is held.
    fn gather(&mut self, tensors: &[(&str, &View)], budget: &mut Budget) -> Result<Weights, Problem> {
        let mut by_storage: BTreeMap<&str, Vec<(&str, &View)>> = BTreeMap::new();
        for &(name, view) in tensors {
            by_storage.entry(view.storage.key).or_default().push((name, view));
        }
        let mut weights = Weights::new();
        for (key, tensors) in by_storage {
            for (name, view) in &tensors {
                afford(name, view, budget)?;
            }
            let bytes = self.entry(&format!("data/{key}"), budget)?;
            for (name, view) in tensors {
                let wrong = |what: String| Problem::Tensor { name: shown(name), what };
                let said =
                    view.storage.kind.size().and_then(|size| view.storage.len.checked_mul(size as u64));
                if said != Some(bytes.len() as u64) {
                    let (len, there) = (view.storage.len, bytes.len());
                    return Err(wrong(format!(
                        "its storage is said to hold {len} numbers, and has {there} bytes"
                    )));
                }
                let array = view.gather(&bytes).ok_or_else(|| wrong(OUTSIDE.into()))?;
                insert(&mut weights, name, array)?;
            }
        }
        Ok(weights)
    }
}

const OUTSIDE: &str = "lies outside its storage; the file is damaged: fetch or save it again";

/// Checks that a tensor can be a parameter, and takes its elements out of the budget.
fn afford(name: &str, view: &View, budget: &mut Budget) -> Result<(), Problem> {
    let wrong = |what: &str| Problem::Tensor { name: shown(name), what: what.into() };
    if view.storage.kind == Kind::Other {
        return Err(wrong(
            "holds no real floating-point numbers; a parameter must: convert it with .float()",
        ));
    }
    let count = view.count().ok_or_else(|| wrong(OUTSIDE))?;
    let bytes = (count as u64).saturating_mul(size_of::<f32>() as u64).saturating_add(name.len() as u64);
    budget.spend(bytes, format_args!("tensor {}", shown(name)))
}

fn unsound(what: impl AsRef<str>) -> Problem {
    Problem::Archive { what: line(what.as_ref()) }
}
