"""What goes with what: sections of a configuration that exclude each other, and what the data rules out."""

from __future__ import annotations

from typing import Any

from aetool.config import Config, PenaltyConfig, TaskConfig, VariationalLatent, VectorQuantizedLatent
from aetool.models.linear import has_linear_path
from aetool_runtime.errors import UsageError

__all__ = ["check_config", "check_model", "input_shape"]

_TOKENS = "sparse_categorical_crossentropy"


def check_config(config: Config) -> None:
    """Refuse what no data can make right.

    Raises:
        UsageError: names both sections.
    """
    activation = getattr(config.model, "latent_activation", "linear")
    if config.penalty.kl and activation != "sigmoid":
        raise UsageError(
            f"[penalty] kl is for a latent between 0 and 1, and this one is {activation}",
            expected='latent_activation = "sigmoid"',
            hint="set it in [model], of a family that has it (dense), or use [penalty] l1",
        )
    if isinstance(config.latent, VariationalLatent) and activation != "linear":
        raise UsageError(
            f"a variational latent has mean and log-variance of any size, and this one is {activation}",
            expected='[model] latent_activation = "linear"',
        )
    if isinstance(config.latent, VectorQuantizedLatent) and config.penalty != PenaltyConfig():
        raise UsageError("[penalty] is for real values, and a vector-quantized latent is integers")
    if config.task.residual and config.latent.kind != "plain":
        raise UsageError(
            f"[task] residual carries an image in the latent, and [latent] {config.latent.kind} changes it"
        )
    if config.task.residual and config.model.family == "custom":
        raise UsageError("[task] residual is for the families of aetool, and [model] family is custom")
    if has_linear_path(config.model):
        _check_linear_path(config)
    if config.compression.weight:
        _check_compression(config)
    if config.training.loss == _TOKENS:
        _check_tokens(config)


def _check_linear_path(config: Config) -> None:
    if config.latent.kind != "plain":
        raise UsageError(f"principal components are a plain latent, and [latent] kind is {config.latent.kind}")
    if config.task.kind != "reconstruction":
        raise UsageError("principal components are for reconstruction, and [task] kind is super_resolution")


def _check_compression(config: Config) -> None:
    activation = getattr(config.model, "latent_activation", "linear")
    if config.latent.kind != "plain":
        raise UsageError(
            f"[compression] rounds a plain latent, and [latent] kind is {config.latent.kind}",
            hint='set [latent] kind = "plain", or leave [compression] out',
        )
    if activation != "linear":
        raise UsageError(
            f"[compression] rounds a latent of any size to integers, and this one is {activation}",
            expected='[model] latent_activation = "linear"',
        )
    if config.task.kind != "reconstruction":
        raise UsageError("[compression] is for reconstruction, and [task] kind is super_resolution")


def _check_tokens(config: Config) -> None:
    if config.task.kind != "reconstruction":
        raise UsageError("[task] super_resolution is for images, and [training] loss says tokens")
    if config.corruption.kind != "none":
        raise UsageError(f"[corruption] {config.corruption.kind} is for real values, and [training] loss says tokens")
    if config.compression.weight:
        raise UsageError("[compression] is for real values, and [training] loss says tokens")
    if config.penalty.contractive:
        raise UsageError("[penalty] contractive is for real values, and [training] loss says tokens")
    if config.data.normalization != "none":
        raise UsageError(
            f'[data] normalization is "{config.data.normalization}", and [training] loss says tokens',
            expected='normalization = "none"',
        )


def check_model(config: Config, encoder: Any) -> None:
    """Refuse a loss that is not for what the encoder takes.

    Raises:
        UsageError: names the loss.
    """
    takes_tokens = str(encoder.inputs[0].dtype).startswith("int")
    if takes_tokens != (config.training.loss == _TOKENS):
        raise UsageError(
            f"[training] loss {config.training.loss} does not go with a model that takes "
            + ("tokens" if takes_tokens else "real values"),
            expected=_TOKENS if takes_tokens else "mse, mae or binary_crossentropy",
        )


def input_shape(task: TaskConfig, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
    """What the encoder takes, without the batch dimension.

    Raises:
        UsageError: the task wants images whose size can be divided.
    """
    if task.kind == "reconstruction":
        return sample_shape
    if len(sample_shape) != 3 or any(size % task.factor for size in sample_shape[:2]):
        raise UsageError(
            f"samples of shape {list(sample_shape)} cannot be made smaller by {task.factor}",
            expected=f"[height, width, channels], the first two in multiples of {task.factor}",
            hint="set [data] sample_shape, or another [task] factor",
        )
    height, width, channels = sample_shape
    return height // task.factor, width // task.factor, channels
