"""The FastAPI example, as a client sees it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool_runtime import Autoencoder

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "tests" / "vectors" / "bundles" / "encoder-decoder-in-both-formats.aepkg"
SAMPLES = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("AETOOL_BUNDLE", str(BUNDLE))
    spec = importlib.util.spec_from_file_location("serving_app", ROOT / "examples" / "serving" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return TestClient(module.app)


def test_there_and_back(client: Any) -> None:
    latent = client.post("/encode", json=SAMPLES.tolist())
    assert latent.status_code == 200
    restored = client.post("/decode", json=latent.json())
    with Autoencoder.open(BUNDLE) as model:
        np.testing.assert_allclose(latent.json(), model.encode(SAMPLES), rtol=1e-6)
        np.testing.assert_allclose(restored.json(), model.decode(model.encode(SAMPLES)), rtol=1e-5)


@pytest.mark.parametrize("samples", [[[1.0, 2.0]], [[1.0] * 6, [1.0]], [["x"] * 6], [1.0]])
def test_what_does_not_fit_is_the_clients_mistake(client: Any, samples: Any) -> None:
    answer = client.post("/encode", json=samples)
    assert answer.status_code == 422
    assert answer.json()["detail"]
