"""Reads a manifest strictly: what FORMAT.md calls a MUST is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aetool_runtime.errors import VersionError
from aetool_runtime.manifest import (
    ELEMENT_BYTES,
    FORMAT_NAME,
    FORMAT_VERSION,
    FileEntry,
    Golden,
    GoldenCase,
    GoldenTensor,
    Manifest,
    check_path,
)
from aetool_runtime.specs import (
    FORMATS,
    PRECISIONS,
    ROLES,
    Artifact,
    Normalization,
    OutputScale,
    Quantization,
    TensorSpec,
    Tolerance,
)
from aetool_runtime.strict_json import Node, load

__all__ = ["parse_manifest"]

KNOWN_FEATURES: frozenset[str] = frozenset()

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
    files = {check_path(path, where): _file(node) for path, node in root["files"].members()}
    artifacts = tuple(_artifact(node, files) for node in root["artifacts"].items())
    if not artifacts:
        root["artifacts"].refuse("is empty", "at least one artifact")
    keys = [(a.role, a.format, a.precision) for a in artifacts]
    if len(set(keys)) != len(keys):
        root["artifacts"].refuse("lists a role, format and precision twice", "each once")
    input_range = root["input_range"]
    return Manifest(
        name=root["name"].text(),
        artifacts=artifacts,
        files=files,
        golden=_golden(root["golden"], files),
        normalization=_normalization(root["normalization"]),
        input_minimum=input_range["minimum"].numbers(),
        input_maximum=input_range["maximum"].numbers(),
        parameters={key: node.natural() for key, node in root["parameters"].members()},
        created_with={key: node.text() for key, node in root["created_with"].members()},
        requires=tuple(node.text() for node in root["requires"].items()),
    )


def _check_version(root: Node) -> None:
    if root["format"].text() != FORMAT_NAME:
        root["format"].refuse(f"is {root['format'].text()[:60]!r}", repr(FORMAT_NAME))
    version = root["version"].natural()
    unknown = [node.text() for node in root["requires"].items() if node.text() not in KNOWN_FEATURES]
    if version != FORMAT_VERSION or unknown:
        met = f"requires {', '.join(unknown)}" if unknown else f"has version {version}"
        raise VersionError(
            f"the bundle {met}",
            where=root.where,
            expected=f"version {FORMAT_VERSION} without unknown features",
            hint="update aetool, or export the model again with this version",
        )


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


def _artifact(node: Node, files: Mapping[str, FileEntry]) -> Artifact:
    opset, signature = node.get("opset"), node.get("signature")
    tolerance = node["tolerance"]
    return Artifact(
        role=node["role"].one_of(ROLES),  # type: ignore[arg-type]
        format=node["format"].one_of(FORMATS),
        precision=node["precision"].one_of(PRECISIONS),
        path=_listed(node["path"], files),
        inputs=_tensors(node["inputs"]),
        outputs=_tensors(node["outputs"]),
        tolerance=Tolerance(tolerance["atol"].number(), tolerance["rtol"].number()),
        opset=None if opset is None else opset.natural(),
        signature=None if signature is None else signature.text(),
    )


def _tensors(node: Node) -> tuple[TensorSpec, ...]:
    tensors = tuple(_tensor(item) for item in node.items())
    if not tensors:
        node.refuse("is empty", "at least one tensor")
    return tensors


def _tensor(node: Node) -> TensorSpec:
    sizes = [None if size.value is None else size.natural() for size in node["shape"].items()]
    if not sizes:
        node["shape"].refuse("is empty", "a batch dimension first")
    quantization = node.get("quantization")
    return TensorSpec(
        node["name"].text(),
        node["dtype"].one_of(ELEMENT_BYTES),
        tuple(sizes),
        None if quantization is None else _quantization(quantization),
    )


def _quantization(node: Node) -> Quantization:
    axis = node.get("axis")
    scale = node["scale"].numbers()
    zero_point = tuple(item.integer() for item in node["zero_point"].items())
    if len(scale) != len(zero_point) or not scale or min(scale) <= 0:
        node.refuse("does not fit together", "as many scales > 0 as zero points")
    return Quantization(scale, zero_point, None if axis is None else axis.natural())


def _normalization(node: Node) -> Normalization:
    offset, scale = node["offset"].numbers(), node["scale"].numbers()
    if len(offset) != len(scale) or not scale or 0.0 in scale:
        node.refuse("does not fit together", "as many scales, none of them 0, as offsets")
    return Normalization(offset, scale)


def _golden(node: Node, files: Mapping[str, FileEntry]) -> Golden:
    path = _listed(node["path"], files)
    scales = {name: _output_scale(item) for name, item in node["scales"].members()}
    cases = tuple(_golden_case(item, files[path].bytes, scales) for item in node["cases"].items())
    if not cases:
        node["cases"].refuse("is empty", "at least one case")
    return Golden(path, scales, cases)


def _output_scale(node: Node) -> OutputScale:
    center, scale = node["center"].numbers(), node["scale"].numbers()
    if len(center) != len(scale) or not scale or min(scale) <= 0:
        node.refuse("does not fit together", "as many scales > 0 as centres")
    return OutputScale(center, scale)


def _golden_case(node: Node, size: int, scales: Mapping[str, OutputScale]) -> GoldenCase:
    tensors = {name: _golden_tensor(item, size) for name, item in node["tensors"].members()}
    if "latent" not in tensors or len(tensors) < 2:
        node["tensors"].refuse(f"has only {sorted(tensors)}", "latent, with input or reconstruction or both")
    for name in set(tensors) - {"input"}:
        if name not in scales or len(scales[name].scale) not in (1, tensors[name].shape[-1]):
            node["tensors"].refuse(
                f"has {name!r}, which golden.scales does not fit",
                "a scale for every output, or one per channel",
            )
    if len({tensor.shape[0] for tensor in tensors.values()}) != 1:
        node["tensors"].refuse("disagree in their number of samples", "one number")
    return GoldenCase(node["name"].text(), tensors)


def _golden_tensor(node: Node, size: int) -> GoldenTensor:
    shape = tuple(item.natural() for item in node["shape"].items())
    tensor = GoldenTensor(node["dtype"].one_of(ELEMENT_BYTES), shape, node["offset"].natural())
    if not shape or tensor.offset + tensor.bytes > size:
        node.refuse(f"reaches past the golden file's {size} bytes", "a range inside it")
    return tensor
