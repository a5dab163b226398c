"""The integer decoder of BITSTREAM.md, section 4: its steps checked, and run over batches, exactly.

shapes.py bounds.py checking.py     what a reader must refuse, before anything is run
arithmetic.py convolution.py        integers in floating point that holds them exactly
operations.py running.py            each step as a function of arrays, and all of them over batches
"""

from aetool_runtime.compression.decoder.checking import check_steps
from aetool_runtime.compression.decoder.running import IntegerDecoder

__all__ = ["IntegerDecoder", "check_steps"]
