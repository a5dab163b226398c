"""Precisions below float32: passes over the float graph."""
