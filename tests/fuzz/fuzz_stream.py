"""Feeds the reader of streams with bytes that atheris makes up: `make fuzz`.

    python -m tests.fuzz.fuzz_stream whole|body CORPUS [options of libFuzzer, such as -max_total_time=3600]

An input that ends in anything but a named error, or takes longer than ten seconds, stops it and is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aetool_runtime"]):
    from tests.fuzz.targets import TARGETS, seeds


def main() -> None:
    name, corpus = sys.argv[1], Path(sys.argv[2])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, (target, data) in enumerate(seeds()):
        if target == name:
            (corpus / f"seed{number}").write_bytes(data)
    options = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", *sys.argv[3:]]
    atheris.Setup([sys.argv[0], str(corpus), *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
