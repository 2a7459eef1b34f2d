//! Safetensors: a header in JSON that says of each tensor its kind, its shape and its place, and then the bytes.

use std::collections::BTreeMap;
use std::fmt;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::error::{line, shown};
use crate::kind::Kind;
use crate::names::{insert, is_mask};
use crate::{Array, Problem, Weights};

/// The longest header: more than a hundred thousand tensors.
const LONGEST_HEADER: usize = 16 << 20;

/// The weights in a safetensors file's bytes.
pub(crate) fn read(bytes: &[u8]) -> Result<Weights, Problem> {
    let (header, data) = parts(bytes)?;
    let Header(tensors) =
        serde_json::from_slice(header).map_err(|error| unsound(format!("its header: {error}")))?;
    validate(&tensors, data)?;
    let mut weights = Weights::new();
    for (name, info) in tensors.iter().filter(|(name, info)| !is_mask(name, &info.shape)) {
        insert(&mut weights, name, array(name, info, data)?)?;
    }
    Ok(weights)
}

fn unsound(what: impl AsRef<str>) -> Problem {
    Problem::Safetensors { what: line(what.as_ref()) }
}

/// The header, whose length stands before it in eight bytes, and what follows it.
fn parts(bytes: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let (len, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| unsound("it has no header"))?;
    let len = u64::from_le_bytes(*len);
    let fits = usize::try_from(len).ok().filter(|&len| len <= LONGEST_HEADER);
    let len = fits
        .ok_or_else(|| unsound(format!("its header has {len} bytes, where {LONGEST_HEADER} are the most")))?;
    rest.split_at_checked(len)
        .ok_or_else(|| unsound(format!("its header has {len} bytes, and only {} are there", rest.len())))
}

/// The tensors must lie side by side, each as long as its shape says, and fill the file.
fn validate(tensors: &BTreeMap<String, TensorInfo>, data: &[u8]) -> Result<(), Problem> {
    let mut sorted: Vec<(String, TensorInfo)> =
        tensors.iter().map(|(name, info)| (name.clone(), info.clone())).collect();
    sorted.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(None, sorted).map_err(|error| unsound(error.to_string()))?;
    if metadata.data_len() != data.len() {
        let (said, there) = (metadata.data_len(), data.len());
        return Err(unsound(format!("its tensors take {said} bytes, and {there} are there")));
    }
    Ok(())
}

fn array(name: &str, info: &TensorInfo, data: &[u8]) -> Result<Array, Problem> {
    let kind = match info.dtype {
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        other => {
            let what = format!(
                "holds {other:?}; a parameter must be F16, BF16, F32 or F64: convert it with .float()"
            );
            return Err(Problem::Tensor { name: shown(name), what });
        }
    };
    let (start, end) = info.data_offsets;
    let count = info.shape.iter().product();
    let data = data.get(start..end).and_then(|bytes| kind.read(bytes, 0..count, count));
    let data = data.ok_or_else(|| unsound(format!("tensor {name} is not where its header says")))?;
    Ok(Array { shape: info.shape.clone(), data })
}

/// The header's tensors; its metadata, a map of free text, is skipped.
///
/// The crate's own reader keeps the whole header in a general form first, which costs up to fifty times its length.
struct Header(BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let info = map.next_value()?;
                    if tensors.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("two tensors named {}", shown(&name))));
                    }
                    tensors.insert(name, info);
                }
                Ok(Header(tensors))
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}
