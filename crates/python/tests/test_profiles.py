"""The extension is built with the profiles and lints of the other crates: kernels as fast, the same checks."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ROOT

tomllib = pytest.importorskip("tomllib")


def manifest(path: str) -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((ROOT / path).read_text())
    return parsed


def test_profiles_and_lints_are_those_of_the_other_crates() -> None:
    theirs, own = manifest("Cargo.toml"), manifest("crates/python/Cargo.toml")
    for kind, lints in own["lints"].items():
        assert lints == theirs["workspace"]["lints"][kind]
    members = {manifest(str(path.relative_to(ROOT)))["package"]["name"] for path in ROOT.glob("crates/*/Cargo.toml")}
    # What `[profile.dev]` says of a member there must be said of it by name here, where it is a dependency.
    usual = {name: {"opt-level": theirs["profile"]["dev"]["opt-level"]} for name in members - {"looped-python", "looped-testing", "looped-mpi"}}
    expected = {**theirs["profile"], "dev": {**theirs["profile"]["dev"], "package": {**usual, **theirs["profile"]["dev"]["package"]}}}
    assert own["profile"] == expected
