"""One contract, held to every backend: what `Autoencoder` promises does not depend on the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.tiny import OPENVINO, Affine, bundle_of, onnx_files, samples, tiny_files, write_bundle

from aetool_runtime import Autoencoder, open_bundle
from aetool_runtime.errors import AetoolError, BackendError, DeviceError, InputError, UsageError
from aetool_runtime.pack import pack

Paths = Callable[[str], Path]

ENGINES = {
    "onnxruntime": ("onnx", "onnxruntime"),
    "litert, batch 1": ("tflite", "litert"),
    "litert, batch 3": ("tflite of batch 3", "litert"),
    **({"openvino": ("onnx", "openvino")} if OPENVINO else {}),
}


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def model(request: pytest.FixtureRequest, bundle_path: Paths) -> Iterator[Autoencoder]:
    kind, backend = request.param
    with Autoencoder.open(bundle_path(kind), backend=backend) as opened:
        yield opened


def assert_close(met: np.ndarray, expected: np.ndarray) -> None:
    assert met.dtype == np.float32
    assert met.shape == expected.shape
    np.testing.assert_allclose(met, expected, rtol=1e-5, atol=2e-6)


# --- what goes in ---


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64])
def test_any_batch_size(model: Autoencoder, count: int) -> None:
    given, truth = samples(count), Affine()
    latent = model.encode(given)
    assert_close(latent, truth.encode(given))
    assert_close(model.decode(latent), truth.decode(latent))
    assert_close(model.reconstruct(given), truth.decode(truth.encode(given)))


CONVERTED = {
    "float64": samples(4).astype(np.float64),
    "float16": samples(4).astype(np.float16),
    "big-endian": samples(4).astype(">f4"),
    "int64": np.arange(24).reshape(4, 6),
    "uint8": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "bool": np.arange(24).reshape(4, 6) % 3 == 0,
    "nested lists": samples(4).tolist(),
    "transposed": np.asfortranarray(samples(4)),
    "every second": samples(8)[::2],
    "backwards": samples(4)[::-1],
    "columns of a wider array": samples(4, 12)[:, 3:9],
    "one row, repeated": np.broadcast_to(samples(1), (4, 6)),
    "read-only": np.frombuffer(samples(4).tobytes(), np.float32).reshape(4, 6),
}


@pytest.mark.parametrize("given", CONVERTED.values(), ids=CONVERTED)
def test_what_can_be_converted_is(model: Autoencoder, given: np.ndarray) -> None:
    before = np.array(given)
    assert_close(model.encode(given), Affine().encode(np.asarray(given)))
    assert np.array_equal(np.array(given), before), "the caller's array was changed"


REFUSED = {
    "one sample without a batch": (np.zeros(6, np.float32), "array[None]"),
    "too wide": (np.zeros((2, 7), np.float32), "[batch, 6]"),
    "too narrow": (np.zeros((2, 5), np.float32), "[batch, 6]"),
    "a dimension too many": (np.zeros((2, 6, 1), np.float32), "[batch, 6]"),
    "a scalar": (np.float32(1), "[batch, 6]"),
    "empty and wrong": (np.zeros((0, 5), np.float32), "[batch, 6]"),
    "complex": (np.zeros((2, 6), np.complex64), "float32"),
    "text": (np.full((2, 6), "x"), "float32"),
    "objects": (np.full((2, 6), None), "float32"),
    "dates": (np.zeros((2, 6), "M8[s]"), "float32"),
    "nothing": (None, "float32"),
    "ragged": ([[1.0, 2.0], [3.0]], "[batch, 6]"),
}


@pytest.mark.parametrize(("given", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_and_says_what_would(model: Autoencoder, given: object, expected: str) -> None:
    with pytest.raises(InputError) as refusal:
        model.encode(given)
    assert "input" in str(refusal.value)
    assert expected in str(refusal.value)


def test_non_finite_values_go_through(model: Autoencoder) -> None:
    given = samples(3)
    given[1, 2] = np.nan
    latent = model.encode(given)
    assert np.isnan(latent[1]).all()
    assert_close(latent[[0, 2]], Affine().encode(given[[0, 2]]))


# --- what comes out ---


def test_the_result_belongs_to_the_caller(model: Autoencoder) -> None:
    given = samples(3)
    first = model.encode(given)
    kept = first.copy()
    model.encode(given + 1)
    assert np.array_equal(first, kept)
    first[...] = 0
    assert np.array_equal(model.encode(given), kept)


def test_the_rows_do_not_depend_on_their_neighbours(model: Autoencoder) -> None:
    given = samples(7)
    together = model.reconstruct(given)
    alone = np.concatenate([model.reconstruct(row[None]) for row in given])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)


def test_many_threads_at_once_get_what_one_gets(model: Autoencoder) -> None:
    batches = [samples(1 + i % 9, seed=i) for i in range(200)]
    alone = [model.encode(batch) for batch in batches]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(model.encode, batches))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize(("kind", "backend"), ENGINES.values(), ids=ENGINES)
def test_the_number_of_threads_changes_nothing(bundle_path: Paths, kind: str, backend: str, threads: int) -> None:
    with Autoencoder.open(bundle_path(kind), backend=backend, threads=threads) as model:
        assert_close(model.encode(samples(5)), Affine().encode(samples(5)))


def test_says_what_it_is(model: Autoencoder) -> None:
    assert str(model.tensor("input")) == "input float32[batch, 6]"
    assert str(model.tensor("latent")) == "latent float32[batch, 2]"
    assert repr(model) == f"<Autoencoder tiny float32 on {model.backend}/cpu>"
    with pytest.raises(UsageError, match="no tensor 'logits'"):
        model.tensor("logits")


# --- its life ---


def test_closing_twice_is_fine_and_using_it_afterwards_is_not(model: Autoencoder) -> None:
    model.encode(samples(1))
    model.close()
    model.close()
    for method in (model.encode, model.decode, model.reconstruct):
        with pytest.raises(UsageError, match="closed"):
            method(samples(1))


def test_closing_while_others_run_ends_in_an_error_of_ours(bundle_path: Paths) -> None:
    for kind, backend in ENGINES.values():
        model = Autoencoder.open(bundle_path(kind), backend=backend)
        run = model._load("encoder").run
        model.close()
        with pytest.raises(BackendError, match="closed"):
            run(samples(3))


def test_the_context_closes(bundle_path: Paths) -> None:
    with Autoencoder.open(bundle_path("onnx")) as model:
        model.encode(samples(1))
    with pytest.raises(UsageError, match="closed"):
        model.encode(samples(1))


def test_a_role_is_loaded_when_it_is_first_used(model: Autoencoder) -> None:
    loaded = []
    load = model._engine.load
    model._engine.load = lambda *args, **kw: loaded.append(args[1].role) or load(*args, **kw)  # type: ignore[method-assign]
    assert loaded == []
    for _ in range(3):
        model.encode(samples(2))
    assert loaded == ["encoder"]
    model.decode(samples(2, 2))
    assert loaded == ["encoder", "decoder"]


def test_many_threads_load_a_role_once(bundle_path: Paths) -> None:
    with Autoencoder.open(bundle_path("onnx")) as model, ThreadPoolExecutor(16) as pool:
        list(pool.map(model.encode, [samples(2)] * 64))
        assert len(model._graphs) == 1


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_file_damaged_after_opening_is_found_when_it_is_used(tmp_path: Path, form: str) -> None:
    path = write_bundle(tmp_path / "b.aepkg", bundle_of(*onnx_files()))
    if form == "zip":
        pack(open_bundle(path), tmp_path / "z.aepkg")
        path = tmp_path / "z.aepkg"
    model = Autoencoder.open(path)
    at = path / "decoder.onnx" if form == "folder" else path
    at.write_bytes(at.read_bytes().replace(b"reconstruction", b"reconstructioN"))
    with pytest.raises(AetoolError) as refusal:
        model.decode(samples(1, 2))
    assert refusal.value.exit_code == 7


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_bundle_removed_after_opening_is_named(tmp_path: Path, form: str) -> None:
    path = write_bundle(tmp_path / "b.aepkg", bundle_of(*onnx_files()))
    if form == "zip":
        pack(open_bundle(path), tmp_path / "z.aepkg")
        path = tmp_path / "z.aepkg"
    model = Autoencoder.open(path)
    path.rename(tmp_path / "gone")
    with pytest.raises(InputError, match=rf"{path.name}: the bundle was replaced or removed"):
        model.encode(samples(1))


# --- what is chosen ---


def test_the_first_artifacts_format_chooses_the_backend(tmp_path: Path, bundle_path: Paths) -> None:
    assert Autoencoder.open(bundle_path("both")).backend == "onnxruntime"
    assert Autoencoder.open(bundle_path("tflite")).backend == "litert"
    assert Autoencoder.open(bundle_path("both"), backend="litert").backend == "litert"


def test_an_opened_bundle_or_its_zip_serves_as_well(tmp_path: Path, bundle_path: Paths) -> None:
    bundle = open_bundle(bundle_path("both"))
    pack(bundle, tmp_path / "tiny.aepkg")
    for source in (bundle, tmp_path / "tiny.aepkg", str(tmp_path / "tiny.aepkg")):
        with Autoencoder.open(source) as model:
            assert_close(model.encode(samples(2)), Affine().encode(samples(2)))


NOT_OPENED = {
    "a backend that was misspelt": ({"backend": "onnxruntim"}, BackendError, "did you mean 'onnxruntime'"),
    "a backend nobody knows": ({"backend": "zzz"}, BackendError, "one of litert, onnxruntime, openvino"),
    "a backend without an artifact here": ({"backend": "litert"}, UsageError, "no float32 artifact for litert"),
    "a device nobody has": ({"device": "tpu"}, DeviceError, "'tpu'"),
    "a device nobody has, by name": ({"device": "tpu", "backend": "onnxruntime"}, DeviceError, "one of "),
    "a precision that is not in it": ({"precision": "int8"}, UsageError, "no int8 artifact"),
    "a precision nobody knows": ({"precision": "float8"}, UsageError, "encoder onnx float32"),
    "fewer threads than none": ({"threads": -1}, UsageError, "threads is -1"),
}


@pytest.mark.parametrize(("options", "error", "text"), NOT_OPENED.values(), ids=NOT_OPENED)
def test_a_wish_that_cannot_be_met_is_refused(
    bundle_path: Paths, options: dict[str, object], error: type[AetoolError], text: str
) -> None:
    with pytest.raises(error) as refusal:
        Autoencoder.open(bundle_path("onnx"), **options)  # type: ignore[arg-type]
    assert text in str(refusal.value)
    assert refusal.value.hint or refusal.value.expected


def test_an_encoder_alone_does_not_decode(tmp_path: Path) -> None:
    artifacts, files = onnx_files()
    alone = [a for a in artifacts if a.role == "encoder"]
    path = write_bundle(tmp_path / "b.aepkg", bundle_of(alone, {"encoder.onnx": files["encoder.onnx"]}))
    with Autoencoder.open(path) as model:
        model.encode(samples(2))
        with pytest.raises(UsageError, match="no float32 decoder"):
            model.decode(samples(2, 2))


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such bundle"):
        Autoencoder.open(tmp_path / "missing.aepkg")


def test_the_same_files_make_the_same_bundle() -> None:
    assert tiny_files() == tiny_files()
