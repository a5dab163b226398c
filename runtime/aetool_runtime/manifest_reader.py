"""Reads a manifest strictly: what FORMAT.md calls a MUST is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aetool_runtime.complexity import parse_complexity
from aetool_runtime.errors import VersionError
from aetool_runtime.golden import ELEMENT_BYTES, GoldenCase, GoldenTensor
from aetool_runtime.manifest import (
    FORMAT_NAME,
    FORMAT_VERSION,
    MANIFEST,
    MANIFEST_DIGEST,
    FileEntry,
    Golden,
    Manifest,
    check_path,
)
from aetool_runtime.specs import (
    MAX_RANK,
    ROLE_TENSORS,
    ROLES,
    Artifact,
    Normalization,
    OutputScale,
    Quantization,
    Role,
    TensorSpec,
    Tolerance,
)
from aetool_runtime.strict_json import Node, load
from aetool_runtime.text import parse_tokenizer

__all__ = ["open_name", "parse_manifest"]

KNOWN_FEATURES: frozenset[str] = frozenset()

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_manifest(text: bytes, where: str = "manifest.json") -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: not JSON, or a member is missing, of a wrong type or contradicts another.
        VersionError: a newer version, or a required feature that is unknown here.
        UnsafeError: a path that could leave the bundle.
    """
    root = load(text, where)
    _check_version(root)
    files = _files(root["files"], where)
    artifacts = tuple(_artifact(node, files, root["golden"]) for node in root["artifacts"].items())
    if not artifacts:
        root["artifacts"].refuse("is empty", "at least one artifact")
    keys = [(a.role, a.format, a.precision) for a in artifacts]
    if len(set(keys)) != len(keys):
        root["artifacts"].refuse("lists a role, format and precision twice", "each once")
    minimum, maximum = _input_range(root["input_range"])
    prior, compression = root.get("latent_prior"), root.get("compression")
    return Manifest(
        name=root["name"].text(),
        artifacts=artifacts,
        files=files,
        golden=_golden(root["golden"], files, artifacts),
        normalization=_normalization(root["normalization"]),
        input_minimum=minimum,
        input_maximum=maximum,
        parameters={key: node.natural() for key, node in root["parameters"].members()},
        created_with={key: node.text() for key, node in root["created_with"].members()},
        requires=tuple(node.text() for node in root["requires"].items()),
        latent_prior="" if prior is None else open_name(prior),
        tokenizer=parse_tokenizer(root.get("tokenizer")),
        complexity=parse_complexity(root.get("complexity")),
        compression="" if compression is None else _listed(compression["path"], files),
    )


def _check_version(root: Node) -> None:
    root["format"].one_of([FORMAT_NAME])
    version = root["version"].integer()
    if version != FORMAT_VERSION:
        raise _too_new(root, f"has version {str(version)[:60]}")
    unknown = [text for text in (node.text() for node in root["requires"].items()) if text not in KNOWN_FEATURES]
    if unknown:
        raise _too_new(root, f"requires {', '.join(unknown)[:60]!r}")


def _too_new(root: Node, met: str) -> VersionError:
    return VersionError(
        f"the bundle {met}",
        where=root.where,
        expected=f"version {FORMAT_VERSION} without unknown features",
        hint="update aetool, or export the model again with this version",
    )


def _files(node: Node, where: str) -> dict[str, FileEntry]:
    files = {check_path(path, where): _file(node[path]) for path in node.keys()}  # noqa: SIM118 (not a dict)
    folded = {path.lower() for path in files}
    folders = {path.rsplit("/", n)[0] for path in folded for n in range(1, path.count("/") + 1)}
    if len(folded) != len(files) or folded & folders:
        node.refuse(
            "lists two paths that are one on some systems", "paths that differ in more than upper and lower case"
        )
    if folded & {MANIFEST, MANIFEST_DIGEST}:
        node.refuse(f"lists {MANIFEST} or {MANIFEST_DIGEST}", "every other file")
    return files


def _file(node: Node) -> FileEntry:
    digest = node["sha256"].text()
    if not _SHA256.fullmatch(digest):
        node["sha256"].refuse(f"is {digest[:70]!r}", "64 lower-case hexadecimal digits")
    return FileEntry(digest, node["bytes"].natural())


def _listed(node: Node, files: Mapping[str, FileEntry]) -> str:
    path = check_path(node.text(), node.where)
    if path not in files:
        node.refuse(f"is {path!r}, which files does not list", "a listed file")
    return path


