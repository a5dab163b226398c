# Every target does the set-up that it needs; only Python >= 3.11 with pip and make are taken for granted.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: compression-bench conformance fuzz-cpp setup demo examples test check bench zoo fuzz lock clean

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"aetool needs Python 3.11 or newer, this is {sys.version}"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)  ## train, export, verify and run on the built-in data, in under three minutes
	$(BIN)/aetool demo --output demo --overwrite

examples: $(READY)  ## train, export, verify and measure every example; exit code 0 only when every row holds
	$(BIN)/python examples/run.py

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(READY)  ## lint, types, boundaries
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## side by side with Keras and every engine; writes benchmarks/results
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/edge.py
	$(BIN)/python benchmarks/engines.py

MODELS ?= ../shared/models
zoo: $(READY)  ## export every model under MODELS, each held against Keras independently; writes benchmarks/results/zoo.*
	$(BIN)/python benchmarks/zoo.py $(MODELS)

FUZZ_SECONDS ?= 1800
fuzz: $(READY)  ## an hour of made-up streams, two kinds; what breaks the reader is kept in build/fuzz
	test -x build/fuzz/venv/bin/python || ($(PYTHON) -m venv build/fuzz/venv && build/fuzz/venv/bin/pip install --quiet atheris numpy)
	for kind in whole body; do \
	  PYTHONPATH=runtime:. build/fuzz/venv/bin/python -m tests.fuzz.fuzz_stream $$kind build/fuzz/$$kind \
	    -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/$$kind- || exit 1; \
	done

RATE_MODELS ?= build/compression
compression-bench: $(READY)  ## trains what compression is measured with (hours; goes on where it stopped), then measures; needs ../shared/data
	$(BIN)/python benchmarks/compression_training.py $(RATE_MODELS)
	$(BIN)/python benchmarks/compression.py $(RATE_MODELS)

conformance: $(READY)  ## every language against every other: installs what it needs (as root on Debian), prints and writes the table
	command -v qemu-aarch64 aarch64-linux-gnu-g++ g++ mvn node chromium > /dev/null || \
	  apt-get install -y -q qemu-user g++-aarch64-linux-gnu g++ maven nodejs npm chromium
	$(BIN)/python -m tests.conformance.run

fuzz-cpp: $(READY)  ## the C++ readers under clang's libFuzzer, FUZZ_SECONDS each; inputs are kept in build/fuzz-cpp
	for kind in manifest archive stream; do \
	  mkdir -p build/fuzz-cpp/$$kind && \
	  $(BIN)/python -m tests.cpp.seeds $$kind build/fuzz-cpp/$$kind && \
	  clang++ -std=c++17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Iruntime/cpp/include \
	    runtime/cpp/fuzz/fuzz_$$kind.cpp -o build/fuzz-cpp/fuzz_$$kind && \
	  AETOOL_FUZZ_BUNDLE=tests/vectors/compression/fixed.aepkg build/fuzz-cpp/fuzz_$$kind build/fuzz-cpp/$$kind \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=20000 -timeout=10 -artifact_prefix=build/fuzz-cpp/$$kind- || exit 1; \
	done

lock:  ## renew constraints.txt (versions and hashes, no addresses)
	test -x build/lock/bin/uv || ($(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv)
	build/lock/bin/uv pip compile pyproject.toml --extra workstation --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --upgrade --quiet --output-file constraints.txt

clean:
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache
