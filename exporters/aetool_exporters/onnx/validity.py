"""Is it a valid ONNX file with the interface that was asked for?"""

from __future__ import annotations

import onnx

from aetool_exporters.onnx.interface import check_interface
from aetool_exporters.onnx.weights import Weights
from aetool_exporters.reason import reason
from aetool_exporters.reference import Interface
from aetool_runtime.errors import ConversionError

__all__ = ["check"]


def check(model: onnx.ModelProto, wanted: Interface, weights: Weights | None = None) -> None:
    """Raise unless the model passes ONNX's own checker, shapes included, and has exactly this interface.

    Args:
        weights: of tensors that the model only names.

    Raises:
        ConversionError: says what the checker found.
    """
    check_interface(model, wanted)
    try:
        onnx.checker.check_model(weights.skeleton(model) if weights else model, full_check=True)
    except Exception as error:  # the checker raises several kinds, and ValueError above 2 GiB
        raise ConversionError(
            f"the converted graph is not valid ONNX ({reason(error)})",
            hint="try another --opset, or leave ONNX out",
        ) from error
