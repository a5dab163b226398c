"""A manifest says the same after it was written and read; what each rule refuses is in tests/vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors.manifests import BASE, FULL, changed

from aetool_runtime.errors import AetoolError, InputError, IntegrityError, ManifestError
from aetool_runtime.golden import ELEMENT_BYTES, GoldenCase, GoldenTensor
from aetool_runtime.manifest import (
    FileEntry,
    Golden,
    Manifest,
    check_path,
    format_manifest,
)
from aetool_runtime.manifest_reader import parse_manifest
from aetool_runtime.specs import (
    PRECISIONS,
    ROLE_TENSORS,
    Artifact,
    Normalization,
    OutputScale,
    Quantization,
    TensorSpec,
    Tolerance,
)
from aetool_runtime.strict_json import MAX_JSON_BYTES

# --- strategies: every manifest that FORMAT.md allows ---

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
SIZE = st.integers(1, 2**53 - 1)
SEGMENT = st.from_regex(r"[a-z0-9_]([a-z0-9._-]{0,8}[a-z0-9_-])?", fullmatch=True)
PATH = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join).filter(lambda path: valid(path))


def valid(path: str) -> bool:
    try:
        return check_path(path) not in {"manifest.json", "manifest.sha256"}
    except AetoolError:
        return False


def nested(paths: list[str]) -> bool:
    return any(one != other and other.startswith(one + "/") for one in paths for other in paths)


@st.composite
def pairs(draw: st.DrawFn, first: Any, second: Any, least: int = 1) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Two tuples of one length."""
    both = draw(st.lists(st.tuples(first, second), min_size=least, max_size=4))
    return tuple(one for one, _ in both), tuple(other for _, other in both)


@st.composite
def quantizations(draw: st.DrawFn, shape: tuple[int | None, ...]) -> Quantization:
    scale, zero_point = draw(pairs(POSITIVE, st.integers(-(2**40), 2**40)))
    free = [axis for axis, size in enumerate(shape) if size in (None, len(scale))]
    if free and draw(st.booleans()):
        return Quantization(scale, zero_point, draw(st.sampled_from(free)))
    return Quantization(scale[:1], zero_point[:1])


Samples = dict[str, tuple[str, tuple[int, ...]]]


@st.composite
def tensors(draw: st.DrawFn, name: str, golden: Samples) -> TensorSpec:
    """Any tensor; one that golden vectors are for is of their type and shape, with some dimensions free."""
    if name in golden:
        dtype, sizes = golden[name]
        shape = (draw(st.none() | SIZE), *(draw(st.none() | st.just(size)) for size in sizes))
        return TensorSpec(name, dtype, shape, draw(st.none() | quantizations(shape)))
    shape = tuple(draw(st.lists(st.none() | SIZE, min_size=1, max_size=8)))
    quantization = draw(st.none() | quantizations(shape))
    return TensorSpec(name, draw(st.sampled_from(list(ELEMENT_BYTES))), shape, quantization)


@st.composite
def artifacts(draw: st.DrawFn, key: tuple[Any, str, str], paths: list[str], golden: Samples) -> Artifact:
    role, format_name, precision = key
    more = [name for name in ("latent_mean", "latent_logvar") if draw(st.booleans())]
    given_name, returned = ROLE_TENSORS[role]
    artifact = Artifact(
        role=role,
        format=format_name,
        precision=precision,
        path=draw(st.sampled_from(paths)),
        inputs=(draw(tensors(given_name, golden)),),
        outputs=tuple(draw(tensors(name, golden)) for name in (returned, *more)),
        tolerance=Tolerance(draw(POSITIVE), draw(st.just(0.0) | POSITIVE)),
        opset=draw(st.none() | st.integers(0, 99)),
        signature=draw(st.none() | TEXT),
        snr=draw(st.dictionaries(TEXT, NUMBER, max_size=2)),
    )
    return draw(with_own_cases(artifact)) if draw(st.booleans()) else artifact


@st.composite
def with_own_cases(draw: st.DrawFn, artifact: Artifact) -> Artifact:
    """The artifact with golden vectors of its own, and its tensors made small enough for them."""
    specs = [replace(spec, shape=(None, 2), quantization=None) for spec in (*artifact.inputs, *artifact.outputs)]
    offsets = st.integers(0, 100 - 3 * 2 * max(ELEMENT_BYTES.values()))
    cases = []
    for count in draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)):
        held = {spec.name: GoldenTensor(spec.dtype, (count, 2), draw(offsets)) for spec in specs}
        cases.append(GoldenCase(draw(TEXT), held))
    return replace(artifact, inputs=(specs[0],), outputs=tuple(specs[1:]), cases=tuple(cases))


