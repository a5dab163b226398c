"""A Keras decoder's steps of integers compute what it computes, nearly; what they cannot is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.exporters.compression.decoders import EXPRESSED, REFUSED, decoder_reference, latents_for

from aetool_exporters.compression.computing import compute
from aetool_exporters.compression.keras_program import read_decoder
from aetool_exporters.compression.network import IntegerNetwork, integer_network, to_integers
from aetool_exporters.compression.nodes import InexpressibleError, Linear
from aetool_exporters.compression.precisions import Precision
from aetool_runtime.compression.decoder import IntegerDecoder, check_steps
from aetool_runtime.compression.decoder.shapes import free_shape, shape_after
from aetool_runtime.compression.description import Codec, Dense
from aetool_runtime.specs import Normalization

OUTPUT = Precision(2.0**-12, (-(2**24), 2**24))
LEAST_SNR = 42.0  # dB, of integers with 16-bit weights against Keras; int8 weights alone leave some 35


def ran(network: IntegerNetwork, latents: np.ndarray) -> np.ndarray:
    codec = Codec("n", "artifact", latents.shape[1:], (), network.unit, np.zeros(latents.shape[-1], np.int32), (),
                  network.steps)  # fmt: skip
    return IntegerDecoder(codec).run(to_integers(latents, network.unit)) * OUTPUT.unit


def snr(expected: np.ndarray, met: np.ndarray) -> float:
    return float(10 * np.log10(np.var(expected) / np.mean((met - expected) ** 2)))


@pytest.mark.parametrize("name", EXPRESSED)
def test_integers_compute_what_keras_computes(name: str) -> None:
    reference = decoder_reference(*EXPRESSED[name])
    program, latents = read_decoder(reference), latents_for(reference)
    expected = reference.compute("decoder", latents.astype(np.float32))
    np.testing.assert_allclose(compute(program, latents.astype(np.float32)), expected, atol=2e-5, rtol=1e-4)
    network = integer_network(program, latents, OUTPUT, allowed=0.0)
    assert set(network.dtypes.values()) <= {"int16"}
    assert snr(expected, ran(network, latents)) > LEAST_SNR


def test_steps_of_free_sizes_keep_the_specification() -> None:
    reference = decoder_reference(*EXPRESSED["free sizes"])
    latents = latents_for(reference)
    network = integer_network(read_decoder(reference), latents, OUTPUT, 0.0)
    shapes = [free_shape((None, None, 4))]
    for step in network.steps:
        shapes.append(shape_after(step, [shapes[i] for i in step.inputs]))
    assert [str(size) for size in shapes[-1]] == ["4n+0", "4n+0", "2"]
    codec = Codec("n", "artifact", (None, None, 4), (4, 4, 1), network.unit, np.zeros(4, np.int32), (), network.steps)
    check_steps(codec, (None, None, 2), "here")
    assert IntegerDecoder(codec).run(np.zeros((1, 3, 7, 4), np.int32)).shape == (1, 12, 28, 2)


def test_weights_take_8_bits_where_the_error_allows_it() -> None:
    reference = decoder_reference(*EXPRESSED["dense"])
    program, latents = read_decoder(reference), latents_for(reference)
    finest, small = (integer_network(program, latents, OUTPUT, allowed) for allowed in (0.0, 1.0))
    mixed = integer_network(program, latents, OUTPUT, 0.9 * small.error)
    assert set(finest.dtypes.values()) == {"int16"}
    assert set(mixed.dtypes.values()) == {"int8", "int16"}
    assert set(small.dtypes.values()) == {"int8"}
    assert finest.error < mixed.error <= 0.9 * small.error < 0.05
    for network in (finest, mixed, small):
        types = [step.weights.dtype.name for step in network.steps if isinstance(step, Dense)]
        assert types == list(network.dtypes.values())


def test_the_normalization_is_part_of_the_last_weights() -> None:
    shape, build = EXPRESSED["dense"]
    plain, moved = (decoder_reference(shape, build, n) for n in (None, Normalization((1024.0,), (30.0,))))
    program, latents = read_decoder(moved), latents_for(moved)
    assert len(program.nodes) == len(read_decoder(plain).nodes)
    network = integer_network(program, latents, replace(OUTPUT, range=(-(2**28), 2**28)), 0.0)
    expected = plain.compute("decoder", latents.astype(np.float32)) * 30 + 1024
    assert snr(expected, ran(network, latents)) > LEAST_SNR


def test_a_channel_that_is_always_zero_moves_nothing() -> None:
    reference = decoder_reference(*EXPRESSED["dense"])
    latents = latents_for(reference)
    latents[..., 3] = 0.0
    network = integer_network(read_decoder(reference), latents, OUTPUT, 0.0)
    assert snr(reference.compute("decoder", latents.astype(np.float32)), ran(network, latents)) > LEAST_SNR


@pytest.mark.parametrize("name", REFUSED)
def test_what_integers_cannot_express_is_named(name: str) -> None:
    shape, build, message = REFUSED[name]
    with pytest.raises(InexpressibleError) as caught:
        read_decoder(decoder_reference(shape, build))
    assert message in str(caught.value)


def test_the_same_steps_come_of_the_same_network() -> None:
    one, two = (
        integer_network(read_decoder(reference), latents_for(reference), OUTPUT, 0.05)
        for reference in (decoder_reference(*EXPRESSED["a residual block"]) for _ in range(2))
    )
    linear = [n for n, node in enumerate(read_decoder(decoder_reference(*EXPRESSED["a residual block"])).nodes)
              if isinstance(node, Linear)]  # fmt: skip
    assert one.dtypes == two.dtypes
    assert sorted(one.dtypes) == linear
    latents = latents_for(decoder_reference(*EXPRESSED["a residual block"]))
    np.testing.assert_array_equal(ran(one, latents), ran(two, latents))
