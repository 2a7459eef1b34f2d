//! Checkpoints: folders that are written whole or not at all, and checked when they are read.
//!
//! A checkpoint holds `model.safetensors` (the parameters under their PyTorch names), `model_ema.safetensors` (their average,
//! where there is one), `optimizer.safetensors` (what the optimiser keeps), `state.json` (the step, and with it the position of every random stream) and `SHA256SUMS`, in the form
//! that `sha256sum --check` reads. It is written beside its place and renamed into it. `last` is the newest, `previous`
//! the one before it, `step_XXXXXXX` those that are kept.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::At;
use crate::files::{discard_folder, remove_folder, sibling, sync_folder, write_synced};
use crate::{Result, TrainError};

const MODEL: &str = "model.safetensors";
/// Only in runs that average their weights.
const AVERAGED: &str = "model_ema.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const SUMS: &str = "SHA256SUMS";

/// Everything that the rest of a run depends on.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The parameters, by name.
    pub model: BTreeMap<String, Tensor>,
    /// The average of the parameters, by name, where there is one.
    pub averaged: Option<BTreeMap<String, Tensor>>,
    /// What the optimiser keeps, as in [`Updater::state`](crate::Updater::state).
    pub optimizer: BTreeMap<String, Tensor>,
    /// Where the run stands.
    pub state: State,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The format of the checkpoint.
    pub format: u32,
    /// Steps done; the next step has this number.
    pub step: usize,
    /// Updates the optimiser has made.
    pub optimizer_updates: usize,
    /// The random streams.
    pub generator: Generator,
    /// Steps that changed nothing.
    #[serde(default, skip_serializing_if = "Skipped::is_none")]
    pub skipped: Skipped,
    /// What the task's data were known by, where it reads any: [`Task::fingerprint`](looped_core::Task::fingerprint).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// Steps that changed nothing, because their loss or gradient wasn't finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Since the first step.
    pub all: usize,
    /// Right before the next step.
    pub in_a_row: usize,
}

impl Skipped {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The position of the random streams: step s draws from the streams with index s, so the next index says it all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// `chacha8`: no other is known.
    pub algorithm: String,
    /// The experiment's seed.
    pub seed: u64,
    /// The index of the next step's streams.
    pub next_stream: u64,
}

/// The format that this version writes, and the only one it reads.
const FORMAT: u32 = 1;
/// The generator that all streams are drawn by.
const ALGORITHM: &str = "chacha8";

impl State {
    /// The state after `step` steps.
    #[must_use]
    pub fn after(step: usize, optimizer_updates: usize, seed: u64) -> Self {
        let generator = Generator { algorithm: ALGORITHM.to_owned(), seed, next_stream: step as u64 };
        Self { format: FORMAT, step, optimizer_updates, generator, skipped: Skipped::default(), data: None }
    }

    /// Reads `state.json`, refusing what this version wouldn't continue to the same bits.
    fn read(contents: &[u8], path: &Path) -> Result<Self> {
        /// What every format begins with.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let refuse = |message: String| Err(content(path, message));
        let Versioned { format } = serde_json::from_slice(contents).map_err(|e| content(path, e))?;
        if format != FORMAT {
            return refuse(format!(
                "format is {format}, and this version of looped reads format {FORMAT}; use the version that wrote it"
            ));
        }
        let state: Self = serde_json::from_slice(contents).map_err(|e| content(path, e))?;
        let (step, Generator { algorithm, next_stream, .. }) = (state.step, &state.generator);
        if algorithm != ALGORITHM {
            return refuse(format!("generator.algorithm is {algorithm:?}, expected {ALGORITHM:?}"));
        }
        if *next_stream != step as u64 {
            return refuse(format!("generator.next_stream is {next_stream}, expected step, {step}"));
        }
        let (updates, skipped) = (state.optimizer_updates, state.skipped.all);
        if updates.checked_add(skipped) != Some(step) {
            let less = if skipped > 0 { format!(", less the {skipped} skipped") } else { String::new() };
            return refuse(format!("optimizer_updates is {updates}, expected step, {step}{less}"));
        }
        Ok(state)
    }
}

impl Checkpoint {
    /// Writes the checkpoint as the folder `place`, replacing one that is there.
    ///
    /// # Errors
    /// If anything can't be written; then `place` holds what it held.
    pub fn write(&self, place: &Path) -> Result<()> {
        let temporary = sibling(place, "tmp");
        remove_folder(&temporary)?;
        let written = self.write_new(&temporary);
        if written.is_err() {
            let _ = fs::remove_dir_all(&temporary);
            return written;
        }
        if place.exists() {
            let old = sibling(place, "old");
            remove_folder(&old)?;
            fs::rename(place, &old).at("set aside", place)?;
            fs::rename(&temporary, place).at("put in place", place)?;
            remove_folder(&old)?;
        } else {
            fs::rename(&temporary, place).at("put in place", place)?;
        }
        sync_folder(place.parent().unwrap_or(Path::new(".")))
    }

