"""What a bundle brings for compression: decoders in integers, their tables, and how well they do.

keras_program.py keras_weights.py building.py nodes.py   a Keras decoder as a program of few kinds of operation
computing.py sensitivity.py                              what the program computes, in real numbers
precisions.py integer_weights.py emitting.py network.py  the program as steps of an integer decoder
linear.py                                                principal components, which need no network
encoding.py subject.py ladder.py *_subject.py            latents of the exported encoder; steps and what they lose
fitting*.py                                              entropy models and tables
scales.py comparison.py verdict.py                       units; is the network worth it
options.py training_data.py assembling.py                all of it, as files of a bundle
"""

from aetool_exporters.compression.assembling import COMPRESSION_PATH, bring_compression
from aetool_exporters.compression.options import CODECS, CompressionOptions
from aetool_exporters.compression.training_data import first_samples, split_samples

__all__ = ["CODECS", "COMPRESSION_PATH", "CompressionOptions", "bring_compression", "first_samples", "split_samples"]
