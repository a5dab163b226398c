"""The demo: what a newcomer watches, in under three minutes on two cores."""

from aetool.demo.story import MODELS, Chapter, tell

__all__ = ["MODELS", "Chapter", "tell"]
