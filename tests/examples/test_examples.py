"""Every example runs: an epoch on few data, exported to both formats, verified. Figures are not looked at."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/config.toml"))
PAGE = ROOT / "docs" / "families.md"
PNG = b"\x89PNG\r\n\x1a\n"
EVERY_EXAMPLE = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What ``run.py --fast`` says of each example, and where it left things."""
    output = tmp_path_factory.mktemp("examples")
    told = output / "outcomes.json"
    command = [sys.executable, str(EXAMPLES / "run.py"), "--fast", "-o", str(output), "--json", str(told)]
    subprocess.run(command, cwd=output, capture_output=True, timeout=900)
    return {outcome["name"]: outcome for outcome in json.loads(told.read_text("utf-8"))}, output


@pytest.mark.slow
def test_the_table_has_a_row_for_every_folder(run: tuple[dict[str, Any], Path]) -> None:
    assert sorted(run[0]) == NAMES


@pytest.mark.slow
@EVERY_EXAMPLE
def test_an_example_runs(run: tuple[dict[str, Any], Path], name: str) -> None:
    outcomes, output = run
    if outcomes[name]["skipped"]:
        pytest.skip(outcomes[name]["skipped"])
    assert outcomes[name]["failed"] == ""
    assert outcomes[name]["parity"]
    assert (output / name / "picture.png").read_bytes().startswith(PNG)


@EVERY_EXAMPLE
def test_an_example_has_its_page_and_picture(name: str) -> None:
    page, picture = EXAMPLES / name / "README.md", EXAMPLES / name / "picture.png"
    text = page.read_text("utf-8")
    assert f"examples/run.py {name}" in text
    assert "| verdict | **" in text
    assert "(picture.png)" in text
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size < 60_000


@EVERY_EXAMPLE
def test_an_example_is_in_both_lists(name: str) -> None:
    assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text("utf-8")
    assert f"](../examples/{name}/README.md)" in PAGE.read_text("utf-8")


@EVERY_EXAMPLE
def test_every_configuration_is_read(name: str) -> None:
    from aetool.config import load_config

    for path in (EXAMPLES / name).glob("*.toml"):
        assert load_config(path).training.seed == 0


@EVERY_EXAMPLE
def test_a_page_and_the_list_say_the_same(name: str) -> None:
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if f"[{name}]" in line)
    verdict = row.rstrip("| ").rpartition("|")[2].strip()
    assert f"**{verdict}**" in (EXAMPLES / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", [PAGE, *EXAMPLES.rglob("README.md")], ids=lambda page: page.parent.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
