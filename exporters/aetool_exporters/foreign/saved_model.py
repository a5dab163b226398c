"""Reads a SavedModel folder: its signature as a graph without variables, and nothing of it run but what computes it."""

from __future__ import annotations

import shutil
import tempfile
from logging import LogRecord
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool_exporters.foreign.graph_safety import check_objects, check_operations
from aetool_exporters.reason import reason
from aetool_runtime.errors import DependencyError, ModelError, UnsafeError

if TYPE_CHECKING:
    from aetool_exporters.foreign.frozen_graph import FrozenGraph

__all__ = ["PROGRAM", "read_saved_model"]

PROGRAM = "saved_model.pb"
_DEFAULT = ("serving_default", "serve")
_INITIALIZERS = "__saved_model_init_op"
_RANDOM = {"RandomStandardNormal": 0.0, "TruncatedNormal": 0.0, "RandomUniform": 0.5}


def read_saved_model(folder: Path) -> tuple[FrozenGraph, Any, list[str]]:
    """The graph of a SavedModel's signature, its variables turned into constants.

    Returns:
        The graph, the function itself (an input tensor to the output tensor; the graph's, if the function's own is
        never twice the same), and what the user should know.

    Raises:
        ModelError: no SavedModel, a damaged one, or not one input; several signatures that could be meant.
        UnsafeError: it could reach beyond itself.
        UnsupportedOperatorError: an operation that is not known to only compute.
        DependencyError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise DependencyError(
            f"TensorFlow cannot be imported ({error})", hint="pip install 'aetool[export]'"
        ) from error
    meta_graph = _parsed(folder)
    key = _signature(meta_graph, folder)
    _check_files(folder)
    check_objects(meta_graph, folder)
    check_operations(meta_graph, _function(meta_graph, key, folder), folder)
    try:
        loaded = _loaded(meta_graph, folder)
        function = loaded.signatures[key]
        frozen, output, notices, calm = _frozen(function)
    except ModelError:
        raise
    except Exception as error:  # TensorFlow raises whatever it stumbles over
        what = f"TensorFlow cannot read the SavedModel ({reason(error)})"
        raise ModelError(what, where=str(folder), hint="copy the whole folder again") from error
    name = next(iter(function.structured_input_signature[1]))

    def compute(
        values: Any, training: bool = False, keep: Any = loaded
    ) -> Any:  # the variables live as long as what was loaded
        return function(**{name: tf.constant(values)})[output]

    return frozen, compute if calm else frozen.whole(), notices


def _parsed(folder: Path) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    program = saved_model_pb2.SavedModel()
    try:
        program.ParseFromString((folder / PROGRAM).read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError(f"{PROGRAM} cannot be read ({reason(error)})", where=str(folder)) from error
    graphs = [graph for graph in program.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(graphs) != 1 or not graphs[0].HasField("object_graph_def"):
        raise ModelError(
            "the SavedModel is one of TensorFlow 1, or has no graph for serving",
            where=str(folder),
            expected="one of TensorFlow 2",
            hint="load it in TensorFlow, and save it again with tf.saved_model.save",
        )
    return graphs[0]


def _signature(meta_graph: Any, folder: Path) -> str:
    keys = [key for key in meta_graph.signature_def if key != _INITIALIZERS]
    for key in (*_DEFAULT, *(keys if len(keys) == 1 else ())):
        if key in keys:
            return str(key)
    raise ModelError(
        f"the SavedModel has the signatures {', '.join(sorted(keys)) or 'none'}",
        where=str(folder),
        expected=f"one that is called {_DEFAULT[0]}",
        hint="save the model with model.export(folder) in Keras 3, or tf.saved_model.save",
    )


def _function(meta_graph: Any, key: str, folder: Path) -> str:
    """The library's function that a signature of the main graph calls."""
    outputs = meta_graph.signature_def[key].outputs.values()
    names = {output.name.partition(":")[0] for output in outputs}
    calls = [node for node in meta_graph.graph_def.node if node.name in names]
    functions = {str(node.attr["f"].func.name) for node in calls}
    if len(functions) != 1 or not min(functions, default=""):
        raise ModelError(f"the signature {key!r} calls no function", where=str(folder), expected="one of TensorFlow 2")
    return functions.pop()


