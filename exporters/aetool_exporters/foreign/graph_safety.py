"""Which TensorFlow operations a SavedModel may hold.

A SavedModel is a program. Two nets, before TensorFlow is given the file:

- *What is run*, the functions that the signature reaches, may consist of operations that only compute: a closed list.
- *What is not run* (training, saving, other signatures) is never called, but a file that can touch files, processes,
  the network or Python anywhere is no model to trust, and is refused as a whole. Saving and restoring are in every
  SavedModel; they are left alone there, and never called.

Objects that bring their own initializers or restore functions, which loading would run, are refused as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aetool_runtime.errors import UnsafeError, UnsupportedOperatorError

__all__ = ["COMPUTING", "check_objects", "check_operations"]

COMPUTING = frozenset({
    # values and shapes
    "Abs", "Add", "AddN", "AddV2", "All", "Any", "ArgMax", "ArgMin", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3",
    "BatchToSpaceND", "BroadcastArgs", "BroadcastTo", "Cast", "Ceil", "ClipByValue", "Concat", "ConcatV2", "Const",
    "Cos", "Cumsum", "Cumprod", "DepthToSpace", "Div", "DivNoNan", "Einsum", "Empty", "EnsureShape", "Equal", "Erf",
    "Erfc", "Exp", "ExpandDims", "Expm1", "Fill", "Floor", "FloorDiv", "FloorMod", "Gather", "GatherNd", "GatherV2",
    "Greater", "GreaterEqual", "Identity", "IdentityN", "InvertPermutation", "L2Loss", "Less", "LessEqual", "LinSpace",
    "Log", "Log1p", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul", "Max", "Maximum", "Mean", "Min",
    "Minimum", "MirrorPad", "Mul", "MulNoNan", "Neg", "NoOp", "NotEqual", "OneHot", "OnesLike", "Pack", "Pad", "PadV2",
    "Pow", "PreventGradient", "Prod", "Range", "Rank", "RealDiv", "Reciprocal", "Reshape", "ReverseSequence",
    "ReverseV2", "Rint", "Round", "Rsqrt", "ScatterNd", "Select", "SelectV2", "Shape", "ShapeN", "Sigmoid", "Sign",
    "Sin", "Size", "Slice", "Snapshot", "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Sqrt", "Square",
    "SquaredDifference", "Squeeze", "StopGradient", "StridedSlice", "Sub", "Sum", "Tan", "Tanh", "TensorScatterUpdate",
    "Tile", "TopKV2", "Transpose", "TruncateDiv", "Unpack", "Where", "Xdivy", "Xlogy", "ZerosLike",
    # networks
    "AvgPool", "AvgPool3D", "BiasAdd", "BiasAddV1", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative", "Elu", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "LRN", "LeakyRelu",
    "MaxPool", "MaxPool3D", "MaxPoolV2", "Relu", "Relu6", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
    "Selu", "Softmax", "Softplus", "Softsign",
    # control flow and the lists of recurrent layers
    "Case", "Enter", "Exit", "If", "LoopCond", "Merge", "NextIteration", "PartitionedCall", "StatefulPartitionedCall",
    "StatelessCase", "StatelessIf", "StatelessWhile", "Switch", "TensorListConcatV2", "TensorListElementShape",
    "TensorListFromTensor", "TensorListGather", "TensorListGetItem", "TensorListLength", "TensorListReserve",
    "TensorListSetItem", "TensorListStack", "While",
    # the weights, and what is fed and fetched
    "DisableCopyOnRead", "Placeholder", "PlaceholderWithDefault", "ReadVariableOp", "ResourceGather", "VarHandleOp",
    "VarIsInitializedOp",
    # random numbers, which are replaced by their mean
    "RandomStandardNormal", "RandomUniform", "TruncatedNormal",
    # checks of shapes, which are dropped
    "Assert", "CheckNumerics",
})  # fmt: skip

"""Operations that do nothing but compute."""

_REACHING_OUT = (
    "PyFunc", "ReadFile", "WriteFile", "MatchingFiles", "WholeFileReader", "TextLineReader", "FixedLengthRecordReader",
    "TFRecordReader", "LMDBReader", "IdentityReader", "ReaderRead", "TextFileInitializer", "TableFromTextFile",
    "ImmutableConst", "Dataset", "Iterator", "Print", "LoggingOps", "FileSystem", "Summary", "DebugIdentity",
    "DebugNumericSummary", "DebugNanCount", "Rpc", "Grpc", "Remote", "_Send", "_Recv", "HostSend", "HostRecv",
    "InfeedEnqueue", "OutfeedDequeue", "LoadLibrary", "Xla", "TPU", "CustomCall", "Dump", "SaveSlices", "RestoreSlice",
    "StubResourceHandle", "DecodeWav", "EncodeWav", "AudioSpectrogram", "Bigtable", "S3", "Gcs", "Env",
)  # fmt: skip
"""Parts of the names of operations that reach beyond their inputs."""

_RUN_WHEN_LOADED = frozenset({"asset", "resource"})


def check_operations(meta_graph: Any, start: str, where: Path) -> None:
    """Look through a graph and its library of functions.

    Args:
        meta_graph: a ``MetaGraphDef``.
        start: the function, or the node of the main graph, that is going to be run.

    Raises:
        UnsafeError: an operation that reaches files, processes, the network or Python; names it.
        UnsupportedOperatorError: what is going to be run has an operation that is not known to only compute.
    """
    library = {function.signature.name: function.node_def for function in meta_graph.graph_def.library.function}
    for name, nodes in (("", meta_graph.graph_def.node), *library.items()):
        for node in nodes:
            if any(part in node.op for part in _REACHING_OUT):
                raise UnsafeError(
                    f"the operation {node.op} ({node.name}) reaches beyond the model",
                    where=f"{where}, function {name}" if name else str(where),
                    expected="operations that only compute",
                    hint="do not use this model; ask whoever made it for a Keras file",
                )
    for node in _reached(meta_graph.graph_def.node, library, start):
        if node.op not in COMPUTING and node.op not in library:
            raise UnsupportedOperatorError(
                f"the operation {node.op} is not among those that are known to only compute",
                where=f"{where}, node {node.name}",
                hint="load the model in Keras without the layer that makes it, and export that",
            )


def check_objects(meta_graph: Any, where: Path) -> None:
    """Refuse objects that loading would run code of the file for.

    Raises:
        UnsafeError: a lookup table, an asset, or an object with a restore function of its own.
    """
    for node in meta_graph.object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind in _RUN_WHEN_LOADED or node.saveable_objects or node.registered_saver:
            raise UnsafeError(
                f"an object of the kind {kind!r} runs functions of the file when it is loaded",
                where=str(where),
                expected="weights and functions only",
                hint="load the model in Keras without its lookup tables and preprocessing, and export that",
            )


def _reached(main: Iterable[Any], library: dict[str, Any], start: str) -> Iterator[Any]:
    """Every node of the functions that a function, or the main graph ("" as ``start``), leads to."""
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        for node in library[name] if name else main:
            yield node
            for called in _called(node, library):
                if called not in seen:
                    seen.add(called)
                    waiting.append(called)


def _called(node: Any, library: dict[str, Any]) -> Iterator[str]:
    if node.op in library:
        yield node.op
    for attribute in node.attr.values():
        names = [attribute.func.name, *(function.name for function in attribute.list.func)]
        yield from (name for name in names if name in library)
