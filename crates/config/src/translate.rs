//! placeholder
use std::path::Path;

use figment::value::Dict;

use crate::ConfigError;
use crate::trail::Trail;

pub(crate) fn is_published(_: &Dict) -> bool {
    false
}

pub(crate) fn translate(values: Dict, _: &Path, _: &mut Trail, _: &mut [String]) -> Result<Dict, ConfigError> {
    Ok(values)
}
