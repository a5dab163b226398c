"""Bundles on disk that compress, and what the tests compress with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.runtime.tiny import golden_of, model_of, onnx_files

from aetool_exporters.bundle_writer import bundle_files, write_folder
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.reading import DATA_PATH, format_compression

__all__ = ["bundle_with", "folder_with", "linear_only"]

COMPRESSION_PATH = "compression.json"


def linear_only(made: Compression) -> Compression:
    """Without the codecs that need the bundle's encoder."""
    return replace(made, codecs=tuple(codec for codec in made.codecs if codec.encoder == "adjoint"))


def files_with(compression: Compression) -> dict[str, bytes]:
    """The files of a bundle that brings this; its graphs are the smallest there are."""
    artifacts, files = onnx_files()
    manifest, golden = model_of(artifacts, golden_of())
    text, data = format_compression(compression)
    files = {**files, manifest.golden.path: golden, COMPRESSION_PATH: text, DATA_PATH: data}
    return bundle_files(replace(manifest, compression=COMPRESSION_PATH), files)


def folder_with(folder: Path, compression: Compression) -> Path:
    write_folder(folder, files_with(compression))
    return folder


def bundle_with(folder: Path, compression: Compression) -> Bundle:
    return open_bundle(folder_with(folder, compression))
