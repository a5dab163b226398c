"""The manifest's optional members: what may be left out is, what is written is read, and each rule refuses by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors.manifests import ABSENT, BASE, changed

from aetool_runtime.complexity import LayerCost, RoleCost, complexity_json, parse_complexity
from aetool_runtime.errors import ManifestError
from aetool_runtime.manifest import format_manifest
from aetool_runtime.manifest_reader import parse_manifest
from aetool_runtime.strict_json import Node

COUNT = st.integers(0, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
SHAPE = st.lists(st.none() | COUNT, max_size=4).map(tuple)
LAYER = st.builds(LayerCost, TEXT, TEXT, SHAPE, COUNT, st.none() | COUNT, st.none() | COUNT)
ROLE = st.builds(
    RoleCost, SHAPE, st.lists(LAYER, max_size=3).map(tuple), st.dictionaries(TEXT, COUNT, max_size=3), st.none() | COUNT
)


@given(st.dictionaries(TEXT, ROLE, max_size=2))
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(complexity: dict[str, RoleCost]) -> None:
    document = json.loads(json.dumps(complexity_json(complexity)))
    assert parse_complexity(Node(document, "manifest.json")) == complexity


def test_both_members_may_be_left_out() -> None:
    manifest = parse_manifest(changed(BASE))
    assert (manifest.latent_prior, manifest.complexity) == ("", {})
    assert not {"latent_prior", "complexity"} & json.loads(format_manifest(manifest)).keys()


LAYER_JSON: dict[str, Any] = {"name": "inner/dense", "kind": "Dense", "shape": [2], "parameters": 14}
ENCODER: dict[str, Any] = {
    "input_shape": [6],
    "weight_bytes": {"float32": 56},
    "layers": [{**LAYER_JSON, "multiply_adds": 12, "activation_bytes": 8}, LAYER_JSON],
}
FULL = {**BASE, "complexity": {"encoder": ENCODER}, "latent_prior": "standard_normal"}


def test_both_members() -> None:
    manifest = parse_manifest(changed(FULL))
    assert manifest.latent_prior == "standard_normal"
    cost = manifest.complexity["encoder"]
    assert (cost.parameters, cost.multiply_adds, cost.unknown) == (28, 12, ("inner/dense",))
    assert cost.peak_activation_bytes is None
    assert parse_manifest(format_manifest(manifest)) == manifest


FIRST = "complexity.encoder.layers.0"
READ = {
    "null instead of the members": [("complexity", None), ("latent_prior", None)],
    "no layers": [("complexity.encoder.layers", [])],
    "free dimensions": [("complexity.encoder.input_shape", [None, 1]), (f"{FIRST}.shape", [None])],
    "a later distribution": [("latent_prior", "mixture_7")],
    "later members": [("complexity.encoder.later", 1), (f"{FIRST}.later", [])],
    "another precision": [("complexity.encoder.weight_bytes.float8", 14)],
}


@pytest.mark.parametrize("changes", READ.values(), ids=READ)
def test_is_read(changes: list[tuple[str, Any]]) -> None:
    parse_manifest(changed(FULL, *changes))


REFUSED = {
    "complexity is an array": ("complexity", []),
    "a role is a number": ("complexity.encoder", 1),
    "no layers at all": ("complexity.encoder.layers", ABSENT),
    "no input shape": ("complexity.encoder.input_shape", ABSENT),
    "no weight bytes": ("complexity.encoder.weight_bytes", ABSENT),
    "a layer without a name": (f"{FIRST}.name", ABSENT),
    "a layer without parameters": (f"{FIRST}.parameters", ABSENT),
    "negative multiply-adds": (f"{FIRST}.multiply_adds", -1),
    "half a byte": (f"{FIRST}.activation_bytes", 0.5),
    "a size that is a text": (f"{FIRST}.shape", ["batch"]),
    "a distribution in capitals": ("latent_prior", "Normal"),
    "a distribution without a name": ("latent_prior", ""),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_is_refused(change: tuple[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"complexity|latent_prior|has no"):
        parse_manifest(changed(FULL, change))
