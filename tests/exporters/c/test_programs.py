"""C made from int8 TFLite files: the same integers as TensorFlow Lite Micro's reference kernels, bit for bit."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tests.exporters.c.compiled import call, golden_result, write
from tests.exporters.c.every_operation import every_operation_file
from tests.exporters.reduced_models import reduced

from aetool_exporters.c.evaluation import evaluate
from aetool_exporters.c.lowering import SUPPORTED
from aetool_exporters.c.program import CProgram, make_program
from aetool_exporters.c.writing import golden_for
from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.extraction import extract
from aetool_exporters.tflite.flatbuffer import read
from aetool_runtime.errors import ConversionError, UnsupportedOperatorError

Array = np.ndarray[Any, Any]
MODELS = ["dense", "conv_1d", "conv_2d", "normalized_per_channel", "upsampling", "every_operation"]
needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


def file(model: str, *, integer_io: bool = True) -> bytes:
    if model == "every_operation":
        return every_operation_file()
    return reduced(model, "int8", integer_io=integer_io).files["tflite/model.int8.tflite"]


def cases(model: str) -> list[str]:
    return ["encode"] if model == "every_operation" else ["encode", "decode"]


PROGRAMS = [(model, signature) for model in MODELS for signature in cases(model)]


def values_for(program: CProgram, count: int = 40) -> Array:
    """Random integers, extreme ones, and zero."""
    size = program.graph.inputs[0].size
    rng = np.random.default_rng(11)
    random = rng.integers(-128, 128, (count, size))
    extreme = np.where(rng.random((count, size)) < 0.5, -128, 127)
    fixed = [np.full((1, size), value) for value in (-128, 127, 0, program.graph.inputs[0].zero_point)]
    return np.concatenate([random, extreme, *fixed]).astype(np.int8)


def evaluated(program: CProgram, values: Array) -> Array:
    return np.stack([evaluate(program.graph, program.steps, (case,))[0].ravel() for case in values])


@needs_compiler
@pytest.mark.parametrize(("model", "signature"), PROGRAMS)
def test_compiled_code_computes_what_the_specification_says(model: str, signature: str, tmp_path: Path) -> None:
    program = make_program(file(model), model, signature)
    write(program, tmp_path)
    assert golden_result(program, tmp_path) == 0
    values = values_for(program)
    assert np.array_equal(call(program, tmp_path, values), evaluated(program, values))


@pytest.mark.parametrize(("model", "signature"), PROGRAMS)
def test_the_same_integers_as_tensorflow_lite_micro(model: str, signature: str) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    data = extract(file(model), signature)
    micro = runtime.Interpreter.from_bytes(data, arena_size=1_000_000)
    program = make_program(data, model, signature)
    values, met = values_for(program), []
    for case in values:
        micro.set_input(case.reshape(program.graph.inputs[0].shape), 0)
        micro.invoke()
        met.append(micro.get_output(0).ravel())
    assert np.array_equal(evaluated(program, values), met)


@pytest.mark.parametrize(("model", "signature"), PROGRAMS)
def test_close_to_the_kernels_of_the_desktop_which_round_once_where_these_round_twice(
    model: str, signature: str
) -> None:
    data = extract(file(model), signature)
    program = make_program(data, model, signature)
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    runner = interpreter.get_signature_runner(signature)
    (key, details), values = next(iter(runner.get_input_details().items())), values_for(program)
    met = [next(iter(runner(**{key: case.reshape(details["shape"])}).values())).ravel() for case in values]
    apart = np.abs(np.array(met).astype(int) - evaluated(program, values))
    assert apart.max() <= 3
    assert (apart > 0).mean() < 0.03


@needs_compiler
def test_several_outputs_each_once(tmp_path: Path) -> None:
    """The latent is the mean, under another name."""
    program = make_program(file("variational"), "variational")
    write(program, tmp_path)
    header = (tmp_path / "variational.h").read_text()
    assert "(const int8_t *input, int8_t *output0, int8_t *output1)" in header
    assert "_OUTPUT1_SIZE 3 /* encode/" in header
    assert golden_result(program, tmp_path) == 0


@needs_compiler
def test_the_golden_test_can_fail(tmp_path: Path) -> None:
    program = make_program(file("conv_1d"), "conv_1d")
    write(program, tmp_path)
    source = tmp_path / "conv_1d.c"
    source.write_text(re.sub(r"\.zero_point = (-?\d+)", ".zero_point = 5", source.read_text(), count=1))
    assert golden_result(program, tmp_path) != 0


def test_identical_input_gives_identical_files_and_names_become_identifiers() -> None:
    first, second = (make_program(file("dense"), "7 My-Model") for _ in range(2))
    assert first.name == "model_7_my_model"
    assert first.files(golden_for(first)) == second.files(golden_for(second))


def test_no_allocation_and_no_floating_point(tmp_path: Path) -> None:
    for model, signature in PROGRAMS:
        program = make_program(file(model), model, signature)
        write(program, tmp_path / model / signature)
        text = (tmp_path / model / signature / f"{program.name}.c").read_text()
        assert not re.search(r"\b(malloc|float|double|math\.h|memcpy)\b|\d\.\d", text)


def test_the_arena_holds_what_lies_between_the_callers_buffers() -> None:
    assert make_program(file("dense"), "m").arena == 64, "784 in and 32 out are the caller's"
    assert make_program(file("conv_2d"), "m").arena == 8 * 8 * 8 + 4 * 4 * 4


def test_every_operation_with_a_kernel_is_tried_here() -> None:
    met = set()
    for model in MODELS:
        held = read(file(model))
        met |= {operator_name(held, operator) for graph in held.subgraphs for operator in graph.operators}
    never_alone = {"EXPAND_DIMS", "SQUEEZE", "RELU", "RELU6"}  # converters fuse these, or write RESHAPE
    assert SUPPORTED - met <= never_alone | {"QUANTIZE"}


def test_what_has_no_kernel_is_named() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"operation 0, tensor .*: RESIZE_BILINEAR has no C code"):
        make_program(file("depthwise"), "m", "decode")
    with pytest.raises(UnsupportedOperatorError, match=r"float32 values.*[\s\S]*--integer-io"):
        make_program(file("dense", integer_io=False), "m")
    with pytest.raises(ConversionError, match="no signature"):
        make_program(file("dense"), "m", "embed")
