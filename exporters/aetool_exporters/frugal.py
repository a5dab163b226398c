"""Memory that TensorFlow keeps, given back."""

from __future__ import annotations

import os

__all__ = ["give_memory_back"]


def give_memory_back() -> None:
    """Let TensorFlow return what it has freed to the system, for this process; before TensorFlow is imported.

    With oneDNN it keeps all for what may come, twice a large model's size and more. Training, which wants the same
    memory at each step, is better off so; whoever loads a model once and exports it is not.
    """
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
