"""What a run is told: one TOML file with a section for each of its parts; only ``[model] family`` has no default.

Frozen. Reading is strict: a key that is not known, or a value of the wrong type or range, is an error that names the
path. What was resolved is written back and reads equal.
"""

from aetool.config.balance import BalanceConfig
from aetool.config.compression import CompressionConfig
from aetool.config.data import DataConfig
from aetool.config.goal import CorruptionConfig, PenaltyConfig, TaskConfig
from aetool.config.latent import (
    AdversarialLatent,
    LatentConfig,
    PlainLatent,
    VariationalLatent,
    VectorQuantizedLatent,
)
from aetool.config.model import (
    Activation,
    Conv1dModel,
    Conv2dModel,
    CustomModel,
    DenseModel,
    LinearModel,
    ModelConfig,
    RecurrentModel,
    TextModel,
)
from aetool.config.reading import config_text, load_config, load_preset, parse_config, preset_names
from aetool.config.run import Config, config_differences
from aetool.config.training import TrainingConfig

__all__ = [
    "Activation",
    "AdversarialLatent",
    "BalanceConfig",
    "CompressionConfig",
    "Config",
    "Conv1dModel",
    "Conv2dModel",
    "CorruptionConfig",
    "CustomModel",
    "DataConfig",
    "DenseModel",
    "LatentConfig",
    "LinearModel",
    "ModelConfig",
    "PenaltyConfig",
    "PlainLatent",
    "RecurrentModel",
    "TaskConfig",
    "TextModel",
    "TrainingConfig",
    "VariationalLatent",
    "VectorQuantizedLatent",
    "config_differences",
    "config_text",
    "load_config",
    "load_preset",
    "parse_config",
    "preset_names",
]
