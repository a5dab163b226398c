"""A whole run: all sections together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from aetool.config.balance import BalanceConfig
from aetool.config.compression import CompressionConfig
from aetool.config.data import DataConfig
from aetool.config.goal import CorruptionConfig, PenaltyConfig, TaskConfig
from aetool.config.latent import LatentConfig, PlainLatent
from aetool.config.model import ModelConfig
from aetool.config.training import TrainingConfig

__all__ = ["SECTIONS", "Config", "config_differences"]

# As they are written.
SECTIONS = ("data", "model", "latent", "task", "corruption", "penalty", "compression", "balance", "training")


@dataclass(frozen=True)
class Config:
    """A whole run, all defaults resolved."""

    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig = field(default_factory=PlainLatent)
    task: TaskConfig = field(default_factory=TaskConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    compression: CompressionConfig = field(default_factory=CompressionConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)


def config_differences(ours: Config, theirs: Config) -> list[str]:
    """Paths whose values differ, such as ``training.epochs``; a path of one of the two only differs as well."""
    one, other = _flat(ours), _flat(theirs)
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def _flat(config: Config) -> dict[str, Any]:
    return {f"{s}.{key}": value for s, table in dataclasses.asdict(config).items() for key, value in table.items()}
