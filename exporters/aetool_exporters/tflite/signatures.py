"""What the roles are called as TFLite signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from aetool_exporters.reference import Interface, Reference
from aetool_runtime.specs import Role, TensorSpec

__all__ = ["Signature", "signatures"]

_KEYS: dict[Role, str] = {"encoder": "encode", "decoder": "decode", "autoencoder": "reconstruct"}


@dataclass(frozen=True)
class Signature:
    """An entry point of a TFLite file.

    Args:
        key: ``encode``, ``decode`` or ``reconstruct``.
        role: what it computes.
        interface: its input and outputs, with a batch of 1: the engine is faster with it, and recurrent layers cannot
            be converted without.
    """

    key: str
    role: Role
    interface: Interface


def signatures(reference: Reference, sample_shape: tuple[int, ...] = ()) -> tuple[Signature, ...]:
    """One signature per role; ``encode`` comes first.

    Args:
        sample_shape: gives free dimensions their sizes; without it they stay free.
    """
    sizes = _sizes(reference, sample_shape) if sample_shape and _is_free(reference) else {}
    return tuple(Signature(_KEYS[role], role, _fixed(reference.interface(role), sizes)) for role in reference.roles)


def _is_free(reference: Reference) -> bool:
    return any(None in spec.sample_shape for role in reference.roles for spec in reference.interface(role).returned)


def _sizes(reference: Reference, sample_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Each tensor's shape for one sample of that shape, without the batch: found by computing one."""
    tensors = {reference.given.name: np.zeros((1, *sample_shape), reference.given.dtype)}
    if reference.encoder is not None:
        tensors |= reference.compute_all("encoder", tensors["input"])
    if reference.decoder is not None:
        tensors |= reference.compute_all("decoder", tensors["latent"])
    return {name: tensor.shape[1:] for name, tensor in tensors.items()}


def _fixed(interface: Interface, sizes: Mapping[str, tuple[int, ...]]) -> Interface:
    def fixed(spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=(1, *sizes.get(spec.name, spec.sample_shape)))

    return Interface(fixed(interface.given), tuple(map(fixed, interface.returned)))
