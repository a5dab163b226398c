"""The error tree is the one that is drawn, every class has its exit code, and a message says what to do."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from aetool_runtime import errors
from aetool_runtime.errors import AetoolError, UnsupportedOperatorError

LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<code>\d+)? +(?P<text>\S.*)$")
CLASSES = [getattr(errors, name) for name in errors.__all__]


def drawn() -> dict[str, tuple[str | None, int]]:
    """name → (name of its parent, exit code), read from the drawing; a line without a code has its parent's."""
    tree: dict[str, tuple[str | None, int]] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = LINE.match(line)
        if not found:
            continue
        depth, name = len(found["indent"]) // 4, found["name"]
        branch = [pair for pair in branch if pair[0] < depth]
        parent = branch[-1][1] if branch else None
        tree[name] = (parent, int(found["code"]) if found["code"] else tree[str(parent)][1])
        branch.append((depth, name))
    return tree


def test_the_drawing_is_the_tree() -> None:
    built = {
        cls.__name__: (None if cls is AetoolError else cls.__bases__[0].__name__, cls.exit_code) for cls in CLASSES
    }
    assert drawn() == built
    assert len(drawn()) > 15


def test_every_class_is_public_and_nothing_else() -> None:
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)


EXIT_CODES = {
    "AetoolError": 1,
    "UsageError": 2,
    "InputError": 3,
    "ModelError": 3,
    "ManifestError": 3,
    "VersionError": 3,
    "ConversionError": 4,
    "UnsupportedOperatorError": 4,
    "ParityError": 5,
    "BudgetError": 6,
    "IntegrityError": 7,
    "DigestError": 7,
    "TruncatedError": 7,
    "DamagedStreamError": 7,
    "WrongBundleError": 7,
    "UnsafeError": 7,
    "UnavailableError": 8,
    "BackendError": 8,
    "DeviceError": 8,
    "DependencyError": 8,
    "InterruptedRun": 130,
}


def test_exit_codes_are_a_promise() -> None:
    """Scripts rely on them: this table is written twice on purpose."""
    assert {cls.__name__: cls.exit_code for cls in CLASSES} == EXIT_CODES


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling_and_copying(cls: type[AetoolError]) -> None:
    error = cls("met", where="layer 3", expected="float32", hint="cast it")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(twin) is cls
        assert (twin.what, twin.where, twin.expected, twin.hint) == ("met", "layer 3", "float32", "cast it")
        assert str(twin) == str(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_says_what_it_is_for(cls: type[AetoolError]) -> None:
    assert cls.__doc__


TEXTS = {
    "only what": ({}, "the shape is [2, 3]"),
    "where": ({"where": "a.npy"}, "a.npy: the shape is [2, 3]"),
    "expected": ({"expected": "[2, 4]"}, "the shape is [2, 3]; expected [2, 4]"),
    "hint": ({"hint": "transpose it"}, "the shape is [2, 3]\n  try: transpose it"),
    "all": (
        {"where": "a.npy", "expected": "[2, 4]", "hint": "transpose it"},
        "a.npy: the shape is [2, 3]; expected [2, 4]\n  try: transpose it",
    ),
}


@pytest.mark.parametrize(("members", "text"), TEXTS.values(), ids=TEXTS)
def test_a_message_says(members: dict[str, str], text: str) -> None:
    assert str(UnsupportedOperatorError("the shape is [2, 3]", **members)) == text
