"""A training run in a process of its own, whose devices or neighbours are set before TensorFlow starts.

    python worker.py LOGICAL_CPUS CONFIG DATA OUTPUT [STOP_AT [resume]]

Prints the loss curve and a digest of the weights, or the error, as one line of JSON; STOP_AT is a step at which it gets
SIGINT.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

from aetool.config import load_config
from aetool.training import StepsDone, train
from aetool_runtime.errors import AetoolError


def main(logical: str, config: str, data: str, output: str, stop_at: str = "", resume: str = "") -> int:
    import tensorflow as tf

    if int(logical) > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(logical))

    def interrupt(event: object) -> None:
        if stop_at and isinstance(event, StepsDone) and event.step >= int(stop_at):
            os.kill(os.getpid(), signal.SIGINT)

    try:
        checkpoint = train(load_config(Path(config)), data, Path(output), resume=bool(resume), report=interrupt)
    except AetoolError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return error.exit_code
    digest = hashlib.sha256()
    for array in [*checkpoint.encoder.get_weights(), *checkpoint.decoder.get_weights()]:
        digest.update(array.tobytes())
    curve = [(point["loss"], point["validation_loss"]) for point in checkpoint.metrics["epochs"]]
    sys.stdout.write(
        json.dumps({"curve": curve, "weights": digest.hexdigest(), "evaluation": checkpoint.metrics["evaluation"]})
        + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
