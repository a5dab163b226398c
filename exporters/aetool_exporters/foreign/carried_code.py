"""Finds Python code in a model's architecture. It is never run."""

from __future__ import annotations

from typing import Any

__all__ = ["carries_code", "function_called"]


def carries_code(value: Any) -> bool:
    """Is there marshalled code in a piece of configuration? Layers inside it count.

    Keras 3 calls it ``__lambda__``; before, a field such as ``function_type`` said ``lambda``.
    """
    if isinstance(value, dict):
        if value.get("class_name") == "__lambda__":
            return True
        if any(key.endswith("_type") and inner == "lambda" for key, inner in value.items()):
            return True
        return any(carries_code(inner) for inner in value.values())
    return isinstance(value, list) and any(carries_code(inner) for inner in value)


def function_called(config: dict[str, Any]) -> str:
    """The name of the function that a ``Lambda`` layer calls; "" where it carries code instead."""
    function = config.get("function")
    if isinstance(function, dict):
        function = function.get("config") if function.get("class_name") == "function" else None
    return function if isinstance(function, str) and config.get("function_type") != "lambda" else ""
