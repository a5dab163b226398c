"""Recognizes the layer of a variational encoder that draws a sample from mean and log-variance.

By structure: it has no weights and reads two tensors, which two like layers (``Dense`` twice, ``Conv2D`` twice) compute
from the same tensor, or which are of one shape where names say what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aetool_exporters.foreign.entries import Entry, layer_name, read_from

__all__ = ["mean_position"]

_SAMPLER = re.compile(r"sampl|repar|gauss|latent|lambda|normal|(^|_)z(_|$)|^z\d*$", re.IGNORECASE)
_SPREAD = re.compile(r"log|var|std|sigma|sd\b", re.IGNORECASE)
_CENTRE = re.compile(r"mean|mu\b|mu_|_mu|loc\b|centre|center", re.IGNORECASE)
_SIZES = ("units", "filters", "kernel_size", "strides", "target_shape")


def mean_position(entry: Entry, siblings: Mapping[str, Entry]) -> int | None:
    """Which input of a layer is the mean, if the layer draws samples; else ``None``.

    Args:
        siblings: the layers of the same model, by name.
    """
    calls = read_from(entry)
    if not calls or any(len(set(call)) != 2 or len(call) != 2 for call in calls):
        return None
    names = calls[0]
    heads = [siblings.get(name) for name in names]
    if None in heads:
        return None
    told = bool(_SAMPLER.search(f"{entry['class_name']} {layer_name(entry)}")) or any(map(_SPREAD.search, names))
    if not (_alike(*heads) or told):  # type: ignore[arg-type]
        return None
    spreads = [bool(_SPREAD.search(name)) for name in names]
    centres = [bool(_CENTRE.search(name)) and not spread for name, spread in zip(names, spreads, strict=True)]
    return 1 if (spreads[0] and not spreads[1]) or (centres[1] and not centres[0]) else 0


def _alike(one: Entry, other: Entry) -> bool:
    """Two layers of one class and size that read the same."""
    return (
        one["class_name"] == other["class_name"]
        and read_from(one) == read_from(other)
        and [_size(one, key) for key in _SIZES] == [_size(other, key) for key in _SIZES]
    )


def _size(entry: Entry, key: str) -> Any:
    config = entry["config"]
    return config.get(key) if isinstance(config, dict) else None
