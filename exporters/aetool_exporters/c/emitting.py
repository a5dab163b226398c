"""A plan as C text: kernels, constants, and the function that calls one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from aetool_exporters.c.arena import Plan
from aetool_exporters.c.graph import Tensor
from aetool_exporters.c.step import Parameter, Step
from aetool_runtime.specs import Array

__all__ = ["integers", "source"]

# what each kernel stands on, in the order in which the text needs it
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "fully_connected": ("target",),
    "conv_2d": ("target", "dot", "window"),
    "conv_2d_apart": ("target", "dot", "window"),
    "depthwise_conv_2d": ("target", "window"),
    "transpose_conv": ("target", "dot"),
    "max_pool_2d": ("clamped", "window"),
    "average_pool_2d": ("clamped", "window"),
    "add": ("target", "pair"),
    "sub": ("target", "pair"),
    "mul": ("target", "pair"),
}
_ORDER = ("clamped", "target", "dot", "window", "pair")
_WIDTH = 110
_TYPES = {"int8": "int8_t", "int32": "int32_t"}


def source(plan: Plan, name: str, function: str, signature: str) -> str:
    """The ``.c`` file's text below its title.

    Args:
        plan: what is computed, and where tensors lie.
        name: prefix of what is visible outside; a C identifier.
        function: what follows the prefix in the function's name.
        signature: the function's parameters.
    """
    constants = _Constants()
    records = [constants.record(step, f"step{place}") for place, step in enumerate(plan.steps)]
    calls = [_call(step, f"step{place}", plan, constants) for place, step in enumerate(plan.steps)]
    arena = f"static int8_t arena[{name.upper()}_ARENA_SIZE];\n" if plan.arena else ""
    parts = [
        f'#include "{name}.h"\n',
        *_kernels(plan.steps),
        *constants.texts,
        *records,
        arena,
        f"void {name}_{function}({signature}) {{\n" + "".join(calls) + "}\n",
    ]
    return "\n".join(filter(None, parts))


def integers(values: Array) -> str:
    """Numbers between braces, in lines."""
    lines, line = [], "   "
    for number in map(_literal, values.ravel().tolist()):
        if len(line) + len(number) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {number},"
    return "{\n" + "\n".join([*lines, line]) + "\n}"


def _literal(value: int) -> str:
    return "-2147483647 - 1" if value == -(2**31) else str(value)


@cache
def _kernel(name: str) -> str:
    return (files("aetool_exporters.c") / "kernels" / f"{name}.c").read_text("utf-8")


def _kernels(steps: tuple[Step, ...]) -> Iterator[str]:
    used = list(dict.fromkeys(step.kernel for step in steps))
    needed = {need for kernel in used for need in _NEEDS.get(kernel, ())}
    if "target" in needed:
        needed.add("clamped")
    yield from (_kernel(part) for part in (*(part for part in _ORDER if part in needed), *used))


class _Constants:
    """Arrays in flash, equal ones once."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, bytes], str] = {}
        self.texts: list[str] = []

    def name(self, values: Array, wanted: str) -> str:
        key = (values.dtype.str, values.tobytes())
        if key not in self.names:
            self.names[key] = wanted
            kind = _TYPES[str(values.dtype)]
            self.texts.append(f"static const {kind} {wanted}[{values.size}] = {integers(values)};\n")
        return self.names[key]

    def record(self, step: Step, name: str) -> str:
        members = ",\n    ".join(f".{key} = {self._value(value, name, key)}" for key, value in step.parameters.items())
        return f"static const struct {step.record or step.kernel} {name} = {{\n    {members},\n}};\n"

    def _value(self, value: Parameter, name: str, key: str) -> str:
        if isinstance(value, np.ndarray):
            return self.name(value, f"{name}_{key.replace('.', '_')}")
        if isinstance(value, tuple):
            return "{" + ", ".join(map(_literal, value)) + "}"
        return _literal(value)


def _call(step: Step, name: str, plan: Plan, constants: _Constants) -> str:
    def where(tensor: Tensor, role: str) -> str:
        if tensor.data is not None:
            return constants.name(tensor.data, f"{name}_{role}")
        room = plan.rooms[tensor]
        return room.argument or (f"arena + {room.offset}" if room.offset else "arena")

    given = [where(tensor, f"given{place}") for place, tensor in enumerate(step.inputs)]
    return f"    {step.kernel}({', '.join([*given, where(step.output, 'made')])}, &{name});\n"
