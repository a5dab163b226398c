"""The fastest that computes the same is taken: engines of scripted speed, and a clock that only they move."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.scripted import Clock, Script, use_engines
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import Affine, bundle_of, onnx_files, samples, write_bundle

from aetool_runtime import Autoencoder, open_bundle
from aetool_runtime.bundle import Bundle
from aetool_runtime.choosing import cache, candidates, measuring
from aetool_runtime.choosing.candidates import Candidate, Wish, find_candidates
from aetool_runtime.choosing.choice import choose, pick, slower_reductions
from aetool_runtime.choosing.measuring import Measurement, measure
from aetool_runtime.choosing.memory import peak_memory
from aetool_runtime.errors import AetoolError, BackendError, DeviceError, DigestError, UsageError

pytestmark = pytest.mark.usefixtures("forget_plugins")
Paths = Callable[[str], Path]
Engines = Callable[..., list[str]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Engines:
    return lambda **scripts: use_engines(monkeypatch, clock, **scripts)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and two cores."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(candidates, "cores", lambda: 2)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "cache"


@pytest.fixture
def mixed(tmp_path: Path) -> Bundle:
    """ONNX float32 and, 30 dB from the model, int8."""
    return open_bundle(write_bundle(tmp_path / "mixed.aepkg", integer_bundle(beside_float=True)))


@pytest.fixture
def plain(bundle_path: Paths) -> Bundle:
    return open_bundle(bundle_path("both"))


def speeds(**by_threads: float) -> dict[tuple[str, int, str], float]:
    """``one=…, two=…``: seconds a call of float32 on the CPU."""
    return {("cpu", {"one": 1, "two": 2}[name], "float32"): seconds for name, seconds in by_threads.items()}


# --- who wins ---

BOTH = ("onnx", "tflite")
WINNERS: dict[str, tuple[dict[str, Script], str]] = {
    "the faster engine": (
        {"a": Script(call=speeds(one=3e-3, two=4e-3)), "b": Script(call=speeds(one=2e-3, two=4e-3))},
        "onnx float32 on b/cpu, 1 thread",
    ),
    "the other format": (
        {"a": Script(call=speeds(one=3e-3, two=4e-3)), "b": Script(("tflite",), call=speeds(one=1e-3, two=4e-3))},
        "tflite float32 on b/cpu, 1 thread",
    ),
    "more threads": ({"a": Script(call=speeds(one=3e-3, two=2e-3))}, "onnx float32 on a/cpu, 2 threads"),
    "fewer threads when that is as fast": (
        {"a": Script(call=speeds(one=3.02e-3, two=3e-3))},
        "onnx float32 on a/cpu, 1 thread",
    ),
    "another device": (
        {"a": Script(devices=("cuda", "cpu"), call={("cuda", 1, "float32"): 1e-3, **speeds(one=2e-3, two=3e-3)})},
        "onnx float32 on a/cuda, 1 thread",
    ),
    "the median, not the best single call": (
        {
            "a": Script(
                call={("cpu", 1, "float32"): [3e-3, 3e-3, 1e-6, 1e-6, *[3e-3] * 50], ("cpu", 2, "float32"): 9e-3}
            ),
            "b": Script(call=speeds(one=2e-3, two=9e-3)),
        },
        "onnx float32 on b/cpu, 1 thread",
    ),
    "not the one that computes something else": (
        {"a": Script(call=speeds(one=1e-3, two=1e-3), off=0.01), "b": Script(call=speeds(one=2e-3, two=3e-3))},
        "onnx float32 on b/cpu, 1 thread",
    ),
    "not the one that cannot load": (
        {"a": Script(call=speeds(one=1e-3, two=1e-3), broken="on fire"), "b": Script(call=speeds(one=2e-3, two=3e-3))},
        "onnx float32 on b/cpu, 1 thread",
    ),
}


@pytest.mark.parametrize(("scripts", "winner"), WINNERS.values(), ids=WINNERS)
def test_who_wins(engines: Engines, clock: Clock, plain: Bundle, scripts: dict[str, Script], winner: str) -> None:
    engines(**scripts)
    choice = choose(plain, Wish(), budget=2.0, clock=clock)
    assert str(choice.candidate) == winner
    assert not choice.kept
    assert f"auto: {winner}: " in str(choice)


@pytest.mark.parametrize("first", ["slow", "fast"])
def test_the_order_of_registration_does_not_matter(engines: Engines, clock: Clock, plain: Bundle, first: str) -> None:
    scripts = {"slow": Script(call=speeds(one=5e-3, two=6e-3)), "fast": Script(call=speeds(one=1e-3, two=6e-3))}
    engines(**{first: scripts.pop(first)}, **scripts)
    assert choose(plain, Wish(), budget=2.0, clock=clock).candidate.backend == "fast"


def test_a_machine_that_slows_down_slows_all_candidates_alike(engines: Engines, clock: Clock, plain: Bundle) -> None:
    """They take turns: measured one after the other, `a`, whose turn came while the machine was fresh, would win."""

    def tired(now: float) -> float:
        return 2e-3 if now < 1.0 else 20e-3

    engines(
        a=Script(call={("cpu", 1, "float32"): tired}),
        b=Script(call={("cpu", 1, "float32"): lambda now: tired(now) * 0.8}),
    )
    assert choose(plain, Wish(threads=1), budget=3.0, clock=clock).candidate.backend == "b"


# --- quality ---

INT8_FASTER = Script(call={("cpu", t, p): s for t in (1, 2) for p, s in (("float32", 4e-3), ("int8", 1e-3))})
QUALITY = {
    "never traded by itself": (Wish(), "float32"),
    "any": (Wish(precision="any"), "int8"),
    "by name": (Wish(precision="int8"), "int8"),
    "float32 by name": (Wish(precision="float32"), "float32"),
    "near enough": (Wish(min_snr=30.0), "int8"),
    "not near enough": (Wish(min_snr=30.5), "float32"),
    "not near enough, by any name": (Wish(precision="any", min_snr=31.0), "float32"),
}


@pytest.mark.parametrize(("wish", "precision"), QUALITY.values(), ids=QUALITY)
def test_what_may_win(engines: Engines, clock: Clock, mixed: Bundle, wish: Wish, precision: str) -> None:
    engines(a=INT8_FASTER)
    assert choose(mixed, wish, budget=2.0, clock=clock).candidate.precision == precision


def test_an_artifact_that_does_not_tell_its_ratio_is_not_near_enough(mixed: Bundle) -> None:
    manifest = replace(mixed.manifest, artifacts=tuple(replace(a, snr={}) for a in mixed.manifest.artifacts))
    found = find_candidates(replace(mixed, manifest=manifest), Wish(min_snr=-100.0))
    assert {candidate.precision for candidate in found} == {"float32"}


def test_a_precision_without_all_that_the_bundle_does_is_no_candidate(mixed: Bundle) -> None:
    artifacts = [a for a in mixed.manifest.artifacts if (a.precision, a.role) != ("int8", "decoder")]
    part = replace(mixed, manifest=replace(mixed.manifest, artifacts=tuple(artifacts)))
    assert {candidate.precision for candidate in find_candidates(part, Wish(precision="any"))} == {"float32"}
    with pytest.raises(UsageError, match="no complete set of int8"):
        find_candidates(part, Wish(precision="int8"))


def test_where_int8_is_slower_is_told_by_engine(engines: Engines, clock: Clock, mixed: Bundle) -> None:
    def call(float32: float, int8: float) -> dict[tuple[str, int, str], float]:
        return {
            ("cpu", 1, "float32"): float32,
            ("cpu", 2, "float32"): 9e-3,
            ("cpu", 1, "int8"): 9e-3,
            ("cpu", 2, "int8"): int8,
        }

    engines(a=Script(call=call(2e-3, 3e-3)), b=Script(call=call(2e-3, 1e-3)))
    found = measure(
        mixed, find_candidates(mixed, Wish(precision="any")), batch_size=1, budget=4, clock=clock, every=True
    )
    [(reduced, full)] = slower_reductions(found)
    assert (reduced.candidate.backend, reduced.candidate.precision, reduced.candidate.threads) == ("a", "int8", 2)
    assert (full.candidate.backend, full.candidate.precision, full.candidate.threads) == ("a", "float32", 1)


# --- what is refused ---

REFUSED: dict[str, tuple[dict[str, Any], type[AetoolError], str]] = {
    "a device that is not there": (
        {"device": "cuda"},
        DeviceError,
        "no backend has a device 'cuda' here",
    ),
    "a precision that is not in it": ({"precision": "int8"}, UsageError, "no complete set of int8"),
    "no batch": ({"batch_size": 0}, UsageError, "batch_size is 0"),
    "half a batch": ({"batch_size": 1.5}, UsageError, "batch_size is 1.5"),
    "an endless ratio": ({"min_snr": float("nan")}, UsageError, "min_snr is nan"),
    "threads below none": ({"threads": -1}, UsageError, "threads is -1"),
}


@pytest.mark.parametrize(("options", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(
    engines: Engines, bundle_path: Paths, options: dict[str, Any], error: type[AetoolError], text: str
) -> None:
    loaded = engines(a=Script(call=speeds(one=1e-3, two=1e-3)))
    with pytest.raises(error) as refusal:
        Autoencoder.open(bundle_path("onnx"), backend="auto", **options)
    assert text in str(refusal.value)
    assert loaded == [], "nothing else was tried"


def test_a_device_that_is_there_but_does_not_work_is_no_reason_to_take_another(engines: Engines, plain: Bundle) -> None:
    loaded = engines(a=Script(devices=("cuda", "cpu"), broken="libcudnn.so.9 is missing"))
    with pytest.raises(BackendError, match=r"a/cuda.*libcudnn.so.9 is missing"):
        Autoencoder.open(plain, backend="auto", device="cuda")
    assert {line.split()[2] for line in loaded} == {"cuda"}


def test_without_any_engine_it_says_what_to_install(engines: Engines, plain: Bundle) -> None:
    engines()
    with pytest.raises(BackendError, match=r"aetool\[cpu\]"):
        Autoencoder.open(plain, backend="auto")


def test_a_ratio_without_auto_is_refused(bundle_path: Paths) -> None:
    with pytest.raises(UsageError, match="min_snr is given"):
        Autoencoder.open(bundle_path("onnx"), min_snr=30.0)


def test_when_none_passes_its_self_test_all_are_named(engines: Engines, clock: Clock, plain: Bundle) -> None:
    engines(a=Script(off=1.0), b=Script(broken="on fire"))
    with pytest.raises(BackendError, match=r"a/cpu, 1 thread: fails its self-test.*b/cpu, 1 thread: on fire"):
        choose(plain, Wish(), budget=1.0, clock=clock)


def test_a_damaged_bundle_is_nothing_to_choose_around(engines: Engines, tiny: Path) -> None:
    bundle = open_bundle(tiny)
    engines(a=Script(call=speeds(one=1e-3)), b=Script(("tflite",), call=speeds(one=1e-3)))
    damaged = tiny / "encoder.onnx"
    damaged.write_bytes(damaged.read_bytes().replace(b"latent", b"lateNt"))
    with pytest.raises(DigestError):
        Autoencoder.open(bundle, backend="auto")


# --- the budget ---


@pytest.mark.parametrize("budget", [0.6, 2.0])
@pytest.mark.parametrize("call", [1e-3, 0.01])
def test_the_budget_is_kept_but_for_the_last_call(
    engines: Engines, clock: Clock, plain: Bundle, budget: float, call: float
) -> None:
    engines(a=Script(call=speeds(one=call, two=call)), b=Script(("tflite",), call=speeds(one=call, two=call)))
    found = measure(plain, find_candidates(plain, Wish()), batch_size=1, budget=budget, clock=clock, every=True)
    assert all(met.calls for met in found)
    slack = 12 * call  # a warm-up and a call for each, beyond the last look at the clock
    assert clock.now <= budget + slack


def test_what_there_is_no_time_for_is_left_out_but_the_first_is_run(
    engines: Engines, clock: Clock, plain: Bundle
) -> None:
    engines(a=Script(load=3.0, call=speeds(one=1.0, two=1.0)))
    found = measure(plain, find_candidates(plain, Wish()), batch_size=1, budget=2.0, clock=clock)
    assert [met.calls > 0 for met in found] == [True, False]
    assert found[1].problem == "no time was left to load it"
    assert pick(found) == found[0]


def test_the_hopeless_are_left_early_and_a_table_keeps_them(engines: Engines, clock: Clock, plain: Bundle) -> None:
    scripts = {"a": Script(call=speeds(one=1e-3, two=1e-3)), "b": Script(("tflite",), call=speeds(one=5e-3, two=5e-3))}
    engines(**scripts)
    wanted = find_candidates(plain, Wish())
    for every in (False, True):
        begun = clock.now
        found = measure(plain, wanted, batch_size=1, budget=2.0, clock=clock, every=every)
        spent = {m.candidate.backend: m.calls * (m.p50 or 0) for m in found}
        assert (spent["b"] < spent["a"] / 2) is not every
        assert clock.now - begun <= 2.1


def test_most_of_the_time_goes_to_those_that_are_hard_to_tell_apart(
    engines: Engines, clock: Clock, plain: Bundle
) -> None:
    engines(a=Script(call=speeds(one=1.02e-3)), b=Script(call=speeds(one=1e-3)), behind=Script(call=speeds(one=1.3e-3)))
    found = measure(plain, find_candidates(plain, Wish(threads=1)), batch_size=1, budget=2.0, clock=clock)
    spent = {m.candidate.backend: m.calls * (m.p50 or 0) for m in found}
    assert spent["behind"] < spent["a"] / 2
    assert spent["a"] == pytest.approx(spent["b"], rel=0.1)


@pytest.mark.parametrize(("threads", "waits"), [(1, False), (2, True)])
def test_who_comes_after_several_threads_waits_until_they_sleep(
    engines: Engines, clock: Clock, plain: Bundle, monkeypatch: pytest.MonkeyPatch, threads: int, waits: bool
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(measuring, "let_threads_sleep", lambda: waited.append(clock.now))
    engines(a=Script(call=speeds(one=1e-3, two=1e-3)), b=Script(call=speeds(one=1e-3, two=1e-3)))
    measure(plain, find_candidates(plain, Wish(threads=threads)), batch_size=1, budget=1.0, clock=clock)
    assert (len(set(waited)) == 24) is waits, "twelve turns of each, and time goes on between them"


def test_a_process_whose_threads_sleep_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    used = iter([0.0, 0.002, 0.002, 0.004, 0.004, 0.004, 0.004, 0.006])
    fake = types.SimpleNamespace(process_time=lambda: next(used), sleep=slept.append)
    monkeypatch.setattr(measuring, "time", fake)
    measuring.let_threads_sleep()
    assert len(slept) == 3
    busy = iter(range(1000))
    monkeypatch.setattr(measuring, "time", types.SimpleNamespace(process_time=lambda: next(busy), sleep=slept.append))
    measuring.let_threads_sleep()
    assert sum(slept[3:]) == pytest.approx(0.05), "a program's own threads may never sleep"


def test_percentiles_are_over_all_calls(engines: Engines, clock: Clock, plain: Bundle) -> None:
    engines(a=Script(call={("cpu", 1, "float32"): [1e-3, *[float(i) for i in range(1, 5000)]]}))
    [met] = measure(plain, find_candidates(plain, Wish(threads=1)), batch_size=4, budget=300.0, clock=clock)
    assert met.p50 is not None
    assert met.p95 is not None
    assert met.p99 is not None
    assert met.p50 < met.p95 < met.p99
    assert met.samples_per_second == pytest.approx(4 / met.p50)


def test_what_is_known_of_a_candidate(engines: Engines, clock: Clock, mixed: Bundle) -> None:
    engines(a=INT8_FASTER)
    found = measure(
        mixed, find_candidates(mixed, Wish(precision="any", threads=1)), batch_size=7, budget=1.0, clock=clock
    )
    full, reduced = found
    assert [m.candidate.precision for m in found] == ["float32", "int8"]
    assert full.load == reduced.load == pytest.approx(0.002)
    sizes = mixed.manifest.files
    assert full.bytes == sizes["encoder.onnx"].bytes + sizes["decoder.onnx"].bytes
    assert full.snr is not None
    assert reduced.snr is not None
    assert full.snr > 100 > reduced.snr > 20
    assert full.parity is not None
    assert full.parity <= 1


# --- the front door ---


def test_open_runs_on_what_was_chosen(
    engines: Engines, clock: Clock, mixed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(a=INT8_FASTER)
    monkeypatch.setattr("aetool_runtime.choosing.choice.time.perf_counter", clock)
    monkeypatch.setattr("aetool_runtime.choosing.choice.choose.__kwdefaults__", {"clock": clock})
    with Autoencoder.open(mixed, backend="auto", precision="any", batch_size=3) as model:
        assert model.chosen is not None
        assert (model.backend, model.device, model.precision) == ("a", "cpu", "int8")
        assert model.chosen.batch_size == 3
        latent = model.encode(samples(3))
    assert np.abs(latent - Affine().encode(samples(3))).max() < 0.2
    with Autoencoder.open(mixed, backend="a") as model:
        assert model.chosen is None


def test_real_engines_can_be_chosen_from(bundle_path: Paths) -> None:
    with Autoencoder.open(bundle_path("both"), backend="auto", budget=20.0) as model:
        assert model.chosen is not None
        assert model.chosen.measured >= 2
        assert [m.problem for m in model.chosen.measurements if m.problem] == []
        np.testing.assert_allclose(model.encode(samples(4)), Affine().encode(samples(4)), rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(model.decode(samples(4, 2)), Affine().decode(samples(4, 2)), rtol=1e-5, atol=2e-6)


def test_an_encoder_alone_can_be_chosen_for(tmp_path: Path) -> None:
    artifacts, files = onnx_files()
    alone = [a for a in artifacts if a.role == "encoder"]
    path = write_bundle(tmp_path / "b.aepkg", bundle_of(alone, {"encoder.onnx": files["encoder.onnx"]}))
    with Autoencoder.open(path, backend="auto", budget=0.2) as model:
        np.testing.assert_allclose(model.encode(samples(2)), Affine().encode(samples(2)), rtol=1e-5, atol=2e-6)


def test_peak_memory_is_that_of_a_process_that_runs_it(bundle_path: Paths) -> None:
    bundle = open_bundle(bundle_path("onnx"))
    small = peak_memory(bundle, Candidate("onnx", "float32", "onnxruntime", "cpu", 1), 1)
    large = peak_memory(bundle, Candidate("onnx", "float32", "onnxruntime", "cpu", 1), 2_000_000)
    assert small is not None
    assert large is not None
    assert 20 * 2**20 < small < 400 * 2**20
    assert large - small > 2_000_000 * (6 + 2) * 4
    assert peak_memory(bundle, Candidate("onnx", "float32", "no such engine", "cpu", 1), 1) is None


# --- the cache ---


@pytest.fixture
def ask(engines: Engines, clock: Clock, plain: Bundle) -> Callable[..., tuple[str, bool]]:
    """Choose; what was chosen, and whether engines were loaded for it."""
    loaded = engines(a=Script(call=speeds(one=2e-3, two=3e-3)), b=Script(call=speeds(one=1e-3, two=3e-3)))

    def call(wish: Wish | None = None, bundle: Bundle = plain) -> tuple[str, bool]:
        loaded.clear()
        return choose(bundle, wish or Wish(), budget=1.0, clock=clock).candidate.backend, bool(loaded)

    return call


Ask = Callable[..., tuple[str, bool]]


def entry(home: Path) -> Path:
    [path] = home.rglob("*.json")
    return path


def test_an_answer_is_kept(ask: Ask, home: Path) -> None:
    assert ask() == ("b", True)
    assert ask() == ("b", False)
    assert entry(home).parent == home / "aetool" / "choices"


def edited(**changes: Any) -> Callable[[str], str]:
    def edit(text: str) -> str:
        document = json.loads(text)
        for path, value in changes.items():
            *above, last = path.split("__")
            at = document
            for name in above:
                at = at[name]
            at[last] = value
        return json.dumps(document)

    return edit


SPOILT: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda _: "",
    "half": lambda text: text[: len(text) // 2],
    "no JSON": lambda _: "auto: b",
    "no text": lambda _: b"\xff\xfe\x00",
    "another document": lambda _: "[1, 2]",
    "nested to death": lambda _: "[" * 100_000,
    "too large": lambda text: text + " " * (1 << 20),
    "of another version": edited(format="aetool.choice.0"),
    "the answer to another question": edited(question__bundle="0" * 64),
    "of another machine": edited(question__machine__processor="a faster one"),
    "of other versions": edited(question__versions__numpy="1.0"),
    "a candidate that is none": edited(answer__candidate__backend="c"),
    "a candidate beyond reason": edited(answer__candidate__threads=10**9),
    "no candidate": edited(answer__candidate=None),
    "no answer": edited(answer=None),
    "a time that is none": edited(answer__p50="soon"),
    "no time at all": edited(answer__p50=0.0),
    "a time before it began": edited(answer__p50=-1.0),
    "measured by nobody": edited(answer__measured=0),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_entry_is_measured_again_and_replaced(
    ask: Ask, home: Path, spoil: Callable[[str], str | bytes]
) -> None:
    ask()
    good = entry(home).read_text()
    bad = spoil(good)
    entry(home).write_bytes(bad if isinstance(bad, bytes) else bad.encode())
    assert ask() == ("b", True)
    assert json.loads(entry(home).read_text())["answer"]["candidate"]["backend"] == "b"
    assert ask() == ("b", False)


OTHER: dict[str, Wish] = {
    "another batch": Wish(batch_size=2),
    "other threads": Wish(threads=1),
    "a device by name": Wish(device="cpu"),
    "another precision": Wish(precision="any"),
    "a ratio": Wish(min_snr=10.0),
}


@pytest.mark.parametrize("wish", OTHER.values(), ids=OTHER)
def test_another_question_has_another_answer(ask: Ask, home: Path, wish: Wish) -> None:
    ask()
    assert ask(wish) == ("b", True)
    assert len(list(home.rglob("*.json"))) == 2
    assert ask() == ("b", False)


def test_another_bundle_is_another_question(ask: Ask, mixed: Bundle) -> None:
    ask()
    assert ask(bundle=mixed) == ("b", True)


@pytest.mark.parametrize(("what", "value"), [("machine", {"cores": 64}), ("versions", {"numpy": "9"})])
def test_another_machine_or_version_is_another_question(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, what: str, value: dict[str, object]
) -> None:
    ask()
    monkeypatch.setattr(f"aetool_runtime.choosing.choice.{what}", lambda: value)
    assert ask() == ("b", True)


def test_an_engine_that_comes_or_goes_asks_anew(ask: Ask, engines: Engines, clock: Clock, plain: Bundle) -> None:
    ask()
    loaded = engines(a=Script(call=speeds(one=2e-3, two=3e-3)))
    assert choose(plain, Wish(), budget=1.0, clock=clock).candidate.backend == "a"
    assert loaded


def test_a_place_that_cannot_be_written_is_no_error(ask: Ask, home: Path) -> None:
    home.write_text("a file stands where the folder should be")
    assert ask() == ("b", True)
    assert ask() == ("b", True)


def test_a_folder_in_the_entrys_place_is_no_error(ask: Ask, home: Path) -> None:
    ask()
    path = entry(home)
    path.unlink()
    path.mkdir()
    assert ask() == ("b", True)


def test_a_write_that_fails_leaves_nothing_behind(ask: Ask, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert ask() == ("b", True)
    assert [path for path in home.rglob("*") if path.is_file()] == []


PLACES = {
    "XDG": ("linux", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/aetool"),
    "XDG, relative, is ignored": ("linux", {"XDG_CACHE_HOME": "cache"}, "/people/somebody/.cache/aetool"),
    "Linux": ("linux", {}, "/people/somebody/.cache/aetool"),
    "macOS": ("darwin", {}, "/people/somebody/Library/Caches/aetool"),
    "macOS with XDG": ("darwin", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/aetool"),
    "Windows": ("win32", {"LOCALAPPDATA": "/c/local", "XDG_CACHE_HOME": "/x"}, "/c/local/aetool"),
    "Windows without": ("win32", {"XDG_CACHE_HOME": "/x"}, "/people/somebody/AppData/Local/aetool"),
}


@pytest.mark.parametrize(("system", "variables", "place"), PLACES.values(), ids=PLACES)
def test_where_answers_are_kept(
    monkeypatch: pytest.MonkeyPatch, system: str, variables: dict[str, str], place: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/people/somebody", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder() == Path(place)


def test_without_a_home_nothing_is_kept(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert cache.cache_folder() is None
    assert ask() == ("b", True)
    assert ask() == ("b", True)


def test_the_machine_and_versions_are_told() -> None:
    assert set(cache.machine()) == {"system", "machine", "processor", "cores"}
    assert {"python", "numpy", "aetool", "onnxruntime"} <= set(cache.versions())


def test_a_measurement_that_was_not_made_is_not_picked() -> None:
    a = Candidate("onnx", "float32", "a", "cpu", 1)
    assert pick([]) is None
    assert pick([Measurement(a, 1), Measurement(a, 1, p50=1.0, problem="fails")]) is None
