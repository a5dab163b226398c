"""One artifact of a bundle beside the model that it was made of; prints a verdict as JSON. See `zoo.py`.

    python benchmarks/zoo_truth.py onnx=BUNDLE tflite=BUNDLE -- MODEL            # or: … -- ENCODER DECODER

Nothing here goes through aetool: the model is loaded by Keras, tf_keras or TensorFlow, the artifact by its engine, and
the manifest is read as JSON.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from zoo_stand_ins import kind, stand_ins

SAMPLES = 8
PARITY, STRICT = 1e-3, (1e-5, 1e-4)
Function = Callable[[Any], list[Any]]


def main(bundles: dict[str, Path], models: list[Path]) -> None:
    """Compare, and print one line."""
    compute, source = truth(models)
    print(json.dumps({name: {**judge(name, bundle, compute), "truth": source} for name, bundle in bundles.items()}))


def judge(format_name: str, bundle: Path, compute: Function) -> dict[str, Any]:
    """The verdict on the largest part that a bundle holds: the autoencoder, else one half."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    artifacts = {a["role"]: a for a in manifest["artifacts"] if a["format"] == format_name}
    role = next(role for role in ("autoencoder", "encoder", "decoder") if role in artifacts)
    artifact = artifacts[role]
    seed = secrets.randbits(32)
    given = uniform(artifact["inputs"][0], seed)
    run = run_onnx if format_name == "onnx" else run_tflite
    met = run(bundle, artifact, given)
    expected = matching(role, compute(given), met)
    verdicts = [verdict(one, other) for one, other in zip(expected, met, strict=True)]
    worst = max(verdicts, key=lambda v: v["relative"])
    return {**worst, "role": role, "seed": seed, "outputs": len(met)}


def uniform(spec: dict[str, Any], seed: int) -> Any:
    """Samples in [0, 1), or small integers; free dimensions become 32."""
    shape = (SAMPLES, *(size or 32 for size in spec["shape"][1:]))
    rng = np.random.default_rng(seed)
    if spec["dtype"].startswith("int"):
        return rng.integers(0, 2, shape).astype(spec["dtype"])
    return rng.uniform(0, 1, shape).astype(spec["dtype"])


def matching(role: str, wanted: list[Any], met: list[Any]) -> list[Any]:
    """The truth's outputs for an artifact's: the first of its shape; a variational encoder's mean is there twice."""
    if role == "autoencoder":
        return [next(output for output in wanted if output.shape == met[0].shape)]
    mean = next(place for place, output in enumerate(wanted) if output.shape == met[0].shape)
    return [wanted[mean]] * min(len(met), 2) + wanted[mean + 1 : mean + len(met) - 1]


def verdict(wanted: Any, met: Any) -> dict[str, Any]:
    """Both tolerances."""
    wanted, met = np.asarray(wanted, np.float64), np.asarray(met, np.float64)
    scale = max(float(wanted.std()), 1e-6 * float(np.abs(wanted).max(initial=0)), 1e-12)
    error = np.abs(wanted - met)
    worst = float(error.max()) if np.isfinite(error).all() else float("inf")
    strict = bool((error <= STRICT[0] * scale + STRICT[1] * np.abs(wanted)).all())
    return {"parity": worst <= PARITY * scale, "strict": strict, "relative": worst / scale, "max_abs_error": worst}


def run_onnx(bundle: Path, artifact: dict[str, Any], given: Any) -> list[Any]:
    """By ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession((bundle / artifact["path"]).read_bytes(), providers=["CPUExecutionProvider"])
    names = [tensor["name"] for tensor in artifact["outputs"]]
    return list(session.run(names, {artifact["inputs"][0]["name"]: given}))


def run_tflite(bundle: Path, artifact: dict[str, Any], given: Any) -> list[Any]:
    """By LiteRT, sample by sample."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(bundle / artifact["path"]))
    runner = interpreter.get_signature_runner(artifact["signature"])
    rows = []
    for sample in given:
        interpreter.reset_all_variables()
        rows.append(runner(**{artifact["inputs"][0]["name"]: sample[None]}))
    return [np.concatenate([row[tensor["name"]] for row in rows]) for tensor in artifact["outputs"]]


def truth(models: list[Path]) -> tuple[Function, str]:
    """What the model computes, and who says so."""
    functions = [loaded(path) for path in models]
    if len(functions) == 1:
        return functions[0]
    (encode, one), (decode, other) = functions
    return lambda given: decode(encode(given)[0]), one if one == other else f"{one}; {other}"


def loaded(path: Path) -> tuple[Function, str]:
    """What a model computes, by the first loader that can read it: encoder, then decoder, if it has these two."""
    if (path / "saved_model.pb").is_file():
        return session_function(path), "TensorFlow session"
    complaints = []
    for name, load in (("Keras", by_keras), ("tf_keras", by_tf_keras)):
        for unknown in (False, True):
            try:
                model = load(path, unknown)
                source = f"{name}, unknown classes as their first input" if unknown else name
                return (lambda given, model=model: flat(model, given)), source
            except Exception as error:
                complaints.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    raise SystemExit("no loader can read the model: " + " | ".join(complaints))


def flat(model: Any, given: Any) -> list[Any]:
    """A model's outputs in a list."""
    if hasattr(model, "encoder") and hasattr(model, "decoder"):
        return flat(model.decoder, flat(model.encoder, given)[0])
    outputs = model(given, training=False)
    values = (
        outputs if isinstance(outputs, (list, tuple)) else outputs.values() if isinstance(outputs, dict) else [outputs]
    )
    return [np.asarray(value) for value in values]


def session_function(folder: Path) -> Function:
    """A SavedModel's signature, run by a session."""
    import tensorflow as tf

    def compute(given: Any) -> list[Any]:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
            signature = graph.signature_def["serving_default"]
            (fed,) = signature.inputs.values()
            outputs = [output.name for _, output in sorted(signature.outputs.items())]
            return [np.asarray(value) for value in session.run(outputs, {fed.name: given})]

    return compute


def by_keras(path: Path, unknown: bool) -> Any:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        renamed = Path(folder) / f"model{kind(path)}"
        shutil.copyfile(path, renamed)
        objects = stand_ins(path, keras) if unknown else None
        return keras.saving.load_model(renamed, compile=False, safe_mode=True, custom_objects=objects)


def by_tf_keras(path: Path, unknown: bool) -> Any:
    import tf_keras
    from tf_keras.src.saving.serialization_lib import SafeModeScope

    with tempfile.TemporaryDirectory() as folder, SafeModeScope(True):
        renamed = Path(folder) / f"model{kind(path)}"
        shutil.copyfile(path, renamed)
        objects = stand_ins(path, tf_keras) if unknown else None
        return tf_keras.models.load_model(renamed, compile=False, safe_mode=True, custom_objects=objects)


if __name__ == "__main__":
    split = sys.argv.index("--")
    named = dict(argument.split("=", 1) for argument in sys.argv[1:split])
    main({name: Path(bundle) for name, bundle in named.items()}, [Path(path) for path in sys.argv[split + 1 :]])