    fn write_new(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).at("create", folder)?;
        let state = serde_json::to_vec_pretty(&self.state).map_err(|e| content(&folder.join(STATE), e))?;
        let mut files = BTreeMap::from([
            (MODEL, encode(&self.model)?),
            (OPTIMIZER, encode(&self.optimizer)?),
            (STATE, state),
        ]);
        if let Some(averaged) = &self.averaged {
            files.insert(AVERAGED, encode(averaged)?);
        }
        for (name, contents) in &files {
            write_synced(&folder.join(name), contents)?;
        }
        write_synced(&folder.join(SUMS), sums(&files).as_bytes())?;
        sync_folder(folder)
    }

    /// What another process needs of it: state, parameters, what the optimiser keeps, and the average or nothing.
    pub(crate) fn parts(&self) -> Result<Vec<Vec<u8>>> {
        let state = serde_json::to_vec(&self.state).map_err(|e| content(Path::new(STATE), e))?;
        let averaged = self.averaged.as_ref().map(encode).transpose()?.unwrap_or_default();
        Ok(vec![state, encode(&self.model)?, encode(&self.optimizer)?, averaged])
    }

    /// The checkpoint whose [`parts`](Self::parts) these are.
    pub(crate) fn of_parts([state, model, optimizer, averaged]: &[Vec<u8>; 4]) -> Result<Self> {
        let averaged = (!averaged.is_empty()).then(|| decode(averaged, Path::new(AVERAGED))).transpose()?;
        Ok(Self {
            model: decode(model, Path::new(MODEL))?,
            averaged,
            optimizer: decode(optimizer, Path::new(OPTIMIZER))?,
            state: State::read(state, Path::new(STATE))?,
        })
    }

    /// Reads a checkpoint and checks every byte of it.
    ///
    /// # Errors
    /// If a file is missing, differs from its checksum, or doesn't hold what it should.
    pub fn read(place: &Path) -> Result<Self> {
        let files = intact_files(place)?;
        let state = State::read(&files[STATE], &place.join(STATE))?;
        Ok(Self {
            model: decode(&files[MODEL], &place.join(MODEL))?,
            averaged: files.get(AVERAGED).map(|file| decode(file, &place.join(AVERAGED))).transpose()?,
            optimizer: decode(&files[OPTIMIZER], &place.join(OPTIMIZER))?,
            state,
        })
    }
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in `folder`, which need not exist yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether anything was saved yet; a first checkpoint that a crash cut short is nothing.
    ///
    /// # Errors
    /// If the folder is there and can't be read: that is no folder without checkpoints.
    pub fn exist(&self) -> Result<bool> {
        Ok(!self.places()?.is_empty())
    }

    /// The newest checkpoint's folder.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.folder.join("last")
    }

    /// The steps that the newest checkpoint claims, unread otherwise; 0 if none claims any.
    pub(crate) fn steps_claimed(&self) -> usize {
        let steps = |name: &str| step_of(&self.folder.join(name));
        steps("next").max(steps("last")).or_else(|| steps("previous")).unwrap_or(0)
    }

    /// Writes `last`, and `step_XXXXXXX` too if it is to be kept. The old `last` becomes `previous` if its step is a
    /// multiple of `every`: what a stop in between saved makes no difference to what is left at the end.
    ///
    /// # Errors
    /// If anything can't be written; a good checkpoint stays.
    pub fn save(&self, checkpoint: &Checkpoint, every: usize, keep: bool) -> Result<()> {
        // Only inside the run's own folder: one that was moved or removed must not be trained on into nothing.
        if !self.folder.exists() {
            fs::create_dir(&self.folder).at("create", &self.folder)?;
        }
        self.settle(every)?;
        if keep {
            checkpoint.write(&self.folder.join(format!("step_{:07}", checkpoint.state.step)))?;
        }
        checkpoint.write(&self.next())?;
        self.settle(every)
    }

    /// Ends a save that was cut short once its checkpoint was whole, so that what is left doesn't tell of a crash.
    ///
    /// # Errors
    /// If a folder can't be moved; a good checkpoint stays.
    pub fn settle(&self, every: usize) -> Result<()> {
        let (next, last, previous) = (self.next(), self.last(), self.folder.join("previous"));
        if !next.exists() {
            return Ok(());
        }
        if intact_files(&next).is_err() {
            return discard_folder(&next);
        }
        let scheduled =
            step_of(&last).is_some_and(|step| step.is_multiple_of(every) && Some(step) != step_of(&next));
        // A damaged checkpoint must not take the place of a good one.
        if scheduled && intact_files(&last).is_ok() {
            discard_folder(&previous)?;
            fs::rename(&last, &previous).at("set aside", &last)?;
        } else {
            discard_folder(&last)?;
        }
        fs::rename(&next, &last).at("put in place", &last)?;
        sync_folder(&self.folder)
    }

    /// Where a checkpoint stands that is whole, and not yet in its place.
    fn next(&self) -> PathBuf {
        self.folder.join("next")
    }

    /// The folders that claim to be checkpoints; none if nothing was saved yet.
    fn places(&self) -> Result<Vec<PathBuf>> {
        // The link itself, where it is one: one that leads nowhere is a disk that isn't mounted.
        if fs::symlink_metadata(&self.folder).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Vec::new());
        }
        let mut places = Vec::new();
        for entry in fs::read_dir(&self.folder).at("read", &self.folder)? {
            let entry = entry.at("read", &self.folder)?;
            let path = entry.path();
            let may_be_one = !entry.file_type().at("read", &path)?.is_file();
            if may_be_one && path.extension().is_none_or(|e| e != "tmp") {
                places.push(path);
            }
        }
        Ok(places)
    }

    /// The good checkpoint with most steps, its folder, and what is wrong with newer ones. Older ones aren't looked at.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest_good(&self) -> Result<(Checkpoint, PathBuf, Vec<TrainError>)> {
        let mut places = self.places()?;
        places.sort_by_cached_key(|place| {
            (std::cmp::Reverse(claimed_step(place)), !place.ends_with("last"), place.clone())
        });
        let mut bad = Vec::new();
        for place in places {
            match Checkpoint::read(&place) {
                Ok(checkpoint) => return Ok((checkpoint, place, bad)),
                Err(error) => bad.push(error),
            }
        }
        let reasons: Vec<String> = bad.iter().map(|error| format!("  {error}")).collect();
        let reasons =
            if reasons.is_empty() { "  the folder is empty".to_owned() } else { reasons.join("\n") };
        Err(TrainError::NoCheckpoint { path: self.folder.clone(), reasons })
    }
}

