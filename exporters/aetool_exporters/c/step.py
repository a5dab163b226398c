"""One call of a C kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aetool_exporters.c.graph import Tensor
from aetool_runtime.specs import Array

__all__ = ["Parameter", "Step"]

Parameter = int | tuple[int, ...] | Array


@dataclass(frozen=True, eq=False)
class Step:
    """A call: the kernel reads ``inputs`` and writes ``output`` as ``parameters``, its struct's members, say.

    Args:
        kernel: the kernel's name, which is its file's.
        record: the name of the struct that it takes.
        inputs: tensors that it reads, in the order of its arguments; constants come as arrays.
        output: the tensor that it writes.
        parameters: member → number, numbers in place, or an array that stands apart as a constant.
        in_place: whether it may write where it reads.
    """

    kernel: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    record: str = ""
    in_place: bool = False