def _listed_beside(node: Node, path: str, files: Mapping[str, FileEntry]) -> str:
    """Another listed file in the same folder as ``path``."""
    beside = _listed(node, files)
    if beside == path or beside.rpartition("/")[0] != path.rpartition("/")[0]:
        node.refuse(f"is {beside!r}", f"another file in the folder of {path!r}")
    return beside


def _artifact(node: Node, files: Mapping[str, FileEntry], golden: Node) -> Artifact:
    opset, signature, snr = node.get("opset"), node.get("signature"), node.get("snr")
    operators, beside = node.get("operators"), node.get("external_data")
    role: Role = node["role"].one_of(ROLES)  # type: ignore[assignment]
    given, returned = ROLE_TENSORS[role]
    artifact = Artifact(
        role=role,
        format=open_name(node["format"]),
        precision=open_name(node["precision"]),
        path=_listed(node["path"], files),
        inputs=_tensors(node["inputs"], given, 1),
        outputs=_tensors(node["outputs"], returned, None),
        tolerance=_tolerance(node["tolerance"]),
        opset=None if opset is None else opset.natural(),
        signature=None if signature is None else signature.text(),
        snr={} if snr is None else {name: item.number() for name, item in snr.members()},
        external_data=None if beside is None else _listed_beside(beside, node["path"].text(), files),
        operators={} if operators is None else {name: item.natural(1) for name, item in operators.members()},
    )
    cases = node.get("cases")
    return artifact if cases is None else replace(artifact, cases=_own_cases(cases, artifact, files, golden))


def _own_cases(node: Node, artifact: Artifact, files: Mapping[str, FileEntry], golden: Node) -> tuple[GoldenCase, ...]:
    """The golden vectors of one artifact: its input and all its outputs, in its own types."""
    size = files[_listed(golden["path"], files)].bytes
    specs = {spec.name: spec for spec in (*artifact.inputs, *artifact.outputs)}
    cases = []
    for item in node.items():
        tensors = {name: _golden_tensor(tensor, size) for name, tensor in item["tensors"].members()}
        if set(tensors) != set(specs) or not all(_agrees(specs[name], tensors[name]) for name in specs):
            item["tensors"].refuse("are not the artifact's", ", ".join(map(str, specs.values())))
        _refuse_ragged(item["tensors"], tensors)
        cases.append(GoldenCase(item["name"].text(), tensors))
    if not cases:
        node.refuse("is empty", "at least one case, or no such member")
    return tuple(cases)


def open_name(node: Node) -> str:
    """A name from a set that plug-ins and later versions may add to."""
    name = node.text()
    if not _NAME.fullmatch(name):
        node.refuse(f"is {name[:60]!r}", "a-z, then a-z 0-9 _, at most 32 characters")
    return name


def _tolerance(node: Node) -> Tolerance:
    tolerance = Tolerance(node["atol"].number(), node["rtol"].number())
    if tolerance.atol <= 0 or tolerance.rtol < 0:
        node.refuse(f"is {tolerance.atol:g}, {tolerance.rtol:g}", "atol > 0 and rtol 0 or more")
    return tolerance


def _tensors(node: Node, first: str, limit: int | None) -> tuple[TensorSpec, ...]:
    tensors = tuple(_tensor(item) for item in node.items())
    names = [tensor.name for tensor in tensors]
    if names[:1] != [first] or len(set(names)) != len(names) or (limit and len(names) > limit):
        node.refuse(f"are {names}", f"{first!r} first, and no name twice" if limit is None else f"{first!r} alone")
    return tensors


def _tensor(node: Node) -> TensorSpec:
    shape = _shape(node["shape"], free=True)
    quantization = node.get("quantization")
    return TensorSpec(
        node["name"].text(),
        node["dtype"].one_of(ELEMENT_BYTES),
        shape,
        None if quantization is None else _quantization(quantization, shape),
    )


def _shape(node: Node, *, free: bool) -> tuple[int | None, ...]:
    sizes = tuple(None if free and size.value is None else size.natural(1) for size in node.items())
    if not 1 <= len(sizes) <= MAX_RANK:
        node.refuse(f"has {len(sizes)} dimensions", f"1 to {MAX_RANK}, the batch first")
    return sizes


def _quantization(node: Node, shape: tuple[int | None, ...]) -> Quantization:
    at = node.get("axis")
    axis = None if at is None else at.natural()
    scale = node["scale"].numbers()
    zero_point = tuple(item.integer() for item in node["zero_point"].items())
    if len(scale) != len(zero_point) or not scale or min(scale) <= 0:
        node.refuse("does not fit together", "as many scales > 0 as zero points")
    along = (1,) if axis is None else shape[axis : axis + 1]
    if along not in ((None,), (len(scale),)):
        node.refuse(f"has {len(scale)} scales", "one, or one for each index of axis")
    return Quantization(scale, zero_point, axis)


