"""The runtime's front door: a bundle's encoder and decoder as functions on NumPy arrays."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from aetool_runtime.backends import Backend, Graph, load_backend, load_graph
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.choosing.named import artifact_for, default_precision, named_backend
from aetool_runtime.device_tensors import OnDevice, place_of
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.runner import Runner, as_real, make_runner
from aetool_runtime.specs import Array, Role, TensorSpec

if TYPE_CHECKING:
    from aetool_runtime.choosing.choice import Choice

__all__ = ["Autoencoder"]

_MAX_THREADS = 256  # an engine starts as many as it is told, until the machine stands still


class Autoencoder:
    """A bundle, opened for use. Raw values in, raw values out; made with ``Autoencoder.open``.

    Every method may be called from several threads at once. Graphs are loaded on first use, so a device that only
    encodes never loads the decoder.

    Example:
        >>> with Autoencoder.open("model.aepkg") as model:
        ...     latent = model.encode(windows)
        ...     restored = model.decode(latent)

    Attributes:
        bundle: what was opened.
        backend, device, threads, precision: what its graphs run on, and which they are.
        chosen: with ``backend="auto"`` what was chosen, and from which measurements; else ``None``.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        device: str,
        threads: int,
        precision: str,
        chosen: Choice | None = None,
        cuda_graph: int = 0,
    ) -> None:
        self.bundle = bundle
        self.backend = backend.name
        self.device = device
        self.threads = threads
        self.precision = precision
        self.chosen = chosen
        self._engine = backend
        self._cuda_graph = cuda_graph
        self._format = chosen.candidate.format if chosen else None
        self._lock = threading.Lock()
        self._loaded: dict[Role, Runner] = {}
        self._graphs: list[Graph] = []
        self._executor: ThreadPoolExecutor | None = None
        self._executor_lock = threading.Lock()  # of its own: an event loop must not wait while a graph is loaded
        self._closed = False

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle,
        *,
        backend: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        min_snr: float | None = None,
        batch_size: int = 1,
        budget: float = 2.0,
        cuda_graph: bool = False,
    ) -> Autoencoder:
        """Open a bundle and check every byte of it.

        With ``backend="auto"`` the candidates are measured on this machine, the fastest is taken, and the answer is
        kept in the user's cache folder for the next time; see ``aetool_runtime.choosing``. Only what computes the same
        is compared, ``float32``, unless ``precision`` or ``min_snr`` says that other numbers will do.

        Args:
            bundle: a bundle's folder or zip, or one that is open already.
            backend: ``onnxruntime``, ``litert``, …; ``None`` for the first that is installed and has an artifact here;
                ``auto`` for the fastest one.
            device: ``cpu``, ``cuda``, ``tensorrt``, with several GPUs ``cuda:1``; the graphs run there and never
                anywhere else. ``None`` for ``cpu``, or with ``auto`` for any that is here.
            threads: for one call; 0 for as many as there are cores. ``None`` for 1, with which small models are
                fastest, or with ``auto`` for what is.
            precision: which of the bundle's artifacts to run; ``None`` for ``float32``, or where there is none, for the
                bundle's first. With ``auto`` also ``any``.
            min_snr: with ``auto``: take any precision whose signal-to-noise ratio against the model, as the bundle
                tells it, is at least this, dB.
            batch_size: with ``auto`` the samples of the calls that are to be fast; with ``cuda_graph`` of all calls.
            budget: with ``auto``: about how many seconds may be spent on measuring, where no answer is kept.
            cuda_graph: on a GPU: capture what a call of ``batch_size`` samples does on the device, when a graph is
                first used, and replay it as a whole. Other batches are refused; calls of several threads take turns.

        Raises:
            InputError, IntegrityError: see ``aetool_runtime.bundle.open_bundle``.
            BackendError, DependencyError: an unknown backend, or one whose engine is missing.
            DeviceError: the device is not here; says why: driver, version, library, package.
            UsageError: the bundle has no artifact of that precision for that backend; ``threads`` out of range.
        """
        opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        if threads is not None and (type(threads) is not int or not 0 <= threads <= _MAX_THREADS):
            raise UsageError(f"threads is {threads!r}", expected=f"0 (all cores) to {_MAX_THREADS}")
        if cuda_graph and (backend == "auto" or type(batch_size) is not int or batch_size < 1):
            raise UsageError("cuda_graph is given", expected="a device, and a batch_size of at least 1; not auto")
        if backend == "auto":
            from aetool_runtime.choosing.choice import Wish, choose

            chosen = choose(opened, Wish(device, threads, precision, min_snr, batch_size), budget=budget)
            best = chosen.candidate
            return cls(opened, load_backend(best.backend), best.device, best.threads, best.precision, chosen)
        if min_snr is not None:
            raise UsageError("min_snr is given", expected='backend="auto", which it is for')
        device, threads, precision = (
            device or "cpu",
            1 if threads is None else threads,
            precision or default_precision(opened),
        )
        engine = named_backend(opened, backend, device, precision)
        return cls(opened, engine, device, threads, precision, cuda_graph=batch_size if cuda_graph else 0)

    @overload
    def encode(self, samples: Array, *, out: Array | None = None) -> Array: ...

    @overload
    def encode(self, samples: OnDevice, *, out: OnDevice | None = None) -> OnDevice: ...

    def encode(self, samples: Any, *, out: Any = None) -> Any:
        """Samples to latents. Real values in and out, also where the graph itself takes integers that stand for them.

        Contiguous samples of the input's dtype are handed to the engine as they are, not copied. A tensor in the memory
        of the GPU that the model runs on (PyTorch's, CuPy's, any with ``__dlpack__``) is read where it lies, after what
        its library has queued on the calling thread's current stream, and the result stays there: see ``DeviceTensor``.

        Args:
            samples: [batch, …] of the bundle's input shape, raw units; any batch size. Other number types are
                converted to the input's dtype.
            out: where to write the latents: contiguous, of the latent's dtype and shape, [batch, …], sharing no memory
                with ``samples``. An engine that can writes there directly. It stays the caller's; use it again for the
                next call of the same thread, and it need not be looked at anew. The model may keep it alive until
                another takes its place, or the model is closed.

        Returns:
            [batch, …] of the latent's shape and dtype: ``out``, or a new array that the caller owns. For a tensor of a
            GPU a ``DeviceTensor``, or ``out``, which is then a tensor there; it is complete when this returns.

        Raises:
            InputError: the shape or type does not fit, or the samples lie on another device.
            BackendError: the engine failed.
        """
        runner = self._loaded.get("encoder") or self._load("encoder")
        if out is None:
            return runner.run(samples)[0]
        runner.run_into(samples, out)
        return out

    def encode_all(self, samples: Array) -> dict[str, Array]:
        """Samples to all that the encoder returns, by name.

        ``latent`` alone for most bundles; a variational one adds ``latent_mean`` (which is its ``latent``) and
        ``latent_logvar``, both [batch, …] like the latent. See ``encode``.
        """
        outputs = (self._loaded.get("encoder") or self._load("encoder")).run(samples)
        artifact = artifact_for(self.bundle, "encoder", self._engine, self.precision, self._format)
        return dict(zip([output.name for output in artifact.outputs], outputs, strict=True))

    @overload
    def decode(self, latents: Array, *, out: Array | None = None) -> Array: ...

    @overload
    def decode(self, latents: OnDevice, *, out: OnDevice | None = None) -> OnDevice: ...

    def decode(self, latents: Any, *, out: Any = None) -> Any:
        """Latents to reconstructions: [batch, …] each; see ``encode``."""
        runner = self._loaded.get("decoder") or self._load("decoder")
        if out is None:
            return runner.run(latents)[0]
        runner.run_into(latents, out)
        return out

    @overload
    def reconstruct(self, samples: Array, *, out: Array | None = None) -> Array: ...

    @overload
    def reconstruct(self, samples: OnDevice, *, out: OnDevice | None = None) -> OnDevice: ...

    def reconstruct(self, samples: Any, *, out: Any = None) -> Any:
        """Samples to reconstructions, through the graph that holds encoder and decoder; see ``encode``."""
        runner = self._loaded.get("autoencoder") or self._load("autoencoder")
        if out is None:
            return runner.run(samples)[0]
        runner.run_into(samples, out)
        return out

    async def encode_async(self, samples: Array, *, out: Array | None = None) -> Array:
        """``encode`` for asyncio: the event loop goes on while a thread of the model's own runs the engine.

        As many calls run at once as there are cores; others wait for their turn. A call that is cancelled while it
        waits never runs; one that is running cannot be stopped: it ends, and its result is dropped, so leave
        ``samples`` and ``out`` alone until then. When the model is closed meanwhile, running calls end as usual, or
        raise ``BackendError``, and waiting ones raise ``UsageError``. Tensors of a GPU are refused: another thread
        would not wait for the stream that they are made on.
        """
        return await self._in_thread(self.encode, samples, out)

    async def decode_async(self, latents: Array, *, out: Array | None = None) -> Array:
        """``decode`` for asyncio; see ``encode_async``."""
        return await self._in_thread(self.decode, latents, out)

    def tensor(self, name: str) -> TensorSpec:
        """The spec of ``input``, ``latent`` or ``reconstruction`` as the methods take and return it, free batch.

        Raises:
            UsageError: the bundle has no such tensor.
        """
        spec = self.bundle.manifest.tensor(name)
        if spec is None:
            raise UsageError(f"the bundle has no tensor {name!r}", where=str(self.bundle.path))
        return as_real(spec)

    def close(self) -> None:
        """Give the engines' memory back. Closing twice is fine; using it afterwards raises ``UsageError``.

        Calls that run in other threads end as usual, or raise ``BackendError``.
        """
        with self._lock:
            self._closed = True
            self._loaded.clear()
            while self._graphs:
                self._graphs.pop().close()
        with self._executor_lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)  # those that wait find the model closed and say so

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
            self._refuse_closed()
            if role not in self._loaded:
                artifact = artifact_for(self.bundle, role, self._engine, self.precision, self._format)
                graph = load_graph(
                    self._engine,
                    artifact,
                    self.bundle.read,
                    device=self.device,
                    threads=self.threads,
                    cuda_graph=self._cuda_graph,
                )
                self._graphs.append(graph)
                self._loaded[role] = make_runner(graph, artifact, f"{self.backend}/{self.device}")
            return self._loaded[role]

    async def _in_thread(self, method: Callable[..., Array], array: Array, out: Array | None) -> Array:
        if place_of(array) is not None or place_of(out) is not None:
            raise InputError("a tensor of a GPU is given", expected="an array in host memory", hint="call encode")
        with self._executor_lock:
            self._refuse_closed()
            if self._executor is None:
                # Not asyncio's own: that serves name look-ups and files too, and has more threads than cores, of which
                # each would hold an interpreter or buffers.
                self._executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="aetool")
            future = self._executor.submit(method, array, out=out)
        return await asyncio.wrap_future(future)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise UsageError("the autoencoder is closed", where=str(self.bundle.path), hint="open it again")
