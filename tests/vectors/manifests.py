"""The rows of manifests.json: a valid manifest, and one change of it for every MUST of FORMAT.md."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BASE", "FULL", "Row", "changed", "rows"]

SHA = "0123456789abcdef" * 4
ENCODER_ARTIFACT: dict[str, Any] = {
    "role": "encoder",
    "format": "onnx",
    "precision": "float32",
    "path": "encoder.onnx",
    "inputs": [{"name": "input", "dtype": "float32", "shape": [None, 6]}],
    "outputs": [{"name": "latent", "dtype": "float32", "shape": [None, 2]}],
    "tolerance": {"atol": 1e-5, "rtol": 1e-4},
}
DECODER_ARTIFACT: dict[str, Any] = {
    "role": "decoder",
    "format": "tflite",
    "precision": "int8",
    "path": "graphs/model.tflite",
    "inputs": [
        {"name": "latent", "dtype": "int8", "shape": [1, 2], "quantization": {"scale": [0.5], "zero_point": [-3]}}
    ],
    "outputs": [
        {
            "name": "reconstruction",
            "dtype": "int8",
            "shape": [1, 3],
            "quantization": {"scale": [1, 2.5, 3], "zero_point": [0, -1, 2], "axis": 1},
        }
    ],
    "tolerance": {"atol": 0.02, "rtol": 0},
    "signature": "decode",
}
BASE: dict[str, Any] = {
    "format": "aetool.bundle",
    "version": 1,
    "requires": [],
    "name": "affine",
    "artifacts": [ENCODER_ARTIFACT],
    "golden": {
        "path": "golden.bin",
        "scales": {"latent": {"center": [0.25], "scale": [1.5]}},
        "cases": [
            {
                "name": "held-out",
                "tensors": {
                    "input": {"dtype": "float32", "shape": [2, 6], "offset": 0},
                    "latent": {"dtype": "float32", "shape": [2, 2], "offset": 64},
                },
            }
        ],
    },
    "normalization": {"offset": [0.5], "scale": [-2]},
    "input_range": {"minimum": [-3], "maximum": [3.5]},
    "parameters": {"encoder": 14},
    "created_with": {"keras": "3.15.1"},
    "files": {"golden.bin": {"sha256": SHA, "bytes": 80}, "encoder.onnx": {"sha256": SHA, "bytes": 200}},
}
FULL: dict[str, Any] = {
    **BASE,
    "artifacts": [{**ENCODER_ARTIFACT, "opset": 17}, DECODER_ARTIFACT],
    "files": {**BASE["files"], "graphs/model.tflite": {"sha256": SHA, "bytes": 0}},
}

BESIDE = {"sha256": SHA, "bytes": 9}
OWN_CASE: dict[str, Any] = BASE["golden"]["cases"][0]
ABSENT = object()
WRONG = {"null": None, "false": False, "a text": "x", "1.5": 1.5, "an empty array": [], "an empty object": {}}
ENCODER, CASE, QUANTIZATION = "artifacts.0", "golden.cases.0.tensors", "artifacts.1.outputs.0.quantization"


@dataclass(frozen=True)
class Row:
    """A manifest's bytes, and the name of what a reader says to it: ok, manifest, version or unsafe."""

    name: str
    verdict: str
    text: bytes


def rows() -> Iterator[Row]:
    """Every row; a new one must have a new name."""
    yield Row("the smallest", "ok", changed(BASE))
    yield Row("two artifacts, quantized", "ok", changed(FULL))
    for path, right in TYPES.items():
        yield Row(f"no {path}", "manifest", changed(BASE, (path, ABSENT)))
        wrong = [kind for kind in WRONG if kind not in right]
        for kind in (*wrong, *wrong)[len(path) % len(wrong) :][: 1 if "." in path else 2]:
            yield Row(f"{path} is {kind}", "manifest", changed(BASE, (path, WRONG[kind])))
    for name, (verdict, *changes) in CHANGES.items():
        yield Row(name, verdict, changed(BASE, *changes))
    for name, (verdict, *changes) in FULL_CHANGES.items():
        yield Row(name, verdict, changed(FULL, *changes))
    for verdict, paths in (("unsafe", BAD_PATHS), ("ok", GOOD_PATHS)):
        for name, path in paths.items():
            yield Row(f"lists a file: {name}", verdict, _with_files(path))
    for name, (verdict, paths) in TOGETHER.items():
        yield Row(f"lists {name}", verdict, _with_files(*paths))
    for name, (verdict, edit) in TEXTS.items():
        yield Row(name, verdict, edit(changed(BASE)))


