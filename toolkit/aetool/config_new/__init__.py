"""What a run is told: one TOML file with the sections ``[data]``, ``[model]`` and ``[training]``.

Frozen, every value with a default except the model's family. Reading is strict: a key that is not known, or a value of
the wrong type or range, is an error that names the path. What was resolved is written back and reads equal.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from aetool.data.packages import import_package
from aetool.data.statistics import Kind, Scope
from aetool_runtime.errors import InputError, UsageError

__all__ = [
    "Config",
    "Conv1dModel",
    "Conv2dModel",
    "DataConfig",
    "DenseModel",
    "ModelConfig",
    "TrainingConfig",
    "config_differences",
    "config_text",
    "load_config",
    "load_preset",
    "parse_config",
    "preset_names",
]

_PRESETS = Path(__file__).parent / "presets"

Activation: TypeAlias = Literal[
    "linear", "relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "softplus"
]  # those that every export target has
Loss: TypeAlias = Literal["mse", "mae", "binary_crossentropy"]
Schedule: TypeAlias = Literal["constant", "cosine"]


@dataclass(frozen=True)
class DataConfig:
    """[data]: how the data is read, split and normalized.

    Args:
        sample_shape: of one sample; ``()`` takes the data's own, ``(-1,)`` flattens it, ``(256, -1)`` cuts a recording
            into windows of 256 time steps with all its channels.
        stride: time steps between the starts of training windows; 0 for windows that do not overlap. Validation and
            test windows never overlap.
        split: shares of training, validation and test part, each > 0, together 1.
        split_seed: of the permutation of independent samples.
        normalization: ``none``, ``minmax`` (to 0 … 1) or ``standard`` (mean 0, deviation 1), learned in training.
        normalization_scope: ``global``, ``channel`` (the last axis), or ``auto``: see ``learn_normalization``.
        image_size: (height, width) to resize a folder's images to; ``()`` wants them all of one size.
    """

    sample_shape: tuple[int, ...] = ()
    stride: int = 0
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    split_seed: int = 0
    normalization: Kind = "standard"
    normalization_scope: Scope = "auto"
    image_size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _want(all(size > 0 or size == -1 for size in self.sample_shape), "sample_shape holds sizes > 0, or -1")
        _want(self.stride >= 0, "stride must be >= 0")
        _want(self.split_seed >= 0, "split_seed must be >= 0")
        _want(all(share > 0 for share in self.split), "each share of split must be > 0")
        _want(math.isclose(sum(self.split), 1, abs_tol=1e-6), "the shares of split must add up to 1")
        _want(len(self.image_size) in (0, 2), "image_size holds height and width")
        _want(all(size > 0 for size in self.image_size), "image_size holds sizes > 0")


@dataclass(frozen=True)
class DenseModel:
    """[model] family = "dense": fully connected layers, mirrored; any sample shape.

    Args:
        latent: values per sample that the encoder returns.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: of the hidden layers.
        latent_activation: of the encoder's last layer.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: Literal["dense"] = "dense"
    latent: int = 32
    hidden: tuple[int, ...] = (64,)
    activation: Activation = "relu"
    latent_activation: Activation = "linear"
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        _want(self.latent > 0, "latent must be > 0")
        _want(all(width > 0 for width in self.hidden), "hidden holds widths > 0")


@dataclass(frozen=True)
class _ConvModel:
    """Strided convolutions, then a dense layer to the latent; mirrored with transposed convolutions.

    Args:
        latent: values per sample that the encoder returns.
        filters: channels of each convolution; each halves the size, so sizes must be multiples of 2^len(filters).
        kernel: size of the convolutions.
        batch_norm: batch normalization after each convolution but the last.
        activation: of all convolutions but the decoder's last.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: str = ""
    latent: int = 32
    filters: tuple[int, ...] = (16, 32)
    kernel: int = 3
    batch_norm: bool = False
    activation: Activation = "relu"
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        _want(self.latent > 0, "latent must be > 0")
        _want(self.kernel > 0, "kernel must be > 0")
        _want(bool(self.filters) and all(count > 0 for count in self.filters), "filters holds counts > 0")


@dataclass(frozen=True)
class Conv1dModel(_ConvModel):
    """[model] family = "conv1d": windows [time, channels]."""

    family: Literal["conv1d"] = "conv1d"
    kernel: int = 7


@dataclass(frozen=True)
class Conv2dModel(_ConvModel):
    """[model] family = "conv2d": images [height, width, channels]."""

    family: Literal["conv2d"] = "conv2d"


ModelConfig: TypeAlias = DenseModel | Conv1dModel | Conv2dModel
_FAMILIES: dict[str, type[ModelConfig]] = {"dense": DenseModel, "conv1d": Conv1dModel, "conv2d": Conv2dModel}


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: how the model is trained.

    Args:
        epochs: at most; early stopping may end sooner.
        batch_size: samples per step.
        loss: between normalized input and reconstruction.
        optimizer: any optimizer of Keras, by name.
        learning_rate: > 0.
        schedule: ``constant``, or ``cosine``: falls to 0 over all epochs along half a cosine.
        patience: epochs without a better validation loss before training stops; 0 never stops early. The weights
            with the best validation loss are kept in any case.
        min_delta: by how much a validation loss must be lower to be better.
        seed: of initial weights and of each epoch's order.
        save_seconds: inside an epoch, the state is saved this often; at its end it always is.
    """

    epochs: int = 50
    batch_size: int = 64
    loss: Loss = "mse"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    patience: int = 0
    min_delta: float = 0.0
    seed: int = 0
    save_seconds: float = 30.0

    def __post_init__(self) -> None:
        _want(self.epochs > 0, "epochs must be > 0")
        _want(self.batch_size > 0, "batch_size must be > 0")
        _want(0 < self.learning_rate < math.inf, "learning_rate must be > 0")
        _want(self.patience >= 0, "patience must be >= 0")
        _want(self.min_delta >= 0, "min_delta must be >= 0")
        _want(0 <= self.seed < 2**31, "seed must be between 0 and 2147483647")
        _want(self.save_seconds >= 0, "save_seconds must be >= 0")


