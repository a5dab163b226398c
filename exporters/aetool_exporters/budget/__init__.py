"""A budget of quality, kept: the smallest artifacts that lose no more than the user accepts.

``Budget.parse("psnr:0.5")`` says what may be lost, a ``Meter`` measures it, ``search`` makes trials, a ``Keeper`` does
this for each format and verifies what is delivered.
"""

from aetool_exporters.budget.budget import Budget
from aetool_exporters.budget.frontier import FRONTIER_HEADER, Frontier, Trial, frontier_json, frontier_rows
from aetool_exporters.budget.keeping import BudgetOptions, Keeper
from aetool_exporters.budget.suitability import HeldOut

__all__ = [
    "FRONTIER_HEADER",
    "Budget",
    "BudgetOptions",
    "Frontier",
    "HeldOut",
    "Keeper",
    "Trial",
    "frontier_json",
    "frontier_rows",
]
