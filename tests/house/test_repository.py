"""What is in the repository belongs to everyone: no machine of ours, no address that packages come from."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# In pieces, for this file is searched as well.
HOSTS = [
    "".join(pieces)
    for pieces in [
        ("pypi", ".org"), ("python", "hosted"), ("registry.", "npmjs"), ("repo1.", "maven"), ("repo.maven", ".apache"),
        ("proxy.", "golang"), ("conda", ".anaconda"), ("crates", ".io"), ("deb.", "debian"), ("index", "-url"),
    ]
]  # fmt: skip
MACHINE_PATH = re.compile(rb"(?<![\w.$}>/~:-])/(?:home|root|work|Users|mnt|srv|opt|var|builds?)/[\w.-]+")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_path_of_a_machine() -> None:
    met = {str(path.relative_to(ROOT)): MACHINE_PATH.findall(path.read_bytes()) for path in tracked()}
    assert {name: paths for name, paths in met.items() if paths} == {}


def test_no_file_names_a_place_that_packages_come_from() -> None:
    met = [
        (str(path.relative_to(ROOT)), host)
        for path in tracked()
        for host in HOSTS
        if host.encode() in path.read_bytes()
    ]
    allowed = {("Makefile", HOSTS[-1])}  # the option that keeps the address out of constraints.txt
    assert set(met) - allowed == set()


def test_every_file_is_small() -> None:
    assert [path.name for path in tracked() if path.stat().st_size > 2 << 20] == []


def test_text_files_end_with_a_line_feed_and_have_no_carriage_returns() -> None:
    kinds = {".py", ".md", ".toml", ".txt", ".json", ""}
    texts = [path for path in tracked() if path.suffix in kinds and path.stat().st_size]
    assert [path.name for path in texts if not path.read_bytes().endswith(b"\n") or b"\r" in path.read_bytes()] == []


# --- constraints.txt ---


def pins() -> dict[str, list[str]]:
    """name==version → its hashes."""
    found: dict[str, list[str]] = {}
    for line in CONSTRAINTS.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            found[line.split()[0]] = re.findall(r"--hash=(\S+)", line)
    return found


def test_every_pin_is_exact_and_has_a_hash() -> None:
    assert len(pins()) > 50
    assert [pin for pin in pins() if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*==\d\S*", pin)] == []
    assert [pin for pin, hashes in pins().items() if not hashes] == []
    assert {
        digest for hashes in pins().values() for digest in hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    } == set()


def test_no_pin_has_an_address() -> None:
    assert "://" not in CONSTRAINTS
    assert " @ " not in CONSTRAINTS


def test_everything_that_a_workstation_installs_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    others = ("gpu", "openvino", "compare")
    asked = [*PROJECT["dependencies"], *(line for name in extras if name not in others for line in extras[name])]
    names = {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in asked} - {"aetool"}
    assert names - {pin.split("==")[0] for pin in pins()} == set()


def test_the_extras_that_exclude_each_other_are_declared_so() -> None:
    conflicts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["conflicts"]
    assert [{"extra": "cpu"}, {"extra": "gpu"}] in conflicts
