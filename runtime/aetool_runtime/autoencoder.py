"""The runtime's front door: a bundle's encoder and decoder as functions on NumPy arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import numpy as np

from aetool_runtime.backends import Backend, Graph, available_backends, load_backend
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import BackendError, DeviceError, InputError, UsageError
from aetool_runtime.specs import Array, Artifact, Role, TensorSpec, format_shape

__all__ = ["Autoencoder"]

_MAX_THREADS = 256  # an engine starts as many as it is told, until the machine stands still
Runner = Callable[[Array], tuple[Array, ...]]


class Autoencoder:
    """A bundle, opened for use. Raw values in, raw values out; made with ``Autoencoder.open``.

    Every method may be called from several threads at once. Graphs are loaded on first use, so a device that only
    encodes never loads the decoder.

    Example:
        >>> with Autoencoder.open("model.aepkg") as model:
        ...     latent = model.encode(windows)
        ...     restored = model.decode(latent)
    """

    def __init__(self, bundle: Bundle, backend: Backend, device: str, threads: int, precision: str) -> None:
        self.bundle = bundle
        self.backend = backend.name
        self.device = device
        self.threads = threads
        self.precision = precision
        self._engine = backend
        self._lock = threading.Lock()
        self._loaded: dict[Role, Runner] = {}
        self._graphs: list[Graph] = []
        self._closed = False

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle,
        *,
        backend: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        precision: str | None = None,
    ) -> Autoencoder:
        """Open a bundle and check every byte of it.

        Args:
            bundle: a bundle's folder or zip, or one that is open already.
            backend: ``onnxruntime``, ``litert``, …; ``None`` for the first that is installed and has an artifact here.
            device: ``cpu``, ``cuda``, …; the graphs run there and never anywhere else.
            threads: for one call; 0 for as many as there are cores. Small models are fastest with one.
            precision: which of the bundle's artifacts to run; ``None`` for ``float32``, or where there is none, for the
                bundle's first.

        Raises:
            InputError, IntegrityError: see ``aetool_runtime.bundle.open_bundle``.
            BackendError, DependencyError: an unknown backend, or one whose engine is missing.
            DeviceError: the device is not here.
            UsageError: the bundle has no artifact of that precision for that backend; ``threads`` out of range.
        """
        opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        if type(threads) is not int or not 0 <= threads <= _MAX_THREADS:
            raise UsageError(f"threads is {threads!r}", expected=f"0 (all cores) to {_MAX_THREADS}")
        precision = precision or _default_precision(opened)
        engine = _choose(opened, backend, device, precision)
        return cls(opened, engine, device, threads, precision)

    def encode(self, samples: Array) -> Array:
        """Samples to latents. Real values in and out, also where the graph itself takes integers that stand for them.

        Args:
            samples: [batch, …] of the bundle's input shape, raw units; any batch size. Other number types are
                converted to the input's dtype.

        Returns:
            [batch, …] of the latent's shape and dtype; the caller owns it.

        Raises:
            InputError: the shape or type does not fit.
            BackendError: the engine failed.
        """
        return (self._loaded.get("encoder") or self._load("encoder"))(samples)[0]

    def encode_all(self, samples: Array) -> dict[str, Array]:
        """Samples to all that the encoder returns, by name.

        ``latent`` alone for most bundles; a variational one adds ``latent_mean`` (which is its ``latent``) and
        ``latent_logvar``, both [batch, …] like the latent. See ``encode``.
        """
        outputs = (self._loaded.get("encoder") or self._load("encoder"))(samples)
        names = [output.name for output in _artifact(self.bundle, "encoder", self._engine, self.precision).outputs]
        return dict(zip(names, outputs, strict=True))

    def decode(self, latents: Array) -> Array:
        """Latents to reconstructions: [batch, …] each; see ``encode``."""
        return (self._loaded.get("decoder") or self._load("decoder"))(latents)[0]

    def reconstruct(self, samples: Array) -> Array:
        """Samples to reconstructions, through the graph that holds encoder and decoder; see ``encode``."""
        return (self._loaded.get("autoencoder") or self._load("autoencoder"))(samples)[0]

    def tensor(self, name: str) -> TensorSpec:
        """The spec of ``input``, ``latent`` or ``reconstruction`` as the methods take and return it, free batch.

        Raises:
            UsageError: the bundle has no such tensor.
        """
        spec = self.bundle.manifest.tensor(name)
        if spec is None:
            raise UsageError(f"the bundle has no tensor {name!r}", where=str(self.bundle.path))
        return _as_real(spec)

    def close(self) -> None:
        """Give the engines' memory back. Closing twice is fine; using it afterwards raises ``UsageError``."""
        with self._lock:
            self._closed = True
            self._loaded.clear()
            while self._graphs:
                self._graphs.pop().close()

    def __enter__(self) -> Autoencoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Autoencoder {self.bundle.manifest.name} {self.precision} on {self.backend}/{self.device}>"

    def _load(self, role: Role) -> Runner:
        with self._lock:
            if self._closed:
                raise UsageError("the autoencoder is closed", where=str(self.bundle.path), hint="open it again")
            if role not in self._loaded:
                artifact = _artifact(self.bundle, role, self._engine, self.precision)
                data = self.bundle.read(artifact.path)
                graph = self._engine.load(data, artifact, device=self.device, threads=self.threads)
                self._graphs.append(graph)
                self._loaded[role] = _runner(graph, artifact)
            return self._loaded[role]


