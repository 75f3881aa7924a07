"""The regression check: a short cut of the bundled clip with the bundled weights, against saved results.

Where a change of the figures is intended, ``make bench-ci-update`` writes results/stability_ci.json anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conftest import Run

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "results" / "stability_ci.json"


def test_nothing_got_worse_than_the_saved_results(stability: Run) -> None:
    command = re.search(r"^BENCH_CI := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    clip, *options = command[1].split()
    code, out, err = stability(ROOT / clip, *options, "--quiet", "--against", SAVED)
    assert code == 0, out + err
    assert "0 figures worse" in out


def test_the_saved_results_are_of_the_bundled_files() -> None:
    saved = json.loads(SAVED.read_text())
    assert set(saved["weights"]) == {"starry_night"}
    assert saved["clips"]["street"]["measured_with"] == "truth"
    assert str(ROOT.parent) not in SAVED.read_text()