@st.composite
def goldens(draw: st.DrawFn, path: str, size: int) -> Golden:
    cases, scales, samples = [], {}, {}
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.sampled_from([["input", "latent"], ["latent", "reconstruction"], ["input", "latent", "extra"]]))
        count = draw(st.integers(1, 3))
        held = {}
        for name in names:
            sizes = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
            dtype, sizes = samples.setdefault(name, (draw(st.sampled_from(list(ELEMENT_BYTES))), sizes))
            shape = (count, *sizes)
            bytes_ = GoldenTensor(dtype, shape, 0).bytes
            held[name] = GoldenTensor(dtype, shape, draw(st.integers(0, size - bytes_)))
            if name != "input":
                scales[name] = OutputScale((draw(NUMBER),), (draw(POSITIVE),))
        cases.append(GoldenCase(draw(TEXT), held))
    return Golden(path, scales, tuple(cases))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    paths = draw(st.lists(PATH, min_size=1, max_size=4, unique=True).filter(lambda names: not nested(names)))
    sizes = {path: draw(st.integers(0, 2**40)) for path in paths}
    golden_path = draw(st.sampled_from(paths))
    sizes[golden_path] = draw(st.integers(100, 200))
    roles = st.sampled_from(list(ROLE_TENSORS))
    names = st.sampled_from(["onnx", "tflite", "other"]), st.sampled_from(PRECISIONS)
    keys = draw(st.lists(st.tuples(roles, *names), min_size=1, max_size=3, unique=True))
    minimum, maximum = draw(pairs(NUMBER, NUMBER, 0))
    golden = draw(goldens(golden_path, sizes[golden_path]))
    samples = {name: (t.dtype, t.shape[1:]) for case in golden.cases for name, t in case.tensors.items()}
    made = tuple(draw(artifacts(key, paths, samples)) for key in keys)
    unscaled = {spec.name for artifact in made if artifact.cases for spec in artifact.outputs} - set(golden.scales)
    scales = {**golden.scales, **{name: OutputScale((draw(NUMBER),), (draw(POSITIVE),)) for name in unscaled}}
    golden = replace(golden, scales=scales)
    return Manifest(
        name=draw(TEXT),
        artifacts=made,
        files={path: FileEntry(draw(st.integers(0, 2**256 - 1)).to_bytes(32).hex(), sizes[path]) for path in paths},
        golden=golden,
        normalization=Normalization(*draw(pairs(NUMBER, NUMBER.filter(lambda scale: scale != 0)))),
        input_minimum=minimum,
        input_maximum=maximum,
        parameters=draw(st.dictionaries(TEXT, st.integers(0, 2**53 - 1), max_size=3)),
        created_with=draw(st.dictionaries(TEXT, TEXT, max_size=3)),
    )


@given(manifests())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(manifest: Manifest) -> None:
    text = format_manifest(manifest)
    assert parse_manifest(text) == manifest
    assert format_manifest(parse_manifest(text)) == text, "the same manifest has the same bytes"
    assert json.loads(text)["format"] == "aetool.bundle"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: str = "") -> list[str]:
    """The paths of all members and items."""
    if not isinstance(value, dict | list):
        return []
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in children:
        if "." not in str(key):
            at = f"{path}.{key}".lstrip(".")
            found += [at, *places(child, at)]
    return found


@given(st.sampled_from(places(FULL)), JSON)
@settings(max_examples=400, deadline=None)
def test_a_member_of_any_value_is_read_or_refused_and_nothing_else(place: str, value: Any) -> None:
    try:
        text = changed(FULL, (place, value))
    except ValueError:
        return
    try:
        manifest = parse_manifest(text)
    except (InputError, IntegrityError) as error:
        str(error).encode()
        return
    assert parse_manifest(format_manifest(manifest)) == manifest


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(noise)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_text_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    text = bytearray(changed(FULL))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_manifest(bytes(text))
    except AetoolError as error:
        str(error).encode()


# --- what needs more room than a vector ---


def test_sixteen_mebibytes_are_read_and_a_byte_more_is_refused() -> None:
    text = changed(BASE)
    parse_manifest(text + b" " * (MAX_JSON_BYTES - len(text)))
    with pytest.raises(ManifestError, match="at most 16777216"):
        parse_manifest(text + b" " * (MAX_JSON_BYTES - len(text) + 1))


DEEP = {
    "arrays": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "arrays, not closed": b"[" * 1_000_000,
}


@pytest.mark.parametrize("value", DEEP.values(), ids=DEEP)
def test_nesting_does_not_exhaust_the_stack(value: bytes) -> None:
    text = changed(BASE)
    for spoiled in (value, text.replace(b'"affine"', value), b'{"later":' + value + b"," + text[1:]):
        with pytest.raises(ManifestError):
            parse_manifest(spoiled)


@pytest.mark.parametrize("depth", [100, 400, 900, 980])
def test_deep_members_are_refused_by_name_whatever_their_depth(depth: int) -> None:
    text = changed(BASE).replace(b'"affine"', b"[" * depth + b"]" * depth)
    with pytest.raises(ManifestError):
        parse_manifest(text)


def test_a_long_number_does_not_take_long() -> None:
    with pytest.raises(ManifestError):
        parse_manifest(changed(BASE).replace(b'"version":1', b'"version":' + b"9" * 1_000_000))


# --- what a refusal says ---

SAYS = {
    "which member": (("artifacts.0.role", "judge"), "the member artifacts[0].role is 'judge'"),
    "what was expected": (("artifacts.0.role", "judge"), "expected one of encoder, decoder, autoencoder"),
    "what is missing": (("golden", {}), "the member golden has no 'path'"),
    "how far a tensor reaches": (("golden.cases.0.tensors.latent.offset", 81), "reaches past the golden file's 80"),
}


@pytest.mark.parametrize(("change", "text"), SAYS.values(), ids=SAYS)
def test_a_refusal_says(change: tuple[str, Any], text: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        parse_manifest(changed(BASE, change))
    assert text in str(refusal.value)


@pytest.mark.parametrize("name", ["input", "latent", "reconstruction"])
def test_a_tensor_is_found_with_a_free_batch(name: str) -> None:
    spec = parse_manifest(changed(FULL)).tensor(name)
    assert spec is not None
    assert spec.shape[0] is None


def test_a_tensor_that_no_artifact_has_is_none() -> None:
    assert parse_manifest(changed(BASE)).tensor("reconstruction") is None
