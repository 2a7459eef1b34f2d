//! The few names of Python that a checkpoint of weights may speak of.

use crate::kind::Kind;

/// What an allowed name stands for here. None of it is ever run: each is a shape that the pickle machine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`: a dict.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`: a view of a storage.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: a tensor that is to be trained.
    RebuildParameter,
    /// `torch.FloatStorage` and its kin: the kind of number in a storage.
    Storage(Kind),
    /// A plain fact, such as `torch.float32` or a `torch.Size`, that no weight depends on.
    Fact,
}

impl Global {
    /// What `module.name` stands for, or `None` if it is not to be spoken of.
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", "Size" | "device") => Some(Self::Fact),
            ("torch", "float16" | "bfloat16" | "float32" | "float64") => Some(Self::Fact),
            ("torch", "uint8" | "int8" | "int16" | "int32" | "int64" | "bool") => Some(Self::Fact),
            ("torch", storage) => storage.strip_suffix("Storage").and_then(kind).map(Self::Storage),
            _ => None,
        }
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "Half" => Some(Kind::F16),
        "BFloat16" => Some(Kind::Bf16),
        "Float" => Some(Kind::F32),
        "Double" => Some(Kind::F64),
        "Byte" | "Char" | "Short" | "Int" | "Long" | "Bool" | "ComplexFloat" | "ComplexDouble" => {
            Some(Kind::Other)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_on_the_list_are_known() {
        assert_eq!(Global::find("torch", "HalfStorage"), Some(Global::Storage(Kind::F16)));
        assert_eq!(Global::find("torch", "LongStorage"), Some(Global::Storage(Kind::Other)));
        for (module, name) in
            [("os", "system"), ("torch", "load"), ("torch", "Storage"), ("builtins", "eval")]
        {
            assert_eq!(Global::find(module, name), None, "{module}.{name}");
        }
    }
}
