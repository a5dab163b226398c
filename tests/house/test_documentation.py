"""What a person reads is complete: every command and option is explained, every link leads somewhere."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

from aetool.cli import COMMANDS
from aetool_runtime.backends import plugin_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TEXTS = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "runtime/FORMAT.md",
    "tests/vectors/README.md",
]
EVERY_COMMAND = pytest.mark.parametrize("verb", COMMANDS)


def command(verb: str) -> click.Command:
    found = importlib.import_module(COMMANDS[verb][0]).command
    assert isinstance(found, click.Command)
    return found


def section(verb: str) -> str:
    """What README says below a command's heading."""
    heading = re.search(rf"^### `?aetool {verb}`?$", README, re.MULTILINE)
    assert heading, f"README.md has no heading '### aetool {verb}'"
    rest = README[heading.end() :]
    return re.split(r"^#{1,3} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


@EVERY_COMMAND
def test_a_command_is_what_it_is_called(verb: str) -> None:
    assert command(verb).name == verb


@EVERY_COMMAND
def test_a_command_says_what_it_does(verb: str) -> None:
    line = COMMANDS[verb][1]
    assert line.endswith(".")
    assert len(line) < 80
    assert command(verb).help


@EVERY_COMMAND
def test_every_option_says_what_it_is_for(verb: str) -> None:
    options = [option for option in command(verb).params if isinstance(option, click.Option)]
    assert [option.opts for option in options if not (option.help or "").strip()] == []
    assert [] == []


@EVERY_COMMAND
def test_options_are_written_alike(verb: str) -> None:
    names = [name for option in command(verb).params if isinstance(option, click.Option) for name in option.opts]
    assert [name for name in names if not re.fullmatch(r"-[a-z]|--[a-z0-9]+(-[a-z0-9]+)*", name)] == []
    assert "--json" in names


@EVERY_COMMAND
def test_a_command_is_documented_under_its_own_heading(verb: str) -> None:
    assert section(verb).strip()


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    assert set(re.findall(r"^### `?aetool (\S+?)`?$", README, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("group", ["aetool.backends", "aetool.exporters"])
def test_every_plug_in_point_is_explained(group: str) -> None:
    assert group in README
    for name in plugin_names(group):
        assert name in README.lower()


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_python_example_parses(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for code in re.findall(r"^```(?:python|py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        compile(code, name, "exec")
