"""A model repository for NVIDIA's Triton Inference Server, of a bundle's ONNX graphs, unmodified.

Layout and configuration as in Triton's documentation ("Model Repository", "Model Configuration"):

    REPOSITORY/NAME-ROLE/config.pbtxt
    REPOSITORY/NAME-ROLE/1/model.onnx

A precision below float32 is part of the name: ``NAME-ROLE-int8``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from aetool_runtime.atomic import check_target, is_empty_folder, replacing_folder
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Artifact, TensorSpec

__all__ = ["check_repository", "write_triton"]

_KINDS = {
    "float32": "TYPE_FP32", "float16": "TYPE_FP16", "int8": "TYPE_INT8", "uint8": "TYPE_UINT8", "int16": "TYPE_INT16",
    "int32": "TYPE_INT32", "int64": "TYPE_INT64",
}  # fmt: skip
_VERSION = "1"
_LARGEST_BATCH = 1024
_CONFIG = "config.pbtxt"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def check_repository(target: Path, *, overwrite: bool) -> None:
    """Refuse early a target that exists, or that is no model repository and so must not be replaced."""
    check_target(target, overwrite=overwrite, replaceable=_is_repository, kind="a model repository")


def write_triton(bundle: Bundle, target: Path, *, overwrite: bool = False) -> list[str]:
    """Write the repository in one step.

    Returns:
        The models' names.

    Raises:
        UsageError: the bundle has no ONNX graphs; or see ``check_repository``.
    """
    check_repository(target, overwrite=overwrite)
    artifacts = [artifact for artifact in bundle.manifest.artifacts if artifact.format == "onnx"]
    if not artifacts:
        raise UsageError(
            "the bundle has no ONNX graphs, and Triton runs no TFLite",
            where=str(bundle.path),
            hint="export with --onnx",
        )
    names = [_name(bundle, artifact) for artifact in artifacts]
    with replacing_folder(target) as partial:
        for name, artifact in zip(names, artifacts, strict=True):
            folder = partial / name / _VERSION
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(bundle.read(artifact.path))
            (folder.parent / _CONFIG).write_text(_config(name, artifact), "utf-8")
    return names


def _name(bundle: Bundle, artifact: Artifact) -> str:
    parts = [_UNSAFE.sub("-", bundle.manifest.name).strip("-") or "autoencoder", artifact.role]
    return "-".join([*parts, *([artifact.precision] if artifact.precision != "float32" else [])])


def _config(name: str, artifact: Artifact) -> str:
    """The batch dimension is Triton's own, which gathers requests; it is not part of ``dims``."""
    tensors = [("input", spec) for spec in artifact.inputs] + [("output", spec) for spec in artifact.outputs]
    lines = [f"name: {json.dumps(name)}", 'backend: "onnxruntime"', f"max_batch_size: {_LARGEST_BATCH}"]
    lines += [f"{kind} [\n  {_tensor(spec)}\n]" for kind, spec in tensors]
    return "\n".join([*lines, "dynamic_batching { }", ""])


def _tensor(spec: TensorSpec) -> str:
    sizes = ", ".join("-1" if size is None else str(size) for size in spec.sample_shape)
    return f"{{ name: {json.dumps(spec.name)} data_type: {_KINDS[spec.dtype]} dims: [ {sizes} ] }}"


def _is_repository(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    models = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return is_empty_folder(folder) or (bool(models) and all((model / _CONFIG).is_file() for model in models))