def _runner(graph: Graph, artifact: Artifact) -> Runner:
    """The hot path: a few comparisons, then the engine."""
    spec = _as_real(artifact.inputs[0])
    dtype, rank, sample = np.dtype(spec.dtype), len(spec.shape), spec.sample_shape
    run = _on_real_values(graph.run, artifact)

    def call(array: Array) -> tuple[Array, ...]:
        if not (
            type(array) is np.ndarray
            and array.dtype == dtype
            and array.ndim == rank
            and array.shape[1:] == sample
            and array.flags.c_contiguous
            and len(array)
        ):
            array = _fit(array, dtype, rank, spec)
            if not len(array):
                return _nothing(artifact)
        return run(array)

    return call


def _as_real(spec: TensorSpec) -> TensorSpec:
    """The tensor as callers see it: real values where it holds integers that stand for them."""
    return spec if spec.quantization is None else replace(spec, dtype="float32", quantization=None)


def _on_real_values(run: Runner, artifact: Artifact) -> Runner:
    if all(spec.quantization is None for spec in (*artifact.inputs, *artifact.outputs)):
        return run

    def quantized(array: Array) -> tuple[Array, ...]:
        outputs = run(artifact.inputs[0].stored(array))
        return tuple(spec.real(output) for spec, output in zip(artifact.outputs, outputs, strict=True))

    return quantized


def _fit(array: Array, dtype: np.dtype[np.generic], rank: int, spec: TensorSpec) -> Array:
    """Convert what can be converted without guessing; refuse the rest."""
    try:
        given = np.asarray(array)
    except ValueError as error:
        raise InputError(
            f"{spec.name} is no array ({error})", expected=format_shape((None, *spec.sample_shape))
        ) from error
    if not np.can_cast(given.dtype, dtype, casting="same_kind") and given.dtype.kind not in "iub":
        raise InputError(f"{spec.name} has dtype {given.dtype}", expected=spec.dtype)
    fits = given.ndim == rank and all(
        want is None or want == size for want, size in zip(spec.sample_shape, given.shape[1:], strict=True)
    )
    if not fits:
        alone = given.ndim == rank - 1
        raise InputError(
            f"{spec.name} has shape {list(given.shape)}",
            expected=format_shape((None, *spec.sample_shape)),
            hint="add the batch dimension: array[None]" if alone else "see `aetool inspect BUNDLE`",
        )
    if given.dtype != dtype and dtype.kind in "iu" and given.size:
        _check_range(given, spec)
    return np.ascontiguousarray(given, dtype)


def _check_range(given: Array, spec: TensorSpec) -> None:
    """Refuse integers that the graph's type cannot hold: they would wrap around without a word."""
    limits = np.iinfo(spec.dtype)
    least, most = int(given.min()), int(given.max())
    if least < limits.min or most > limits.max:
        raise InputError(
            f"{spec.name} holds values from {least} to {most}", expected=f"{limits.min} to {limits.max} ({spec.dtype})"
        )


def _nothing(artifact: Artifact) -> tuple[Array, ...]:
    return tuple(
        np.zeros((0, *(size or 0 for size in output.sample_shape)), _as_real(output).dtype)
        for output in artifact.outputs
    )


def _default_precision(bundle: Bundle) -> str:
    """The exact one, or the first that the bundle has."""
    met = [artifact.precision for artifact in bundle.manifest.artifacts]
    return "float32" if "float32" in met else met[0]


def _choose(bundle: Bundle, name: str | None, device: str, precision: str) -> Backend:
    if name is not None:
        backend = load_backend(name)
        _artifact(bundle, None, backend, precision)
    else:
        backend = _first_here(bundle, device, precision)
    if device not in backend.devices():
        raise DeviceError(
            f"{backend.name} has no device {device!r} here",
            expected="one of " + ", ".join(backend.devices()),
            hint="choose one of the devices named above, or another backend",
        )
    return backend


def _first_here(bundle: Bundle, device: str, precision: str) -> Backend:
    """The first installed backend, in the order of the bundle's artifacts, that has the device."""
    formats = dict.fromkeys(a.format for a in bundle.manifest.artifacts if a.precision == precision)
    if not formats:
        raise _no_artifact(bundle, None, precision, "")
    here = [backend for name in formats for backend in available_backends(name)]
    if not here:
        raise BackendError(
            f"no backend is installed for {', '.join(formats)}",
            where=str(bundle.path),
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
        )
    return next((backend for backend in here if device in backend.devices()), here[0])


def _artifact(bundle: Bundle, role: Role | None, backend: Backend, precision: str) -> Artifact:
    for artifact in bundle.manifest.artifacts:
        if artifact.format in backend.formats and artifact.precision == precision and role in (None, artifact.role):
            return artifact
    raise _no_artifact(bundle, role, precision, f" for {backend.name}")


def _no_artifact(bundle: Bundle, role: Role | None, precision: str, whom: str) -> UsageError:
    return UsageError(
        f"the bundle has no {precision} {role or 'artifact'}{whom}",
        where=str(bundle.path),
        expected="one of " + ", ".join(map(str, bundle.manifest.artifacts)),
        hint="choose another backend or precision, or export the model again",
    )