def _check_files(folder: Path) -> None:
    """Links could lead the loader out of the folder."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink() and path != folder:
            raise UnsafeError(f"{path.name} is a link", where=str(folder), expected="files and folders")


def _loaded(meta_graph: Any, folder: Path) -> Any:
    """What TensorFlow makes of the folder, without the optimizers' slots, which only Keras 2 can revive."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    tf.get_logger().addFilter(_not_of_optimizers)
    program = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph])
    for node in program.meta_graphs[0].object_graph_def.nodes:
        del node.slot_variables[:]
    with tempfile.TemporaryDirectory(prefix="aetool-") as copy:
        (Path(copy) / PROGRAM).write_bytes(program.SerializeToString())
        shutil.copytree(folder / "variables", Path(copy) / "variables")
        return tf.saved_model.load(copy)


def _not_of_optimizers(record: LogRecord) -> bool:
    """TensorFlow complains of values that nobody asked for, up to the end of the process."""
    told = record.getMessage()
    return "unrestored values" not in told and "could not be found in the restored object" not in told


def _frozen(function: Any) -> tuple[FrozenGraph, str, list[str], bool]:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from aetool_exporters.foreign.frozen_graph import FrozenGraph

    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise ModelError(f"the signature takes {len(inputs)} inputs: {', '.join(inputs)}", expected="one")
    spec = next(iter(inputs.values()))
    output, notices = _output(function.structured_outputs, spec)
    constant = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    graph = constant.graph.as_graph_def()
    place = sorted(function.structured_outputs).index(output)
    random = _calm(graph)
    given, returned = constant.inputs[0].name, constant.outputs[place].name
    made = _made_shape(function, spec, output)
    frozen = FrozenGraph(graph, given, returned, tuple(spec.shape), spec.dtype, made)
    return frozen, output, [*notices, *random], not random


def _made_shape(function: Any, spec: Any, output: str) -> tuple[int | None, ...] | None:
    """The output's shape for one sample: loops of recurrent layers do not tell it; ``None`` for free dimensions."""
    import tensorflow as tf

    if None in tuple(spec.shape)[1:]:
        return None
    zeros = tf.zeros((spec.shape[0] or 2, *spec.shape[1:]), spec.dtype)
    return (None, *function(**{next(iter(function.structured_input_signature[1])): zeros})[output].shape[1:])


def _output(outputs: Any, given: Any) -> tuple[str, list[str]]:
    """The output that is meant: the one shaped like the input, else the first."""
    names = sorted(outputs)
    if len(names) == 1:
        return names[0], []
    same = [name for name in names if tuple(outputs[name].shape)[1:] == tuple(given.shape)[1:]]
    kept = (same or names)[0]
    return kept, [f"of the signature's outputs ({', '.join(names)}), {kept!r} is taken"]


def _calm(graph: Any) -> list[str]:
    """Put the mean in the place of random numbers, and drop checks, in place."""
    import tensorflow as tf

    notices = []
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            if node.op not in _RANDOM:
                continue
            mean = tf.constant(_RANDOM[node.op], tf.as_dtype(node.attr["dtype"].type))
            notices.append(f"{node.name} draws random numbers; their mean, {_RANDOM[node.op]:g}, takes their place")
            _fill(nodes, node, mean)
    return notices


def _fill(nodes: Any, node: Any, mean: Any) -> None:
    """Make ``Fill(shape, mean)`` of a node that draws numbers of a shape."""
    import tensorflow as tf

    dtype, index = node.attr["dtype"].type, node.attr["T"].type
    value = nodes.add()
    value.name, value.op = f"{node.name}_mean", "Const"
    value.attr["dtype"].type = dtype
    value.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(mean))
    node.op = "Fill"
    node.input.append(value.name)
    node.attr.clear()
    node.attr["T"].type = dtype
    node.attr["index_type"].type = index
