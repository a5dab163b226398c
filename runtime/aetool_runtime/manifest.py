"""The manifest of a bundle, version 1, as FORMAT.md defines it: its values, and how they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aetool_runtime.complexity import Complexity, complexity_json
from aetool_runtime.errors import UnsafeError
from aetool_runtime.golden import GoldenCase
from aetool_runtime.specs import Artifact, Normalization, OutputScale, TensorSpec
from aetool_runtime.text import Tokenizer, tokenizer_json

__all__ = [
    "FORMAT_NAME",
    "FORMAT_VERSION",
    "MANIFEST",
    "MANIFEST_DIGEST",
    "MAX_PATH",
    "FileEntry",
    "Golden",
    "Manifest",
    "check_path",
    "format_manifest",
]

MANIFEST = "manifest.json"
MANIFEST_DIGEST = "manifest.sha256"
FORMAT_NAME = "aetool.bundle"
FORMAT_VERSION = 1
MAX_PATH = 240  # characters
# Windows reads a name without its last dots, and takes these names, whatever follows a dot, for devices.
_SEGMENT = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle: its size in bytes and its sha256 in lower-case hexadecimal."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Golden:
    """The golden vectors: where they lie and what unit each output is compared in."""

    path: str
    scales: Mapping[str, OutputScale]
    cases: tuple[GoldenCase, ...]


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    Args:
        name: the model's name.
        artifacts: every role × format × precision, in the writer's order of preference.
        files: path → size and sha256, for every file but the manifest itself and its digest.
        golden: the self-test's vectors.
        normalization: what the graphs do to raw values; for people, a device never applies it.
        input_minimum, input_maximum: the range seen in training, raw units; one value or one per channel.
        parameters: role → number of trained values.
        created_with: package → version.
        requires: features that a reader must know to use the bundle.
        latent_prior: what latents may be drawn from, such as ``standard_normal``; "" when it is not told.
        tokenizer: how text becomes the encoder's input; ``None`` where the input is no text.
        complexity: what each role costs, layer by layer; empty when nothing was counted.
        compression: the file that turns samples into a bitstream and back (BITSTREAM.md); "" when there is none.
    """

    name: str
    artifacts: tuple[Artifact, ...]
    files: Mapping[str, FileEntry]
    golden: Golden
    normalization: Normalization = field(default_factory=Normalization)
    input_minimum: tuple[float, ...] = ()
    input_maximum: tuple[float, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    created_with: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    latent_prior: str = ""
    tokenizer: Tokenizer | None = None
    complexity: Complexity = field(default_factory=dict)
    compression: str = ""

    def tensor(self, name: str) -> TensorSpec | None:
        """The spec that artifacts give for a tensor name, with a free batch dimension; ``None`` when there is none."""
        for artifact in self.artifacts:
            for spec in (*artifact.inputs, *artifact.outputs):
                if spec.name == name:
                    return TensorSpec(spec.name, spec.dtype, (None, *spec.sample_shape), spec.quantization)
        return None


def check_path(path: str, where: str = "a path of the bundle") -> str:
    """Return ``path`` if it stays inside a bundle on every system, else raise.

    Raises:
        UnsafeError: absolute, with ``..``, a backslash, a drive, a leading or a last dot, a device of Windows, or
            anything but A–Z a–z 0–9 . _ -
    """
    if not (0 < len(path) <= MAX_PATH and all(_SEGMENT.fullmatch(part) for part in path.split("/"))):
        raise UnsafeError(
            f"the path {path[:MAX_PATH]!r} could leave the bundle",
            where=where,
            expected="names of A-Z a-z 0-9 . _ - joined by /, no dot at their ends",
            hint="do not use this bundle; ask whoever made it for a new one",
        )
    return path


def format_manifest(manifest: Manifest) -> bytes:
    """The manifest's bytes: UTF-8 JSON, the same for equal manifests."""
    document: dict[str, Any] = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "requires": list(manifest.requires),
        "name": manifest.name,
        "artifacts": [_artifact_json(artifact) for artifact in manifest.artifacts],
        "golden": _golden_json(manifest.golden),
        "normalization": _plain(manifest.normalization),
        "input_range": {
            "minimum": list(manifest.input_minimum),
            "maximum": list(manifest.input_maximum),
        },
        "parameters": dict(manifest.parameters),
        "created_with": dict(sorted(manifest.created_with.items())),
        **_optional(manifest),
        "files": {path: _plain(manifest.files[path]) for path in sorted(manifest.files)},
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _optional(manifest: Manifest) -> dict[str, Any]:
    """Members that are left out where there is nothing to say."""
    document = {
        "latent_prior": manifest.latent_prior,
        "tokenizer": manifest.tokenizer and tokenizer_json(manifest.tokenizer),
        "complexity": complexity_json(manifest.complexity),
        "compression": {"path": manifest.compression} if manifest.compression else None,
    }
    return {key: value for key, value in document.items() if value}


def _artifact_json(artifact: Artifact) -> dict[str, Any]:
    document = _plain(artifact) | {
        "cases": list(map(_case_json, artifact.cases)),
        "snr": dict(artifact.snr),
        "operators": dict(artifact.operators),
    }
    return {key: value for key, value in document.items() if value not in (None, [], {})}


def _golden_json(golden: Golden) -> dict[str, Any]:
    return {
        "path": golden.path,
        "scales": {name: _plain(scale) for name, scale in golden.scales.items()},
        "cases": list(map(_case_json, golden.cases)),
    }


def _case_json(case: GoldenCase) -> dict[str, Any]:
    return {"name": case.name, "tensors": {name: _plain(tensor) for name, tensor in case.tensors.items()}}


def _plain(value: Any) -> Any:
    """A frozen dataclass as JSON: tuples as arrays, an absent quantization left out."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        members = {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return {key: item for key, item in members.items() if not (key == "quantization" and item is None)}
    return value
