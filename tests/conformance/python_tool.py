"""The Python runtime with the manners of the other languages' example programs."""

from __future__ import annotations

import sys

import numpy as np

from aetool_runtime import Compressor, Decompressor
from aetool_runtime.bundle import open_bundle
from aetool_runtime.compression.reading import read_compression
from aetool_runtime.errors import AetoolError
from aetool_runtime.selftest import self_test


def main(verb: str, path: str, *options: str) -> int:
    bundle = open_bundle(path)
    if verb == "selftest":
        return 0 if all(check.passed for check in self_test(bundle)) else 1
    if verb == "decompress":
        sys.stdout.buffer.write(
            np.ascontiguousarray(Decompressor(bundle).decompress(sys.stdin.buffer.read())).tobytes()
        )
        return 0
    shape = read_compression(bundle).sample_shape
    values = np.frombuffer(sys.stdin.buffer.read(), np.int16).reshape(-1, *[size or 1 for size in shape[1:]])
    given = dict(zip(options[::2], options[1::2], strict=True))
    goal = (
        {"max_error": float(given["--max-error"])} if "--max-error" in given else {"quality": int(given["--quality"])}
    )
    with Compressor(bundle, **goal) as compressor:
        sys.stdout.buffer.write(compressor.compress(values, rows=True))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except AetoolError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
