"""Training: data and a configuration in, a checkpoint out. TensorFlow is imported when a function needs it."""

from aetool.training.checkpoint import Checkpoint, is_checkpoint, load_checkpoint
from aetool.training.events import EpochDone, Event, Notice, StepsDone
from aetool.training.plan import Plan, plan_training
from aetool.training.run import train
from aetool.training.run_folder import saved_config

__all__ = [
    "Checkpoint",
    "EpochDone",
    "Event",
    "Notice",
    "Plan",
    "StepsDone",
    "is_checkpoint",
    "load_checkpoint",
    "plan_training",
    "saved_config",
    "train",
]
