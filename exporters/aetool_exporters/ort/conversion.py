"""ONNX → ORT by ONNX Runtime, without what is made for this machine's processor only."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
from onnxruntime.tools.ort_format_model import create_config_from_models

from aetool_exporters.ort.canonical import canonicalize
from aetool_exporters.reason import reason
from aetool_runtime.errors import ConversionError

__all__ = ["convert", "required_operators"]

_FATAL_ONLY = 4
_DISABLED = ["ConstantFolding"]  # there is nothing to fold but integer weights, which would become floats again
_HEADER = "# Operations and types of the ORT files here, for --include_ops_by_config of ONNX Runtime's build script\n"


def convert(graph: bytes) -> bytes:
    """An ONNX file as an ORT file that every processor runs.

    Nodes are fused as on any of them ("extended"); layouts of memory, which the highest level chooses for the processor
    at hand, stay as they are.

    Raises:
        ConversionError: ONNX Runtime could not load or write it.
    """
    with tempfile.TemporaryDirectory(prefix="aetool-") as folder:
        target = Path(folder) / "graph.ort"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(target)
        options.log_severity_level = _FATAL_ONLY
        options.add_session_config_entry("session.save_model_format", "ORT")
        options.add_session_config_entry("session.qdqisint8allowed", "0")
        try:
            onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED
            )
            written = target.read_bytes()
        except Exception as error:
            raise ConversionError(f"ONNX Runtime could not write its own format ({reason(error)})") from error
    return canonicalize(written)


def required_operators(graphs: Sequence[bytes]) -> bytes:
    """The configuration file for a build that runs these ORT files: operations with the types that they work on."""
    with tempfile.TemporaryDirectory(prefix="aetool-") as folder:
        files = [Path(folder) / f"{number}.ort" for number in range(len(graphs))]
        for file, graph in zip(files, graphs, strict=True):
            file.write_bytes(graph)
        config = Path(folder) / "required_operators.config"
        logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
        create_config_from_models(files, config, enable_type_reduction=True)
        lines = config.read_text("utf-8").splitlines(keepends=True)
    return (_HEADER + "".join(line for line in lines if not line.startswith("#"))).encode()
