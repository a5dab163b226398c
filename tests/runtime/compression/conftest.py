"""Bundles that compress, made once."""

from __future__ import annotations

import pytest
from tests.runtime.compression.made import bare, fixed, free
from tests.runtime.compression.streams import bundle_with, linear_only

from aetool_runtime.bundle import Bundle


@pytest.fixture(scope="session")
def fixed_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Samples [8, 2]: a linear codec, and a network with an encoder."""
    return bundle_with(tmp_path_factory.mktemp("fixed") / "b.aepkg", fixed())


@pytest.fixture(scope="session")
def free_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Pictures [?, ?, 1]: a linear codec."""
    return bundle_with(tmp_path_factory.mktemp("free") / "b.aepkg", linear_only(free()))


@pytest.fixture(scope="session")
def bare_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Samples [8, 2], no codec."""
    return bundle_with(tmp_path_factory.mktemp("bare") / "b.aepkg", bare())
