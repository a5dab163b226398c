"""Choosing parameters: many short runs, and of them those that nothing else beats. Optuna chooses what is tried."""

from aetool.tuning.front import TrialRecord
from aetool.tuning.run import TrialDone, Tuning, tune
from aetool.tuning.search import OBJECTIVES, Search
from aetool.tuning.study_folder import saved_search

__all__ = ["OBJECTIVES", "Search", "TrialDone", "TrialRecord", "Tuning", "saved_search", "tune"]