def _normalization(node: Node) -> Normalization:
    offset, scale = node["offset"].numbers(), node["scale"].numbers()
    if len(offset) != len(scale) or not scale or 0.0 in scale:
        node.refuse("does not fit together", "as many scales, none of them 0, as offsets")
    return Normalization(offset, scale)


def _input_range(node: Node) -> tuple[tuple[float, ...], tuple[float, ...]]:
    minimum, maximum = node["minimum"].numbers(), node["maximum"].numbers()
    if len(minimum) != len(maximum):
        node.refuse("does not fit together", "as many maxima as minima")
    return minimum, maximum


def _golden(node: Node, files: Mapping[str, FileEntry], artifacts: Sequence[Artifact]) -> Golden:
    path = _listed(node["path"], files)
    scales = {name: _output_scale(item) for name, item in node["scales"].members()}
    cases = tuple(_golden_case(item, files[path].bytes, scales) for item in node["cases"].items())
    if not cases:
        node["cases"].refuse("is empty", "at least one case")
    compared = [artifact for artifact in artifacts if not artifact.cases]
    for item, case in zip(node["cases"].items(), cases, strict=True):
        for name, tensor in case.tensors.items():
            _refuse_misfit(item["tensors"][name], name, tensor, compared)
    for artifact in artifacts:
        lacking = [spec.name for spec in artifact.outputs if artifact.cases and spec.name not in scales]
        if lacking:
            node["scales"].refuse(f"has none for {lacking[0]!r}", f"one for every output of {artifact}")
    return Golden(path, scales, cases)


def _refuse_misfit(node: Node, name: str, tensor: GoldenTensor, artifacts: Sequence[Artifact]) -> None:
    """A golden tensor that no artifact takes or returns would let a wrong declaration through, or try nothing."""
    specs = [spec for a in artifacts for spec in (*a.inputs, *a.outputs) if spec.name == name]
    if specs and not any(_agrees(spec, tensor) for spec in specs):
        declared = dict.fromkeys(map(str, specs))
        node.refuse(f"is {tensor.dtype}{list(tensor.shape)}", " or ".join(declared) + ", as the artifacts have it")


def _agrees(spec: TensorSpec, tensor: GoldenTensor) -> bool:
    """Less than ``TensorSpec.takes``: free dimensions may be too many. The self-test finds those."""
    sizes = tensor.shape[1:]
    given = [(i, size) for i, size in enumerate(spec.sample_shape) if size is not None]
    return (
        tensor.dtype == spec.dtype
        and len(sizes) <= len(spec.sample_shape)
        and all(sizes[i : i + 1] == (size,) for i, size in given)
    )


def _output_scale(node: Node) -> OutputScale:
    center, scale = node["center"].numbers(), node["scale"].numbers()
    if len(center) != len(scale) or not scale or min(scale) <= 0:
        node.refuse("does not fit together", "as many scales > 0 as centres")
    return OutputScale(center, scale)


def _golden_case(node: Node, size: int, scales: Mapping[str, OutputScale]) -> GoldenCase:
    tensors = {name: _golden_tensor(item, size) for name, item in node["tensors"].members()}
    if "latent" not in tensors or not {"input", "reconstruction"} & set(tensors):
        node["tensors"].refuse(f"has only {sorted(tensors)}", "latent, with input or reconstruction or both")
    for name in set(tensors) - {"input"}:
        if name not in scales or len(scales[name].scale) not in (1, tensors[name].shape[-1]):
            node["tensors"].refuse(
                f"has {name!r}, which golden.scales does not fit",
                "a scale for every output, or one per channel",
            )
    _refuse_ragged(node["tensors"], tensors)
    return GoldenCase(node["name"].text(), tensors)


def _refuse_ragged(node: Node, tensors: Mapping[str, GoldenTensor]) -> None:
    if len({tensor.shape[0] for tensor in tensors.values()}) != 1:
        node.refuse("disagree in their number of samples", "one number")


def _golden_tensor(node: Node, size: int) -> GoldenTensor:
    shape = tuple(size or 0 for size in _shape(node["shape"], free=False))
    tensor = GoldenTensor(node["dtype"].one_of(ELEMENT_BYTES), shape, node["offset"].natural())
    if tensor.offset + tensor.bytes > size:
        node.refuse(f"reaches past the golden file's {size} bytes", "a range inside it")
    return tensor
