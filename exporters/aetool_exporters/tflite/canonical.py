"""One form for each TFLite file: named after what is in it, ``encode`` first, every constant stored once.

The converter names tensors after Keras layers and TensorFlow scopes, which depend on what else the process did, and
take up flash. Engines without signatures run the first subgraph: that is to be the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from aetool_exporters.tflite.large_data import digest, size

__all__ = ["canonicalize", "store_once"]

_DESCRIPTION = "aetool"
_KEPT_METADATA = b"min_runtime_version"


def canonicalize(model: Any, keys: Sequence[str], metadata: Mapping[str, str], *, named: bool = True) -> None:
    """Put a ``ModelT`` in canonical form, in place, and describe it.

    Args:
        keys: the signatures, in the order that they are to have.
        metadata: becomes one ``Metadata`` entry with a buffer each.
        named: give tensors inside graphs names too, as tools want them that go on working on a file; devices need none.
    """
    model.description = _DESCRIPTION
    model.metadataBuffer = None
    model.metadata = [entry for entry in model.metadata or () if entry.name == _KEPT_METADATA]
    _order_subgraphs(model, keys)
    _name_tensors(model, inside=named)
    for key in sorted(metadata):
        model.buffers.append(schema.BufferT(np.frombuffer(metadata[key].encode(), np.uint8)))
        model.metadata.append(schema.MetadataT(key, len(model.buffers) - 1))
    store_once(model)


def _order_subgraphs(model: Any, keys: Sequence[str]) -> None:
    """Entry points first, in the given order; then bodies, in the order that the converter gave them."""
    model.signatureDefs.sort(key=lambda entry: keys.index(entry.signatureKey.decode()))
    entries = [entry.subgraphIndex for entry in model.signatureDefs]
    order = entries + [index for index in range(len(model.subgraphs)) if index not in entries]
    new = {old: place for place, old in enumerate(order)}
    model.subgraphs = [model.subgraphs[old] for old in order]
    for entry in model.signatureDefs:
        entry.subgraphIndex = new[entry.subgraphIndex]
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or ():
            _renumber(operator.builtinOptions, new)
            _renumber(operator.builtinOptions2, new)


def _renumber(options: Any, new: Mapping[int, int]) -> None:
    """Follow the subgraphs that an operation calls: fields called ``subgraph`` or ``…SubgraphIndex`` in the schema."""
    for field, value in vars(options).items() if options is not None else ():
        if (field == "subgraph" or field.endswith("SubgraphIndex")) and value in new:
            setattr(options, field, new[value])


def _name_tensors(model: Any, *, inside: bool) -> None:
    """``SIGNATURE/NAME`` at the ends, ``SIGNATURE/INDEX`` between: unique in the file, as quantizers need it."""
    for index, subgraph in enumerate(model.subgraphs):
        subgraph.name = f"body_{index}"
    for entry in model.signatureDefs:
        model.subgraphs[entry.subgraphIndex].name = entry.signatureKey.decode()
    for subgraph in model.subgraphs:
        for index, tensor in enumerate(subgraph.tensors):
            tensor.name = f"{subgraph.name}/{index}" if inside else None
    for entry in model.signatureDefs:
        subgraph = model.subgraphs[entry.subgraphIndex]
        for item in (*entry.inputs, *entry.outputs):
            subgraph.tensors[item.tensorIndex].name = f"{subgraph.name}/{item.name.decode()}"


def store_once(model: Any) -> None:
    """Equal constants share a buffer; everything without data shares the first, which the schema keeps empty."""
    kept = [schema.BufferT()]
    places: dict[tuple[int, bytes], int] = {}
    new = []
    for buffer in model.buffers:
        if not size(buffer.data):
            new.append(0)
            continue
        key = (size(buffer.data), digest(buffer.data))
        if key not in places:
            places[key] = len(kept)
            kept.append(buffer)
        new.append(places[key])
    for holder in (*(tensor for graph in model.subgraphs for tensor in graph.tensors), *model.metadata):
        holder.buffer = new[holder.buffer]
    model.buffers = kept