def changed(base: dict[str, Any], *changes: tuple[str, Any]) -> bytes:
    """The manifest's text with the members at these paths replaced, added or, where ABSENT, removed."""
    document = copy.deepcopy(base)
    for path, value in changes:
        *parents, last = path.split(".")
        at: Any = document
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at[part]
        if value is ABSENT:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return _text(document)


def _with_files(*paths: str) -> bytes:
    document = copy.deepcopy(BASE)
    document["files"].update({path: {"sha256": SHA, "bytes": 1} for path in paths})
    return _text(document)


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


# every required member → those of WRONG that are not wrong for it
TYPES: dict[str, set[str]] = {
    "format": set(),
    "version": set(),
    "requires": {"an empty array"},
    "name": {"a text"},
    "artifacts": set(),
    "golden": set(),
    "normalization": set(),
    "input_range": set(),
    "parameters": {"an empty object"},
    "created_with": {"an empty object"},
    "files": set(),
    f"{ENCODER}.role": set(),
    f"{ENCODER}.format": {"a text"},
    f"{ENCODER}.precision": {"a text"},
    f"{ENCODER}.path": set(),
    f"{ENCODER}.inputs": set(),
    f"{ENCODER}.outputs": set(),
    f"{ENCODER}.tolerance": set(),
    f"{ENCODER}.tolerance.atol": {"1.5"},
    f"{ENCODER}.tolerance.rtol": {"1.5"},
    f"{ENCODER}.inputs.0.name": set(),
    f"{ENCODER}.inputs.0.dtype": set(),
    f"{ENCODER}.inputs.0.shape": set(),
    "golden.path": set(),
    "golden.scales": set(),
    "golden.scales.latent": set(),
    "golden.scales.latent.center": set(),
    "golden.scales.latent.scale": set(),
    "golden.cases": set(),
    "golden.cases.0.name": {"a text"},
    "golden.cases.0.tensors": set(),
    f"{CASE}.latent": set(),
    f"{CASE}.input.dtype": set(),
    f"{CASE}.input.shape": set(),
    f"{CASE}.input.offset": set(),
    "normalization.offset": set(),
    "normalization.scale": set(),
    "input_range.minimum": set(),
    "input_range.maximum": set(),
}


def tokenizer(more: Sequence[str] = (), bytes_: Iterable[int] = range(256)) -> dict[str, Any]:
    """A value of the member ``tokenizer``: the bytes, the pad, and more entries in hexadecimal."""
    singles = [f"{value:02x}" for value in bytes_]
    return {"rule": "longest-match", "length": 8, "pad": len(singles), "entries": [*singles, "", *more]}


