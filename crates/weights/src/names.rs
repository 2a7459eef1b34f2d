//! What parameters are called.

use crate::error::shown;
use crate::{Array, Problem, Weights};

/// The published name of a tensor: `_orig_mod` (of `torch.compile`) taken out wherever it stands, and `module` (of
/// `torch.nn.DataParallel`) at the front.
pub(crate) fn published(name: &str) -> String {
    let parts = name.split('.').filter(|part| *part != "_orig_mod");
    let parts: Vec<&str> = parts.skip_while(|part| *part == "module").collect();
    parts.join(".")
}

/// Whether a tensor is one of GPT-2's constants, kept beside its parameters: the causal mask `attn.bias`, of shape
/// (1, 1, P, P), and the number `attn.masked_bias` that fills what it masks.
pub(crate) fn is_mask(name: &str, shape: &[usize]) -> bool {
    let called = |constant: &str| {
        name.strip_suffix(constant).is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    let square = matches!(shape, [1, 1, rows, columns] if rows == columns);
    let number = shape.iter().all(|&len| len == 1);
    called("attn.bias") && square || called("attn.masked_bias") && number
}

/// Puts a tensor under its published name, which must be free.
pub(crate) fn insert(weights: &mut Weights, name: &str, array: Array) -> Result<(), Problem> {
    let name = published(name);
    if weights.contains_key(&name) {
        return Err(Problem::Clash { name: shown(&name) });
    }
    weights.insert(name, array);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_off() {
        for name in
            ["a.module.b", "_orig_mod.a.module.b", "module._orig_mod.a.module.b", "a._orig_mod.module.b"]
        {
            assert_eq!(published(name), "a.module.b", "{name}");
        }
    }

    #[test]
    fn masks_are_known_by_name_and_shape() {
        assert!(is_mask("_backbone.transformer.h.0.attn.bias", &[1, 1, 22, 22]));
        assert!(is_mask("attn.masked_bias", &[]));
        assert!(!is_mask("_backbone.transformer.h.0.attn.c_attn.bias", &[1, 1, 22, 22]));
        assert!(!is_mask("h.0.attn.bias", &[22]));
        assert!(!is_mask("h.0.cross_attn.bias", &[1, 1, 2, 2]));
    }
}
