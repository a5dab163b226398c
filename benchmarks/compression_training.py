"""The models that compression is measured with, trained from nothing: blood-smear tiles, ECG and motion.

    python benchmarks/compression_training.py OUTPUT [--data ../shared/data] [--only NAME]

Each model is a checkpoint OUTPUT/NAME, made by `aetool train` in a process of its own from a preset and the changes
below. What is finished is left as it is, what was interrupted goes on: the command can be stopped and started at will.

Data: pictures of BCCD, halved with an area filter, cut at random places, seeded, into tiles of 64 × 64, each turned or
mirrored; record 100 of the MIT-BIH database, whose last fifth is the test part; HAPT's recordings, by person. Of
pictures and of motion only the training part is read here: their test parts are for the benchmark.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from aetool.config import Config, config_text, load_preset
from aetool.config.tuning import with_values
from aetool.training import is_checkpoint

TILE, TILES_OF_A_PICTURE, SEED = 64, 108, 0
SHARED = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Recipe:
    """A model: a preset with changes, and the data that it learns from.

    Args:
        preset: its name.
        data: writes an array of samples or a recording to a path, from the folder of shared data.
        values: changes of the preset, by path.
    """

    preset: str
    data: Callable[[Path, Path], None]
    values: dict[str, Any]

    @property
    def config(self) -> Config:
        return with_values(load_preset(self.preset), self.values, "recipe")


def pictures(folder: Path, part: str) -> np.ndarray:
    """Of ``train``, ``val`` or ``test``: uint8 [n, 240, 320, 3]."""
    names = (folder / "bccd" / f"{part}.txt").read_text().split()
    opened = (Image.open(folder / "bccd" / "images" / f"{name}.jpg").convert("RGB") for name in names)
    return np.stack([np.asarray(picture.resize((320, 240), Image.Resampling.BOX)) for picture in opened])


def write_tiles(folder: Path, output: Path) -> None:
    """Tiles of the training pictures: uint8 [n, 64, 64, 3], in an order that mixes pictures."""
    random, whole = np.random.default_rng(SEED), pictures(folder, "train")
    count = len(whole) * TILES_OF_A_PICTURE
    tiles = np.lib.format.open_memmap(output, "w+", np.uint8, (count, TILE, TILE, 3))
    for number in range(count):
        picture = whole[number % len(whole)]
        row, column, turns = (int(random.integers(n)) for n in (240 - TILE + 1, 320 - TILE + 1, 8))
        tile = np.rot90(picture[row : row + TILE, column : column + TILE], turns % 4)
        tiles[number] = tile[:, ::-1] if turns > 3 else tile
    tiles.flush()


def write_ecg(folder: Path, output: Path) -> None:
    """Record 100, whole: int16 [650000, 2]; the configuration splits it by time."""
    np.save(output, np.load(folder / "mitbih" / "record_100.npy"))


def write_motion(folder: Path, output: Path) -> None:
    """The recordings of the training persons, one behind the other: int16 [770774, 6]."""
    with np.load(folder / "hapt" / "hapt_int16.npz") as archive:
        np.save(output, archive["train"])


_TILES = {"data.split": [0.96, 0.02, 0.02]}
_ECG = {"data.split": [0.78, 0.02, 0.2]}
_LONG = {"data.stride": 4, "training.epochs": 8}
_MOTION = {"data.sample_shape": [128, -1], "data.split": [0.9, 0.05, 0.05]}
RECIPES = {
    "tiles-36": Recipe(
        "compress-tiles",
        write_tiles,
        _TILES | {"compression.weight": 0.6, "training.learning_rate": 0.002, "training.epochs": 4},
    ),
    "tiles-40": Recipe("compress-tiles", write_tiles, _TILES | {"compression.weight": 0.11, "training.epochs": 12}),
    "tiles-linear": Recipe("linear-tiles", write_tiles, _TILES),
    "ecg-low": Recipe("compress-ecg", write_ecg, _ECG | _LONG | {"compression.weight": 0.16}),
    "ecg-high": Recipe("compress-ecg", write_ecg, _ECG | _LONG | {"compression.weight": 0.045, "model.latent": 128}),
    "ecg-linear": Recipe("linear-ecg", write_ecg, _ECG),
    "motion": Recipe("compress-ecg", write_motion, _MOTION | {"data.stride": 16}),
    "motion-linear": Recipe("linear-ecg", write_motion, _MOTION | {"model.latent": 256}),
}


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path, exists=True), default=SHARED, help="Folder of shared data.")
@click.option("--only", multiple=True, type=click.Choice(list(RECIPES)), help="Of the models, instead of all.")
@click.option("--epochs", type=int, help="Instead of the recipes'; to try the command out.")
def main(output: Path, data: Path, only: tuple[str, ...], epochs: int | None) -> None:
    """Train what is not there yet."""
    output.mkdir(parents=True, exist_ok=True)
    for name in only or RECIPES:
        train(name, RECIPES[name], data, output, epochs)


def train(name: str, recipe: Recipe, shared: Path, output: Path, epochs: int | None) -> None:
    """One model, in a process of its own; goes on where it was interrupted."""
    target, samples = output / name, output / f"{recipe.data.__name__.removeprefix('write_')}.npy"
    if is_checkpoint(target):
        click.echo(f"{name}: there already")
        return
    if not samples.exists():
        partial = samples.with_suffix(".partial.npy")
        recipe.data(shared, partial)
        partial.replace(samples)
    config = recipe.config
    if epochs is not None:
        config = replace(config, training=replace(config.training, epochs=epochs))
    written = output / f"{name}.toml"
    written.write_text(config_text(config), encoding="utf-8")
    begun = (target / "training").is_dir()
    command = ["train", *(["--resume"] if begun else [str(written)]), str(samples), "-o", str(target)]
    click.echo(f"{name}: {'going on' if begun else 'training'}")
    subprocess.run([sys.executable, "-m", "aetool", *command], check=True)


if __name__ == "__main__":
    main()
