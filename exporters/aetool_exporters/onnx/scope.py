"""Which new name stands for an old one, in a graph and in the bodies inside it."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Scope"]


class Scope:
    """Old names → new names of one graph; what it does not know, the graph around it does.

    Args:
        name: the graph's own new name.
        prefix: what new names here start with; "" in the outermost graph only.
        kept: names that keep themselves: the interface of the outermost graph.
        outer: the scope around a body.
    """

    def __init__(self, name: str, prefix: str, kept: frozenset[str], outer: Scope | None) -> None:
        self.name = name
        self.prefix = prefix
        self._kept = kept
        self._outer = outer
        self._names: dict[str, str] = {"": ""}

    @classmethod
    def outermost(cls, interface: Iterable[str]) -> Scope:
        """The scope of a model's graph, whose inputs and outputs keep their names."""
        return cls("main", "", frozenset(interface), None)

    def inner(self, path: str) -> Scope:
        """The scope of a body, named after the node and attribute that it hangs on."""
        return Scope(path.rpartition("/")[2], f"{path}/", self._kept, self)

    def name_tensor(self, old: str, new: str) -> None:
        """Give a tensor made in this graph its new name."""
        if old == "" or old in self._names:
            return
        if old in self._kept and self._outer is None:
            self._names[old] = old
            return
        fresh = self.prefix + new
        while fresh in self._kept:
            fresh += "'"
        self._names[old] = fresh

    def __getitem__(self, old: str) -> str:
        if old in self._names:
            return self._names[old]
        if self._outer is None:
            raise KeyError(old)
        return self._outer[old]
