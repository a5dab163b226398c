"""A graph as its rewrites see it: who makes a tensor, who reads it, and what constants hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from aetool_exporters.onnx.ordering import reads
from aetool_exporters.onnx.weights import Weights
from aetool_runtime.specs import Array

__all__ = ["EditableGraph", "attribute"]

Shape = tuple[int | None, ...]


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute, or the default where it has none."""
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


class EditableGraph:
    """The outermost graph of a model while it is rewritten. Bodies of loops and branches are read, never changed.

    Args:
        model: changed by ``write``, and not before.
        weights: of tensors that the model only names.
    """

    def __init__(self, model: onnx.ModelProto, weights: Weights) -> None:
        self._model = model
        self._weights = weights
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.ordered_outputs = [output.name for output in model.graph.output]
        self.outputs = frozenset(self.ordered_outputs)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._fresh = 0
        self._index()

    def _index(self) -> None:
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(reads(node)):
                self._readers[name].append(node)

    def maker(self, name: str) -> NodeProto | None:
        """The node that makes a tensor; ``None`` of inputs and constants."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a tensor, in themselves or in their bodies."""
        return self._readers.get(name, [])

    def only_reader(self, name: str) -> NodeProto | None:
        """The one node that reads a tensor, if it reads it once and nobody else sees it."""
        readers = self.readers(name)
        if len(readers) != 1 or name in self.outputs or list(readers[0].input).count(name) != 1:
            return None
        return readers[0]

    def sole_maker(self, name: str) -> NodeProto | None:
        """The node that makes a tensor, if its only output is read once."""
        node = self.maker(name)
        return node if node is not None and len(node.output) == 1 and self.only_reader(name) is not None else None

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def constant(self, name: str) -> Array | None:
        """What a constant holds; ``None`` of other tensors."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type == onnx.TensorProto.STRING:
            return None
        return self._weights[name] if name in self._weights else numpy_helper.to_array(tensor)

    def integers(self, node: NodeProto, place: int) -> list[int] | None:
        """A node's constant input as a list of integers; ``None`` where there is none or it is computed."""
        value = self.constant(node.input[place]) if len(node.input) > place else None
        return None if value is None or value.dtype.kind != "i" else [int(item) for item in value.reshape(-1)]

    def add_constant(self, value: Array) -> str:
        """A new constant; its name."""
        name = self.fresh("constant")
        self._constants[name] = self._weights.store(name, np.ascontiguousarray(value))
        return name

    def fresh(self, kind: str) -> str:
        """A name that nothing has."""
        self._fresh += 1
        name = f"clean/{kind}_{self._fresh}"
        taken = name in self._makers or name in self._constants
        return self.fresh(kind) if taken else name

    def shape(self, name: str) -> Shape | None:
        """The sizes of a tensor, ``None`` for free ones; ``None`` where not even their number is known.

        No rewrite changes the shape that goes by a name: only new names make it necessary to look again.
        """
        if name not in self._shapes:
            vars(self).pop("_shapes")
            self._shapes.setdefault(name, None)
        return self._shapes[name]

    @cached_property
    def _shapes(self) -> dict[str, Shape | None]:
        skeleton = self._weights.skeleton(self._written())
        inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
        shapes = {value.name: _sizes(value) for value in (*inferred.input, *inferred.output, *inferred.value_info)}
        return shapes | {name: tuple(tensor.dims) for name, tensor in self._constants.items()}

    def replace(self, old: Sequence[NodeProto], new: Sequence[NodeProto], at: NodeProto | None = None) -> None:
        """Put new nodes where the last of the old ones stood, or where ``at`` stood; drop what nobody reads then."""
        gone = {id(node) for node in old}
        last = max(index for index, node in enumerate(self.nodes) if id(node) in gone and at in (None, node))
        before, behind = (
            [node for node in part if id(node) not in gone] for part in (self.nodes[:last], self.nodes[last:])
        )
        self.nodes = [*before, *new, *behind]
        self._index()
        while len(alive := [node for node in self.nodes if self._is_needed(node)]) < len(self.nodes):
            self.nodes = alive
            self._index()

    def _is_needed(self, node: NodeProto) -> bool:
        return any(name in self.outputs or name in self._readers for name in node.output if name)

    def first(self, rewrite: Callable[[NodeProto], bool]) -> bool:
        """Try a rewrite of one node on all, until none takes it; whether any did."""
        changed = False
        while any(rewrite(node) for node in self.nodes):
            changed = True
        return changed

    def write(self) -> None:
        """Put what was rewritten into the model, without nodes and constants that nobody needs."""
        self._model.CopyFrom(self._written())
        self._weights.keep(tensor.name for tensor in self._model.graph.initializer)

    def _written(self) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
        model.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in reads(node)} | self.outputs
        model.graph.initializer.extend(tensor for name, tensor in self._constants.items() if name in used)
        return model


def _sizes(value: onnx.ValueInfoProto) -> Shape | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
