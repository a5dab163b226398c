"""`aetool inspect STREAM`: every byte of it is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.runtime.compression.made import fixed
from tests.runtime.compression.streams import bundle_with

from aetool_runtime import Bundle, Compressor

from .conftest import Aetool

TIME = np.arange(4000)
WAVES = np.rint(np.stack([60 * np.sin(TIME / 5), 40 * np.cos(TIME / 9)], axis=1)).astype(np.int16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_with(tmp_path_factory.mktemp("bundle") / "b.aepkg", fixed())


def write(path: Path, bundle: Bundle, **goal: float) -> Path:
    noise = np.random.default_rng(0).integers(-32768, 32768, (800, 2)).astype(np.int16)
    with Compressor(bundle, chunk_values=1600, **goal) as compressor:  # type: ignore[arg-type]
        path.write_bytes(compressor.compress(np.concatenate([WAVES, noise]), rows=True))
    return path


@pytest.mark.parametrize("goal", [{"lossless": True}, {"max_error": 9}, {"quality": 0}], ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_every_byte_is_accounted_for(
    aetool: Aetool, bundle: Bundle, tmp_path: Path, goal: dict[str, float], known: bool
) -> None:
    path = write(tmp_path / "s.bin", bundle, **goal)
    more = ("--bundle", bundle.path) if known else ()
    found = aetool("inspect", path, *more, "--json").document
    assert found["bytes"] == sum(found["sections"].values()) == path.stat().st_size
    assert found["values"] == 9600
    assert found["bits_per_value"] == 8 * found["bytes"] / 9600
    assert [chunk["count"] for chunk in found["chunks"]] == [800] * 6
    assert [chunk["start"] for chunk in found["chunks"]] == [800 * k for k in range(6)]
    assert sum(share["values"] for share in found["paths"].values()) == pytest.approx(1)
    names = {chunk["path"] for chunk in found["chunks"]}
    assert names <= (
        {"stored", "predictive", "linear", "network"} if known else {"stored", "predictive", "codec 0", "codec 1"}
    )
    assert found["chunks"][-1]["path"] == ("stored" if "lossless" in goal else found["chunks"][-1]["path"])


def test_what_a_person_reads(aetool: Aetool, bundle: Bundle, tmp_path: Path) -> None:
    path = write(tmp_path / "s.aes", bundle, max_error=9)
    outcome = aetool("inspect", path)
    assert outcome.code == 0, outcome.err
    for text in ("9,600 of int16", "windows [8, 2]", "at most 9 off", "bits a value", bundle.digest[:16], "frames"):
        assert text in outcome.out
    assert outcome.out.splitlines()[-1].startswith(f"next: aetool decompress {path}")


def test_damage_is_refused(aetool: Aetool, bundle: Bundle, tmp_path: Path) -> None:
    path = write(tmp_path / "s.aes", bundle, max_error=9)
    data = path.read_bytes()
    for broken in (data[:-4], data + b"\0", data[:50] + bytes([data[50] ^ 4]) + data[51:]):
        path.write_bytes(broken)
        assert aetool("inspect", path, "--json").code == 7


def test_options_of_other_files_are_refused(aetool: Aetool, bundle: Bundle, tmp_path: Path) -> None:
    path = write(tmp_path / "s.aes", bundle, max_error=9)
    assert aetool("inspect", path, "--latent", "x").code == 2
    assert aetool("inspect", bundle.path, "--bundle", bundle.path).code == 2
