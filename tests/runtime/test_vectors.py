"""The runtime and the language-neutral vectors: every verdict is ours, and the vectors stay as they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.tiny import samples
from tests.vectors.make import FOLDER, append, manifest_index, text_of
from tests.vectors.manifests import rows

from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.errors import DigestError, ManifestError, TruncatedError, UnsafeError, VersionError
from aetool_runtime.manifest import format_manifest
from aetool_runtime.manifest_reader import parse_manifest

REFUSALS = {
    "manifest": ManifestError,
    "version": VersionError,
    "digest": DigestError,
    "truncated": TruncatedError,
    "unsafe": UnsafeError,
}
MANIFESTS: list[dict[str, str]] = json.loads((FOLDER / "manifests.json").read_text("utf-8"))
BUNDLES: list[dict[str, Any]] = json.loads((FOLDER / "bundles.json").read_text("utf-8"))


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


@pytest.mark.parametrize("vector", MANIFESTS, ids=names(MANIFESTS))
def test_manifest(vector: dict[str, str]) -> None:
    text = text_of(vector)
    if vector["verdict"] == "ok":
        manifest = parse_manifest(text)
        assert parse_manifest(format_manifest(manifest)) == manifest
        return
    with pytest.raises(REFUSALS[vector["verdict"]]) as refusal:
        parse_manifest(text, "here/manifest.json")
    assert type(refusal.value) is REFUSALS[vector["verdict"]]
    assert refusal.value.where == "here/manifest.json"
    assert refusal.value.hint
    str(refusal.value).encode()
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("vector", BUNDLES, ids=names(BUNDLES))
def test_bundle(vector: dict[str, Any]) -> None:
    path = FOLDER / "bundles" / f"{vector['name']}.aepkg"
    if vector["verdict"] == "ok":
        bundle = open_bundle(path)
        assert bundle.digest == vector["digest"]
        checks = self_test(bundle)
        assert checks
        assert all(check.passed for check in checks)
        return
    if vector["at"] == "load":
        with pytest.raises(REFUSALS[vector["verdict"]]):
            Autoencoder.open(path).encode(samples(1))
        return
    with pytest.raises(REFUSALS[vector["verdict"]]) as refusal:
        open_bundle(path)
    assert type(refusal.value) is REFUSALS[vector["verdict"]]
    assert str(path) in refusal.value.where


# --- the vectors themselves ---


def test_they_came_here_whole() -> None:
    files = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (FOLDER / "bundles").iterdir()}
    assert files == {vector["name"]: vector["sha256"] for vector in BUNDLES}


def test_they_stay_small() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "bundles").iterdir()) < 100_000


def test_every_refusal_is_among_them() -> None:
    assert {vector["verdict"] for vector in MANIFESTS} == {"ok", "manifest", "version", "unsafe"}
    assert {vector["verdict"] for vector in BUNDLES} == {"ok", *REFUSALS}


@pytest.mark.parametrize("vectors", [MANIFESTS, BUNDLES], ids=["manifests", "bundles"])
def test_names_are_unique(vectors: list[dict[str, Any]]) -> None:
    assert len(set(names(vectors))) == len(vectors)


def test_a_row_is_changed_by_no_other_way_than_a_new_name() -> None:
    """An edited row would silently differ from the published vector of its name."""
    published = {vector["name"]: vector for vector in MANIFESTS}
    assert [entry["name"] for entry in manifest_index() if published.get(entry["name"]) != entry] == []
    assert len(list(rows())) <= len(MANIFESTS)


def test_the_generator_appends_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    assert append(path, [{"name": "a", "verdict": "ok"}]) == 1
    before = path.read_bytes()
    assert append(path, [{"name": "a", "verdict": "manifest"}]) == 0
    assert path.read_bytes() == before
    assert append(path, [{"name": "a", "verdict": "manifest"}, {"name": "b", "verdict": "unsafe"}]) == 1
    assert json.loads(path.read_text()) == [{"name": "a", "verdict": "ok"}, {"name": "b", "verdict": "unsafe"}]
