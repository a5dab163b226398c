"""Several workers: the loss curve of one, and one that writes.

Measured: curves agree to 2e-7 (relative) after three epochs; the tolerance is 1e-5.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aetool.config import (
    AdversarialLatent,
    CompressionConfig,
    CorruptionConfig,
    PenaltyConfig,
    VariationalLatent,
    VectorQuantizedLatent,
    config_text,
)
from aetool.training import is_checkpoint, train
from aetool.training.workers import Workers, open_workers
from aetool_runtime.errors import UsageError

from .runs import CONV, DENSE, recording, vectors, with_training

WORKER = Path(__file__).parent / "worker.py"
TOLERANCE = 1e-5


def curve(checkpoint):
    return [(point["loss"], point["validation_loss"]) for point in checkpoint.metrics["epochs"]]


def start(config, data, output, *more, devices=1, environment=None):
    """A run in a process of its own."""
    folder = output.parent
    (folder / "run.toml").write_text(config_text(config))
    arguments = [str(devices), str(folder / "run.toml"), str(data), str(output), *map(str, more)]
    return subprocess.Popen(
        [sys.executable, str(WORKER), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def ended(child):
    """Exit code, and the document that the process printed."""
    out, _ = child.communicate(timeout=240)
    return child.returncode, json.loads(out.splitlines()[-1])


@pytest.mark.parametrize(
    ("config", "make"),
    [(DENSE, vectors), (replace(CONV, model=replace(CONV.model, batch_norm=False)), recording)],
    ids=["dense", "conv1d"],
)
def test_two_devices_have_the_loss_curve_of_one(config, make, tmp_path):
    """Also with a last batch that leaves one of them fewer samples: 219 in batches of 16."""
    data = make(tmp_path)
    code, found = ended(start(with_training(config, strategy="mirrored"), data, tmp_path / "two", devices=2))
    assert code == 0, found
    np.testing.assert_allclose(found["curve"], curve(train(config, data, tmp_path / "one")), rtol=TOLERANCE)
    assert is_checkpoint(tmp_path / "two")


def test_a_batch_of_one_sample_leaves_a_device_without_any(tmp_path):
    """13 samples in batches of 4, the last of 1; three devices."""
    config, data = with_training(DENSE, batch_size=4, epochs=2), vectors(tmp_path, rows=17)
    code, found = ended(start(with_training(config, strategy="mirrored"), data, tmp_path / "three", devices=3))
    assert code == 0, found
    np.testing.assert_allclose(found["curve"], curve(train(config, data, tmp_path / "one")), rtol=TOLERANCE)


def cluster(index, ports):
    workers = [f"127.0.0.1:{port}" for port in ports]
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})}


def free_ports(count):
    with socket.socket() as one, socket.socket() as other:
        for given in (one, other):
            given.bind(("127.0.0.1", 0))
        return [given.getsockname()[1] for given in (one, other)][:count]


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_stop_together_and_go_on(tmp_path):
    """Ctrl-C reaches the second only; both stop at the same batch, and the chief's state goes on."""
    data, output, config = vectors(tmp_path), tmp_path / "two", with_training(DENSE, strategy="multiworker")
    ports = free_ports(2)
    stop_at = {0: "", 1: "17"}
    children = [start(config, data, output, stop_at[i], environment=cluster(i, ports)) for i in (0, 1)]
    stopped = [ended(child) for child in children]
    assert [code for code, _ in stopped] == [130, 130], stopped
    assert stopped[0][1] == stopped[1][1], "at the same batch"
    assert not is_checkpoint(output)

    ports = free_ports(2)
    children = [start(config, data, output, "", "resume", environment=cluster(i, ports)) for i in (0, 1)]
    done = [ended(child) for child in children]
    assert [code for code, _ in done] == [0, 0], done
    assert done[0][1] == done[1][1], "the same weights on both"
    np.testing.assert_allclose(done[0][1]["curve"], curve(train(DENSE, data, tmp_path / "one")), rtol=TOLERANCE)
    assert is_checkpoint(output)


VARIATIONAL = replace(DENSE, latent=VariationalLatent())
CANNOT = {
    "[latent] variational": VARIATIONAL,
    "[latent] vector_quantized": replace(DENSE, latent=VectorQuantizedLatent(dimension=3)),
    "[latent] adversarial": replace(DENSE, latent=AdversarialLatent()),
    "[corruption] masking": replace(DENSE, corruption=CorruptionConfig("masking", 0.1)),
    "[compression] noise": replace(DENSE, compression=CompressionConfig(weight=0.1)),
    "[penalty] contractive": replace(DENSE, penalty=PenaltyConfig(contractive=0.1)),
    "[penalty] kl": replace(DENSE, penalty=PenaltyConfig(kl=0.1)),
    "[model] batch_norm": CONV,
}


@pytest.mark.parametrize(("name", "config"), CANNOT.items(), ids=CANNOT)
@pytest.mark.parametrize("strategy", ["mirrored", "multiworker"])
def test_what_would_not_be_the_same_is_refused(name, config, strategy, tmp_path):
    with pytest.raises(UsageError) as caught:
        train(with_training(config, strategy=strategy), tmp_path / "none.npy", tmp_path / "model")
    assert f"{name} cannot be dealt out to several workers" in str(caught.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ("", "TF_CONFIG is not set; expected who takes part"),
        ("{}", "TF_CONFIG is '{}'; expected who takes part"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "TF_CONFIG is"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}', "TF_CONFIG is"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "TF_CONFIG is"),
    ],
)
def test_an_environment_that_does_not_say_who_takes_part(described, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", described)
    with pytest.raises(UsageError) as caught:
        open_workers(with_training(DENSE, strategy="multiworker"))
    assert message in str(caught.value)


def test_one_worker_asks_nobody():
    alone = open_workers(DENSE)
    assert alone == Workers()
    assert alone.is_chief
    assert alone.any(True)
    assert not alone.any(False)
    alone.check_same("0" * 64)
