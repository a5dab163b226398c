"""The rows of compression/coded.json: values ↔ bytes by the models of the bundles beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.entropy.coding import Coder

__all__ = ["coded_rows"]

SHAPES: dict[str, tuple[int, ...]] = {
    "one": (1,), "few": (3,), "a line": (2, 37), "a picture": (3, 5, 6), "a volume": (2, 3, 4, 5)
}  # fmt: skip


def coded_rows(bundles: dict[str, Compression]) -> Iterator[dict[str, Any]]:
    """Every row; a new one must have a new name."""
    for bundle, made in bundles.items():
        coder = Coder(made.tables, made.models)
        for number, model in enumerate(made.models):
            for kind, positions in SHAPES.items():
                shape = (*positions, model.channels)
                for spread in (0.5, 4.0, 3000.0):
                    values = _values(shape, spread)
                    yield _row(f"{bundle}, model {number}, {kind}, spread {spread:g}", bundle, number, values, coder)
            many = _values((16, 9, 20, model.channels) if model.kind == "neighbors" else (1, 4000, model.channels), 40)
            yield _row(f"{bundle}, model {number}, many", bundle, number, many, coder)
            extremes = np.resize(np.array([2**31 - 1, -(2**31), 0, -1], np.int32), (2, 3, model.channels))
            yield _row(f"{bundle}, model {number}, extremes", bundle, number, extremes, coder)
            nothing = np.empty((0, model.channels), np.int32)
            yield _row(f"{bundle}, model {number}, nothing", bundle, number, nothing, coder)


def _values(shape: tuple[int, ...], spread: float) -> np.ndarray:
    noise = np.random.default_rng(int(spread * 10)).laplace(0, spread, shape)
    loud = np.random.default_rng(7).random(shape[:-1])[..., None] < 0.2  # some groups are louder
    return np.rint(noise * np.where(loud, 5, 1)).astype(np.int32)


def _row(name: str, bundle: str, model: int, values: np.ndarray, coder: Coder) -> dict[str, Any]:
    return {
        "name": name,
        "bundle": bundle,
        "model": model,
        "shape": list(values.shape),
        "values": values.reshape(-1).tolist(),
        "bytes": coder.encode(values, model).hex(),
    }
