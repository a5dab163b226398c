"""The options of ``export`` for precisions below float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from aetool_runtime.errors import UsageError
from aetool_runtime.specs import PRECISIONS, Array

if TYPE_CHECKING:
    from aetool.data import Report
    from aetool.model import Model
    from aetool_exporters.request import QuantizationOptions

__all__ = ["Reduced", "reduced_options"]

_CALIBRATED = ("int8", "int16x8")
_METHODS = ("minmax", "entropy", "percentile", "mse")
_BATCH = 64


@dataclass(frozen=True)
class Reduced:
    """The precisions to write, and how the reduced ones are reached; see ``QuantizationOptions``."""

    precisions: tuple[str, ...]
    calibration: str | None
    method: str
    per_tensor: bool
    integer_io: bool
    float_layers: tuple[str, ...]
    microcontroller: bool

    def quantization(self, loaded: Model, report: Report) -> QuantizationOptions:
        """With the data that were named, or a checkpoint's training samples.

        Raises:
            UsageError: a precision needs calibration data, and there are none; or a layer that the model lacks.
            InputError: the data cannot be read, or do not fit.
        """
        from aetool_exporters.layers import layer_names
        from aetool_exporters.request import QuantizationOptions

        _check_layers(self.float_layers, layer_names(loaded.reference))
        return QuantizationOptions(
            self._calibration(loaded, report), not self.per_tensor, self.integer_io, frozenset(self.float_layers)
        )

    def _calibration(self, loaded: Model, report: Report) -> Any:
        from aetool_exporters.request import Calibration

        if self.calibration is not None:
            return Calibration(_stream(loaded, self.calibration, report), self.method)
        if loaded.calibration is not None:
            return Calibration(_slices(loaded.calibration), self.method)
        needy = [precision for precision in self.precisions if precision in _CALIBRATED]
        if needy:
            raise UsageError(
                f"{needy[0]} needs data to measure ranges on",
                expected="real samples such as the model was trained on",
                hint="--calibration FILE",
            )
        return None


def reduced_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--precision`` and what belongs to it, handed on as one ``reduced``."""

    @wraps(function)
    def command(
        precision: tuple[str, ...],
        calibration: str | None,
        calibration_method: str,
        per_tensor: bool,
        integer_io: bool,
        float_layer: tuple[str, ...],
        mcu: bool,
        **others: Any,
    ) -> None:
        names = tuple(dict.fromkeys(name.strip() for text in precision for name in text.split(",")))
        default = "int8" if mcu else "float32"
        reduced = Reduced(
            names or (default,), calibration, calibration_method, per_tensor, integer_io or mcu, float_layer, mcu
        )
        function(reduced=reduced, **others)

    options = [
        click.option(
            "--precision",
            multiple=True,
            metavar="NAME",
            help=f"{', '.join(PRECISIONS)}; several with commas.  [default: float32]",
        ),
        click.option(
            "--calibration", metavar="DATA", help="Samples that ranges are measured on. [default: the training part's]"
        ),
        click.option(
            "--calibration-method", type=click.Choice(_METHODS), default="minmax", show_default=True,
            help="How a range is chosen from them.",
        ),
        click.option("--per-tensor", is_flag=True, help="One scale for a whole kernel, for engines that want it."),
        click.option("--integer-io", is_flag=True, help="int8 graphs take and return integers themselves."),
        click.option(
            "--mcu",
            is_flag=True,
            help="For microcontrollers: TFLite, int8, integers in and out; says what stands in the way.",
        ),
        click.option("--float-layer", multiple=True, metavar="LAYER", help="A layer that stays in float32."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _check_layers(wanted: tuple[str, ...], known: frozenset[str]) -> None:
    from difflib import get_close_matches

    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, 1)
            raise UsageError(
                f"the model has no layer {name!r}",
                expected="one of " + ", ".join(sorted(known)),
                hint=f"did you mean {close[0]!r}?" if close else "",
            )


def _slices(samples: Array) -> Callable[[], Iterator[Array]]:
    return lambda: (samples[start : start + _BATCH] for start in range(0, len(samples), _BATCH))


def _stream(loaded: Model, data: str, report: Report) -> Callable[[], Iterator[Array]]:
    """All of the data, read anew each time; the first batch now, so that what does not fit is refused early."""
    from aetool.data import sample_batches
    from aetool.model import open_for

    source, shape = open_for(loaded.reference, data)

    def batches() -> Iterator[Array]:
        return sample_batches(source, shape, _BATCH, report=report)

    next(batches())
    return batches
