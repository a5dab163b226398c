"""Imbalanced data: groups of samples, what a sample of each counts for, and how well each is reconstructed."""

from aetool.balance.balance import Balance, find_balance
from aetool.balance.report import group_report

__all__ = ["Balance", "find_balance", "group_report"]