TENSOR = {"dtype": "float32", "shape": [2, 2], "offset": 64}
CHANGES: dict[str, tuple[Any, ...]] = {
    # what a later writer may add, and what it may not
    "an unknown member at the root": ("ok", ("later", {"deeply": [None, -1e300, {}]})),
    "an unknown member of an artifact": ("ok", (f"{ENCODER}.later", [1, 2])),
    "an unknown member of a file": ("ok", ("files.later_file", {"sha256": SHA, "bytes": 1, "mime": "x"})),
    "version 0": ("version", ("version", 0)),
    "version 2": ("version", ("version", 2)),
    "version 2 of another structure": ("version", ("version", 2), ("requires", ABSENT), ("artifacts", "moved")),
    "requires an unknown feature": ("version", ("requires", ["encryption"])),
    "requires an unknown feature and has another structure": (
        "version", ("requires", ["v1.1"]), ("artifacts", ABSENT)
    ),
    "requires what is no text": ("manifest", ("requires", [1])),
    "a latent prior": ("ok", ("latent_prior", "standard_normal")),
    "a latent prior of a later day": ("ok", ("latent_prior", "mixture_8")),
    "a latent prior that is null": ("ok", ("latent_prior", None)),
    "a latent prior that is no name": ("manifest", ("latent_prior", "N(0, 1)")),
    "a latent prior that is no text": ("manifest", ("latent_prior", 1)),
    "a file for compression": ("ok", ("compression", {"path": "golden.bin"})),
    "compression that is null": ("ok", ("compression", None)),
    "compression without a path": ("manifest", ("compression", {})),
    "compression that is no object": ("manifest", ("compression", "golden.bin")),
    "compression in a file that is not listed": ("manifest", ("compression", {"path": "compression.json"})),
    "compression outside the bundle": ("unsafe", ("compression", {"path": "../golden.bin"})),
    "a tokenizer of bytes": ("ok", ("tokenizer", tokenizer())),
    "a tokenizer with longer entries": ("ok", ("tokenizer", tokenizer(more=["746865", "20"*3]))),
    "a tokenizer of another rule": ("manifest", ("tokenizer", {**tokenizer(), "rule": "merges"})),
    "a tokenizer whose pad stands for something": ("manifest", ("tokenizer", {**tokenizer(), "pad": 0})),
    "a tokenizer whose pad is no entry": ("manifest", ("tokenizer", {**tokenizer(), "pad": 257})),
    "a tokenizer without room": ("manifest", ("tokenizer", {**tokenizer(), "length": 0})),
    "a tokenizer without one of the bytes": ("manifest", ("tokenizer", tokenizer(bytes_=range(255)))),
    "a tokenizer with an entry twice": ("manifest", ("tokenizer", tokenizer(more=["61"]))),
    "a tokenizer with a second empty entry": ("manifest", ("tokenizer", tokenizer(more=[""]))),
    "a tokenizer with half a byte": ("manifest", ("tokenizer", tokenizer(more=["616"]))),
    "a tokenizer in capitals": ("manifest", ("tokenizer", tokenizer(more=["6A6A"]))),
    "another format": ("manifest", ("format", "other.bundle")),
    "another format of version 2": ("manifest", ("format", "other.bundle"), ("version", 2)),
    # what may be left open
    "an optional member is null": ("ok", (f"{ENCODER}.opset", None), (f"{ENCODER}.signature", None)),
    "opset": ("ok", (f"{ENCODER}.opset", 17)),
    "opset is a text": ("manifest", (f"{ENCODER}.opset", "17")),
    "opset is negative": ("manifest", (f"{ENCODER}.opset", -1)),
    "signature is a number": ("manifest", (f"{ENCODER}.signature", 1)),
    "no range is known": ("ok", ("input_range", {"minimum": [], "maximum": []})),
    "no parameters are told": ("ok", ("parameters", {})),
    "an empty name": ("ok", ("name", "")),
    "a name beyond ASCII": ("ok", ("name", "übung 🫀")),
    # artifacts
    "an unknown role": ("manifest", (f"{ENCODER}.role", "classifier")),
    "a graph format that a plug-in brings": ("ok", (f"{ENCODER}.format", "x_7")),
    "a precision that a plug-in brings": ("ok", (f"{ENCODER}.precision", "float8")),
    "a precision of 32 characters": ("ok", (f"{ENCODER}.precision", "p" * 32)),
    "a precision of 33 characters": ("manifest", (f"{ENCODER}.precision", "p" * 33)),
    "a graph format in capitals": ("manifest", (f"{ENCODER}.format", "ONNX")),
    "a precision with a hyphen": ("manifest", (f"{ENCODER}.precision", "float-8")),
    "a precision that begins with a digit": ("manifest", (f"{ENCODER}.precision", "8bit")),
    "an empty precision": ("manifest", (f"{ENCODER}.precision", "")),
    "an unknown dtype": ("manifest", (f"{ENCODER}.inputs.0.dtype", "complex64")),
    "a dtype in capitals": ("manifest", (f"{ENCODER}.inputs.0.dtype", "Float32")),
    "an artifact whose file is not listed": ("manifest", (f"{ENCODER}.path", "decoder.onnx")),
    "an artifact whose path leaves the bundle": ("unsafe", (f"{ENCODER}.path", "../encoder.onnx")),
    "an artifact twice": ("manifest", ("artifacts", [ENCODER_ARTIFACT, ENCODER_ARTIFACT])),
    "a role at two precisions": (
        "ok", ("artifacts", [ENCODER_ARTIFACT, {**ENCODER_ARTIFACT, "precision": "float16"}])
    ),
    "two inputs": ("manifest", (f"{ENCODER}.inputs", [*ENCODER_ARTIFACT["inputs"], {
        "name": "other", "dtype": "float32", "shape": [None, 6]}])),
    "an input of another name": ("manifest", (f"{ENCODER}.inputs.0.name", "x")),
    "a first output of another name": ("manifest", (f"{ENCODER}.outputs.0.name", "reconstruction")),
    "more outputs": ("ok", (f"{ENCODER}.outputs", [
        *ENCODER_ARTIFACT["outputs"], {"name": "latent_mean", "dtype": "float32", "shape": [None, 2]}])),
    "an output twice": ("manifest", (f"{ENCODER}.outputs", ENCODER_ARTIFACT["outputs"] * 2)),
    "a size of 0": ("manifest", (f"{ENCODER}.inputs.0.shape", [None, 0])),
    "a negative size": ("manifest", (f"{ENCODER}.inputs.0.shape", [-1, 6])),
    "a size that is a text": ("manifest", (f"{ENCODER}.inputs.0.shape", ["batch", 6])),
    "a fractional size": ("manifest", (f"{ENCODER}.inputs.0.shape", [None, 6.5])),
    "a size of 2^53": ("manifest", (f"{ENCODER}.inputs.0.shape", [None, 2**53])),
    "every size free": ("ok", (f"{ENCODER}.inputs.0.shape", [None, None])),
    "eight dimensions": ("ok", (f"{ENCODER}.inputs.0.shape", [None] * 8)),
    "nine dimensions": ("manifest", (f"{ENCODER}.inputs.0.shape", [None] * 9)),
    "atol 0": ("manifest", (f"{ENCODER}.tolerance.atol", 0)),
    "a negative atol": ("manifest", (f"{ENCODER}.tolerance.atol", -1e-5)),
    "a negative rtol": ("manifest", (f"{ENCODER}.tolerance.rtol", -1e-5)),
    # golden vectors
    "a golden file that is not listed": ("manifest", ("golden.path", "other.bin")),
    "a golden file outside": ("unsafe", ("golden.path", "/golden.bin")),
    "a tensor that ends with the file": ("ok", (f"{CASE}.latent.offset", 64)),
    "a tensor that ends one byte behind the file": ("manifest", (f"{CASE}.latent.offset", 65)),
    "a tensor that begins behind the file": ("manifest", (f"{CASE}.latent.offset", 81)),
    "a negative offset": ("manifest", (f"{CASE}.latent.offset", -1)),
    "a tensor larger than any memory": ("manifest", (f"{CASE}.latent.shape", [2, *[2**50] * 7])),
    "a golden size of 0": (
        "manifest", (f"{CASE}.latent.shape", [0, 2]), (f"{CASE}.input.shape", [0, 6])
    ),
    "a golden size that is free": ("manifest", (f"{CASE}.latent.shape", [None, 2])),
    "a golden tensor of nine dimensions": ("manifest", (f"{CASE}.latent.shape", [2, 2, *[1] * 7])),
    "a case of the input alone": ("manifest", ("golden.cases.0.tensors", {"input": TENSOR})),
    "a case of the latent alone": ("manifest", ("golden.cases.0.tensors", {"latent": TENSOR})),
    "a case of the latent and something else": (
        "manifest",
        ("golden.cases.0.tensors", {"latent": TENSOR, "other": TENSOR}),
        ("golden.scales.other", {"center": [0], "scale": [1]}),
    ),
    "numbers of samples that differ": ("manifest", (f"{CASE}.input.shape", [1, 6])),
    "an output without a scale": ("manifest", (f"{CASE}.reconstruction", TENSOR)),
    "a scale for each channel": ("ok", ("golden.scales.latent", {"center": [0, 0], "scale": [1, 2]})),
    "a scale for more channels than there are": (
        "manifest", ("golden.scales.latent", {"center": [0] * 3, "scale": [1] * 3})
    ),
    "a scale of 0": ("manifest", ("golden.scales.latent.scale", [0])),
    "a negative scale": ("manifest", ("golden.scales.latent.scale", [-1])),
    "more centres than scales": ("manifest", ("golden.scales.latent.center", [0, 0])),
    "no case": ("manifest", ("golden.cases", [])),
    "a golden input of another type than the artifact's": ("manifest", (f"{ENCODER}.inputs.0.dtype", "int8")),
    "a golden output of another type than the artifact's": ("manifest", (f"{ENCODER}.outputs.0.dtype", "float16")),
    "a golden output of another size than the artifact's": ("manifest", (f"{ENCODER}.outputs.0.shape", [None, 7])),
    "a golden tensor of fewer dimensions than the artifact's": (
        "manifest", (f"{ENCODER}.inputs.0.shape", [None, 6, 1])
    ),
    "a golden tensor of more dimensions than the artifact's": ("manifest", (f"{ENCODER}.inputs.0.shape", [None])),
    "a golden tensor of a batch that the artifact does not take": ("ok", (f"{ENCODER}.inputs.0.shape", [1, 6])),
    "a golden tensor that fits one of two artifacts": (
        "ok", ("artifacts", [ENCODER_ARTIFACT, {**ENCODER_ARTIFACT, "precision": "int8", "inputs": [
            {"name": "input", "dtype": "int8", "shape": [None, 6]}]}])
    ),
    "a golden tensor that no artifact has": (
        "ok", (f"{CASE}.reconstruction", TENSOR), ("golden.scales.reconstruction", {"center": [0], "scale": [1]})
    ),
    # golden vectors of one artifact
    "an artifact with cases of its own": ("ok", (f"{ENCODER}.cases", [OWN_CASE]), (f"{ENCODER}.snr", {"latent": 40.5})),
    "no case of its own": ("manifest", (f"{ENCODER}.cases", [])),
    "cases of its own that are null": ("ok", (f"{ENCODER}.cases", None)),
    "a case of its own without the output": ("manifest", (f"{ENCODER}.cases", [{
        "name": "x", "tensors": {"input": OWN_CASE["tensors"]["input"]}}])),
    "a case of its own with another tensor": ("manifest", (f"{ENCODER}.cases", [{
        "name": "x", "tensors": {**OWN_CASE["tensors"], "reconstruction": TENSOR}}])),
    "a case of its own of another type": ("manifest", (f"{ENCODER}.cases", [{
        "name": "x", "tensors": {**OWN_CASE["tensors"], "latent": {"dtype": "int8", "shape": [2, 2], "offset": 64}}}])),
    "a case of its own that reaches past the file": ("manifest", (f"{ENCODER}.cases", [{
        "name": "x", "tensors": {**OWN_CASE["tensors"], "latent": {**TENSOR, "offset": 68}}}])),
    "a case of its own of two sizes": ("manifest", (f"{ENCODER}.cases", [{
        "name": "x", "tensors": {**OWN_CASE["tensors"], "latent": {**TENSOR, "shape": [1, 2]}}}])),
    "an artifact with cases of its own and no scale for its output": (
        "manifest", ("artifacts", [ENCODER_ARTIFACT, {**ENCODER_ARTIFACT, "precision": "int8", "cases": [{
            "name": "x", "tensors": {**OWN_CASE["tensors"], "latent_mean": TENSOR}}], "outputs": [
            *ENCODER_ARTIFACT["outputs"], {"name": "latent_mean", "dtype": "float32", "shape": [None, 2]}]}])
    ),
    "an artifact of integers beside golden vectors that are none": (
        "ok", (f"{ENCODER}.inputs.0.dtype", "int8"), (f"{ENCODER}.cases", [{"name": "x", "tensors": {
            **OWN_CASE["tensors"], "input": {"dtype": "int8", "shape": [2, 6], "offset": 0}}}])
    ),
    "a ratio that is a text": ("manifest", (f"{ENCODER}.snr", {"latent": "40"})),
    # weights beside a graph
    "weights beside": ("ok", (f"{ENCODER}.external_data", "e"), ("files", {**BASE["files"], "e": BESIDE})),
    "weights beside in another folder": (
        "manifest", (f"{ENCODER}.external_data", "x/e"), ("files", {**BASE["files"], "x/e": BESIDE})
    ),
    "weights beside that are null": ("ok", (f"{ENCODER}.external_data", None)),
    "weights beside that are not listed": ("manifest", (f"{ENCODER}.external_data", "encoder.data")),
    "weights beside that are the graph": ("manifest", (f"{ENCODER}.external_data", "encoder.onnx")),
    "weights beside that leave the bundle": ("unsafe", (f"{ENCODER}.external_data", "../encoder.data")),
    "weights beside in a number": ("manifest", (f"{ENCODER}.external_data", 1)),
    # for people
    "operators are counted": ("ok", (f"{ENCODER}.operators", {"MatMul": 2, "com.example:Any thing": 1})),
    "operators that are null": ("ok", (f"{ENCODER}.operators", None)),
    "no operators": ("ok", (f"{ENCODER}.operators", {})),
    "an operator that is not there": ("manifest", (f"{ENCODER}.operators", {"MatMul": 0})),
    "half an operator": ("manifest", (f"{ENCODER}.operators", {"MatMul": 1.5})),
    "operators in an array": ("manifest", (f"{ENCODER}.operators", ["MatMul"])),
    "a normalization by 0": ("manifest", ("normalization.scale", [0])),
    "a normalization by -0.0": ("manifest", ("normalization.scale", [-0.0])),
    "more offsets than scales": ("manifest", ("normalization.offset", [0, 0])),
    "an empty normalization": ("manifest", ("normalization", {"offset": [], "scale": []})),
    "more minima than maxima": ("manifest", ("input_range.minimum", [0, 0])),
    "a fractional number of parameters": ("manifest", ("parameters.encoder", 1.5)),
    "a version of a package that is a number": ("manifest", ("created_with.keras", 3)),
    # files
    "a sha256 in capitals": ("manifest", ("files.other", {"sha256": SHA.upper(), "bytes": 1})),
    "a sha256 of 63 digits": ("manifest", ("files.other", {"sha256": SHA[1:], "bytes": 1})),
    "a sha256 and a line feed": ("manifest", ("files.other", {"sha256": SHA + "\n", "bytes": 1})),
    "a sha256 of other letters": ("manifest", ("files.other", {"sha256": "g" * 64, "bytes": 1})),
    "a negative number of bytes": ("manifest", ("files.other", {"sha256": SHA, "bytes": -1})),
    "a file without bytes": ("manifest", ("files.other", {"sha256": SHA})),
    "an empty file": ("ok", ("files.other", {"sha256": SHA, "bytes": 0})),
}  # fmt: skip
FULL_CHANGES: dict[str, tuple[Any, ...]] = {
    "quantization is null": ("ok", (QUANTIZATION, None)),
    "quantization is an array": ("manifest", (QUANTIZATION, [])),
    "quantization without scales": ("manifest", (f"{QUANTIZATION}.scale", [])),
    "quantization by 0": ("manifest", (f"{QUANTIZATION}.scale", [1, 0, 1])),
    "quantization by a negative scale": ("manifest", (f"{QUANTIZATION}.scale", [1, -1, 1])),
    "more zero points than scales": ("manifest", (f"{QUANTIZATION}.zero_point", [0] * 4)),
    "a fractional zero point": ("manifest", (f"{QUANTIZATION}.zero_point", [0, 0.5, 0])),
    "an axis that is not there": ("manifest", (f"{QUANTIZATION}.axis", 2)),
    "a negative axis": ("manifest", (f"{QUANTIZATION}.axis", -1)),
    "an axis of another size": ("manifest", (f"{QUANTIZATION}.axis", 0)),
    "several scales without an axis": ("manifest", (f"{QUANTIZATION}.axis", None)),
}
BAD_PATHS = {
    "an empty path": "",
    "a parent": "../x",
    "a parent in the middle": "a/../../x",
    "a parent at the end": "a/..",
    "here": ".",
    "here in the middle": "a/./x",
    "absolute": "/x",
    "two slashes": "a//x",
    "a slash at the end": "a/",
    "a backslash": "a\\x",
    "a parent with a backslash": "..\\x",
    "a drive": "C:x",
    "a drive and a slash": "C:/x",
    "a stream of NTFS": "x:hidden",
    "a network share": "//server/x",
    "hidden": ".x",
    "hidden in a folder": "a/.x",
    "a hidden folder": ".git/config",
    "begins with a hyphen": "-rf",
    "ends with a dot": "x.",
    "a folder that ends with a dot": "a./x",
    "ends with a space": "x ",
    "a space": "a x",
    "a NUL": "x\0.onnx",
    "a line feed": "x\n",
    "a tabulator": "a\tx",
    "a control character": "a\x1bx",
    "a letter beyond ASCII": "grün",
    "a letter that looks like ASCII": "\u0430.onnx",
    "a digit beyond ASCII": "\u0663",
    "a full-width stop": "\uff0e\uff0e/x",
    "text from right to left": "x\u202exnno",
    "a tilde": "~/x",
    "a variable": "$HOME",
    "a percent sign": "%2e%2e/x",
    "a device of Windows": "nul",
    "a device with an extension": "COM1.onnx",
    "a device as a folder": "aux/x",
    "241 characters": "a" * 241,
}
GOOD_PATHS = {
    "one letter": "x",
    "a digit first": "0",
    "an underscore first": "_x",
    "every kind of character": "Az09_/a-b.c..d/__/x.tar.gz",
    "begins like a device": "console.log",
    "a device after a dot": "x.nul",
    "240 characters": "a" * 240,
    "deep": "/".join("abcdefgh"),
}
TOGETHER: dict[str, tuple[str, list[str]]] = {
    "paths that differ in case": ("manifest", ["x", "X"]),
    "a path that differs in case from one of the base": ("manifest", ["Golden.bin"]),
    "a file and below it another": ("manifest", ["a", "a/x"]),
    "a file and, in another case, below it another": ("manifest", ["A", "a/b/x"]),
    "siblings": ("ok", ["a/x", "a/y", "b"]),
    "the manifest": ("manifest", ["manifest.json"]),
    "the manifest's digest": ("manifest", ["manifest.sha256"]),
    "a manifest in a folder": ("ok", ["a/manifest.json"]),
}
TEXTS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "indented and with a line feed": ("ok", lambda text: json.dumps(json.loads(text), indent=4).encode() + b"\r\n"),
    "members in another order": (
        "ok", lambda text: json.dumps(dict(reversed(json.loads(text).items()))).encode()
    ),
    "exponents": ("ok", lambda text: text.replace(b"[0.25]", b"[2.5E-1]")),
    "nothing": ("manifest", lambda _: b""),
    "an array": ("manifest", lambda text: b"[" + text + b"]"),
    "a text": ("manifest", lambda _: b'"aetool.bundle"'),
    "null": ("manifest", lambda _: b"null"),
    "two documents": ("manifest", lambda text: text + text),
    "something behind the document": ("manifest", lambda text: text + b"x"),
    "cut off": ("manifest", lambda text: text[:-1]),
    "a byte order mark": ("manifest", lambda text: b"\xef\xbb\xbf" + text),
    "UTF-16": ("manifest", lambda text: text.decode().encode("utf-16")),
    "bytes that are not UTF-8": ("manifest", lambda text: text.replace(b"affine", b"\xff\xfe")),
    "an overlong UTF-8 sequence": ("manifest", lambda text: text.replace(b"affine", b"\xc0\xaf")),
    "half a surrogate pair as UTF-8": ("manifest", lambda text: text.replace(b"affine", b"\xed\xa0\x80")),
    "half a surrogate pair, escaped": ("manifest", lambda text: text.replace(b"affine", b"\\ud800")),
    "a terminal's escape sequence": ("manifest", lambda text: text.replace(b"affine", b"\\u001b[2J")),
    "a line feed in a string": ("manifest", lambda text: text.replace(b"affine", b"af\\nfine")),
    "a surrogate pair, escaped": ("ok", lambda text: text.replace(b"affine", b"\\ud83e\\udec0")),
    "a member twice": ("manifest", lambda text: text.replace(b'"name":', b'"name":"other","name":')),
    "an unknown member twice": ("manifest", lambda text: text.replace(b'"name":', b'"later":1,"later":1,"name":')),
    "a member twice, once escaped": ("manifest", lambda text: text.replace(b'"name":', b'"n\\u0061me":"","name":')),
    "NaN": ("manifest", lambda text: text.replace(b"[0.25]", b"[NaN]")),
    "Infinity": ("manifest", lambda text: text.replace(b"[3.5]", b"[Infinity]")),
    "minus Infinity in an unknown member": ("manifest", lambda text: text.replace(b"{", b'{"later":-Infinity,', 1)),
    "a number that is infinite as a float, in an unknown member": (
        "manifest", lambda text: text.replace(b"{", b'{"later":[-1e999],', 1)
    ),
    "a number that is infinite as a float": ("manifest", lambda text: text.replace(b"[3.5]", b"[1e400]")),
    "a comment": ("manifest", lambda text: b"// bundle\n" + text),
    "a comma too many": ("manifest", lambda text: text.replace(b"[3.5]", b"[3.5,]")),
    "single quotes": ("manifest", lambda text: text.replace(b'"', b"'")),
    "a leading zero": ("manifest", lambda text: text.replace(b"[3.5]", b"[03.5]")),
    "a hexadecimal number": ("manifest", lambda text: text.replace(b"[3.5]", b"[0x3]")),
    "a line feed in a text": ("manifest", lambda text: text.replace(b"affine", b"aff\nine")),
}  # fmt: skip
