"""What the roles are called as TFLite signatures."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def signatures(reference: Reference) -> tuple[Signature, ...]:
    """One signature per role; ``encode`` comes first."""
    return tuple(Signature(_KEYS[role], role, _single_batch(reference.interface(role))) for role in reference.roles)


def _single_batch(interface: Interface) -> Interface:
    return Interface(_single(interface.given), tuple(map(_single, interface.returned)))


def _single(spec: TensorSpec) -> TensorSpec:
    return replace(spec, shape=(1, *spec.sample_shape))