/// The step that a checkpoint was saved at, as far as its state or its name tells. One that tells nothing counts as the
/// newest if that is its place, so that its loss is noticed, and as the oldest elsewhere.
fn claimed_step(place: &Path) -> usize {
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let of_name = || name.strip_prefix("step_")?.parse().ok();
    let newest = ["last", "next"].contains(&name);
    step_of(place).or_else(of_name).unwrap_or(if newest { usize::MAX } else { 0 })
}

/// The step that a checkpoint's state holds, unchecked.
fn step_of(place: &Path) -> Option<usize> {
    let state: State = serde_json::from_slice(&fs::read(place.join(STATE)).ok()?).ok()?;
    Some(state.step)
}

/// The files of a checkpoint, each equal to its checksum.
fn intact_files(place: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let sums_path = place.join(SUMS);
    let recorded = fs::read_to_string(&sums_path).at("read", &sums_path)?;
    let mut files = BTreeMap::new();
    // The sums say whether there is an average; a file that they don't name is none of the checkpoint's.
    let is_averaged = recorded.lines().any(|line| line.ends_with(&format!("  {AVERAGED}")));
    for name in [MODEL, OPTIMIZER, STATE].into_iter().chain(is_averaged.then_some(AVERAGED)) {
        let path = place.join(name);
        let contents = fs::read(&path).at("read", &path)?;
        if !recorded.lines().any(|line| line == sum(name, &contents)) {
            return Err(content(
                &path,
                format_args!("does not match its checksum in {SUMS}: the file is damaged"),
            ));
        }
        files.insert(name, contents);
    }
    if recorded != sums(&files) {
        return Err(content(&sums_path, "holds more or less than the checksums: the file is damaged"));
    }
    Ok(files)
}

/// What `SHA256SUMS` holds of these files.
fn sums(files: &BTreeMap<&str, Vec<u8>>) -> String {
    files.iter().map(|(name, contents)| sum(name, contents) + "\n").collect()
}

/// A file's line in `SHA256SUMS`.
fn sum(name: &str, contents: &[u8]) -> String {
    format!("{}  {name}", sha256(contents))
}

fn sha256(contents: &[u8]) -> String {
    Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content(path: &Path, message: impl std::fmt::Display) -> TrainError {
    TrainError::Content { path: path.to_owned(), message: message.to_string() }
}

/// The tensors as a safetensors file.
///
/// # Errors
/// If a tensor can't be copied to the host.
pub fn encode(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        bytes.push((
            name,
            tensor.dims().to_vec(),
            values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
        ));
    }
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    views
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| TrainError::Refused(format!("tensors cannot be encoded: {error}")))
}

/// The f32 tensors of a safetensors file; `path` is for messages.
///
/// # Errors
/// If it isn't one, or holds another type.
pub fn decode(contents: &[u8], path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file = SafeTensors::deserialize(contents)
        .map_err(|e| content(path, format_args!("not a safetensors file: {e}")))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(content(path, format_args!("{name} holds {:?}, expected F32", view.dtype())));
        }
        let tensor = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), &Device::Cpu)?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}