@dataclass(frozen=True)
class Config:
    """A whole run, all defaults resolved."""

    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def _want(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def preset_names() -> list[str]:
    """The presets that come with aetool."""
    return sorted(path.stem for path in _PRESETS.glob("*.toml"))


def load_preset(name: str) -> Config:
    """Read a preset.

    Raises:
        UsageError: no such preset; suggests the nearest.
    """
    if name not in preset_names():
        raise UsageError(
            f"there is no preset {name!r}", expected=", ".join(preset_names()), hint=_near(name, preset_names())
        )
    return load_config(_PRESETS / f"{name}.toml")


def load_config(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        InputError: not there, or not TOML.
        UsageError: a key or value that is not known; names the path.
    """
    try:
        return parse_config(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path), expected="TOML") from error


def parse_config(text: str, where: str = "configuration") -> Config:
    """Read a configuration from TOML text.

    Raises:
        InputError: not TOML.
        UsageError: a key or value that is not known; names the path.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML ({error})", where=where) from error
    _check_keys(table, ["data", "model", "training"], "", where)
    for name, section in table.items():
        if not isinstance(section, dict):
            raise UsageError(f"{name} is {section!r}", where=where, expected=f"a section [{name}]")
    model = table.get("model", {})
    return Config(
        model=_convert(model, _family(model, where), "model", where),
        data=_convert(table.get("data", {}), DataConfig, "data", where),
        training=_convert(table.get("training", {}), TrainingConfig, "training", where),
    )


def _family(model: Mapping[str, Any], where: str) -> type[ModelConfig]:
    family = model.get("family")
    if isinstance(family, str) and family in _FAMILIES:
        return _FAMILIES[family]
    met = "model.family is missing" if family is None else f"model.family is {family!r}"
    raise UsageError(met, where=where, expected=", ".join(_FAMILIES), hint=_near(str(family), _FAMILIES))


def _convert(table: Mapping[str, Any], kind: type[Any], section: str, where: str) -> Any:
    msgspec = import_package("msgspec", extra="train")
    _check_keys(table, [item.name for item in dataclasses.fields(kind)], f"{section}.", where)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        place = path.strip(".`")
        if not place:  # a range: the message names the key
            raise UsageError(f"[{section}] {message}", where=where) from error
        raise _wrong_value(table, kind, section, place, message, where) from error


def _wrong_value(
    table: Mapping[str, Any], kind: type[Any], section: str, place: str, message: str, where: str
) -> UsageError:
    """``place`` is like ``epochs`` or ``split[0]``."""
    key, _, index = place.partition("[")
    value = table[key][int(index.rstrip("]"))] if index else table[key]
    choices = get_args(get_type_hints(kind)[key]) if message.startswith("Invalid enum") else ()
    return UsageError(
        f"{section}.{place} is {value!r}",
        where=where,
        expected=", ".join(choices) or message.removeprefix("Expected "),
        hint=_near(str(value), choices),
    )


def _check_keys(table: Mapping[str, Any], known: list[str], prefix: str, where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(
                f"{prefix}{key} is not known",
                where=where,
                expected=f"one of {', '.join(known)}",
                hint=_near(key, known),
            )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def config_text(config: Config) -> str:
    """The whole configuration as TOML, all defaults written out."""
    writer = import_package("tomli_w", extra="train")
    table = dataclasses.asdict(config)
    return str(writer.dumps({section: table[section] for section in ("data", "model", "training")}))


def config_differences(ours: Config, theirs: Config) -> list[str]:
    """Paths whose values differ, such as ``training.epochs``; a path of one of the two only differs as well."""
    one, other = _flat(ours), _flat(theirs)
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def _flat(config: Config) -> dict[str, Any]:
    return {f"{s}.{key}": value for s, table in dataclasses.asdict(config).items() for key, value in table.items()}
