"""Compares a report with a saved one: what changed, and whether something got worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnst.bench.columns import COLUMNS, allowed, base, worsening
from segnst.bench.meters import OURS
from segnst.bench.report import FORMAT
from segnst.errors import InputError, UsageError
from segnst.untrusted import MAX_JSON_BYTES, first_line, parse_json, read_bytes

Report = dict[str, Any]


def load_report(path: Path) -> Report:
    """Read a saved report. Raises InputError when it is missing, broken or of another kind."""
    try:
        report = parse_json(read_bytes(path, MAX_JSON_BYTES, "file of saved results"))
    except ValueError as error:
        raise InputError(f"The saved results {path} are not JSON ({first_line(error)}).") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise InputError(
            f"{path} does not hold results of this benchmark ({FORMAT}). Measure again with -o to make such a file."
        )
    try:
        for clip in report["clips"].values():
            _ = (
                clip["frames"],
                clip["measured_with"],
                clip["size"],
                clip["sha256"],
                clip["mask"],
                clip["methods"].items(),
            )
        _ = report["plan"], report["weights"].items(), report["mean"].items(), report["settings"].items()
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(f"The saved results {path} are damaged: {error} is missing or wrong.") from error
    return report


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one clip (or the mean), before and now."""

    clip: str
    key: str
    old: float
    new: float
    verdict: str  # "worse", "better" or "same"

    def __str__(self) -> str:
        share = f" ({100 * (self.new - self.old) / abs(self.old):+.0f} %)" if self.old else ""
        return f"{self.verdict:6} {self.clip}  {self.key}: {self.old:.5g} -> {self.new:.5g}{share}"


@dataclass(frozen=True)
class Comparison:
    """All changes of one method, and remarks on what else differs between the two runs."""

    changes: tuple[Change, ...]
    remarks: tuple[str, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.verdict == "worse")

    def __str__(self) -> str:
        told = [str(c) for v in ("worse", "better") for c in self.changes if c.verdict == v]
        same = sum(c.verdict == "same" for c in self.changes)
        return "\n".join(
            [*self.remarks, *told, f"{len(self.worse)} figures worse, {same} of {len(self.changes)} as before"]
        )


def _differences(saved: Report, now: Report, clips: list[str]) -> list[str]:
    found = []
    if saved["plan"] != now["plan"]:
        found.append(f"the plan was {', '.join(saved['plan'])}, now {', '.join(now['plan'])}")
    words = {
        "frames": "frames measured",
        "size": "size",
        "measured_with": "flow to measure with",
        "mask": "mask",
        "sha256": "content (SHA-256)",
    }
    for name in clips:
        old, new = saved["clips"][name], now["clips"][name]
        found += [f"{name}: {word} was {old[k]}, now {new[k]}" for k, word in words.items() if old[k] != new[k]]
    return found


def refuse_early(saved: Report, plan: list[str], clips: Mapping[str, str]) -> None:
    """Refuse a comparison that is known to be impossible before anything is measured.

    plan, clips  of the new run; clips is {name: SHA-256}
    Raises UsageError where the plan or the content of a clip differs, or where no clip is in both.
    """
    found = []
    if saved["plan"] != plan:
        found.append(f"the plan was {', '.join(saved['plan'])}, now {', '.join(plan)}")
    found += [
        f"the content of {name} (its SHA-256) has changed"
        for name, digest in clips.items()
        if name in saved["clips"] and saved["clips"][name]["sha256"] != digest
    ]
    if not set(clips) & set(saved["clips"]):
        found.append(f"they are of {', '.join(saved['clips'])}, not of {', '.join(clips)}")
    if found:
        raise UsageError(f"The saved results cannot be compared with this run: {'; '.join(found)}. Or use --force.")


def _mean(clips: list[str], report: Report, method: str) -> Mapping[str, float]:
    rows = [report["clips"][name]["methods"].get(method, {}) for name in clips]
    keys = dict.fromkeys(k for row in rows for k in row)
    return {k: sum(row[k] for row in rows) / len(rows) for k in keys if all(k in row for row in rows)}


def compare(
    saved: Report, now: Report, *, tolerance: float = 0.1, force: bool = False, method: str = OURS
) -> Comparison:
    """What changed in ``method`` since the saved report, for each clip and in the mean over the clips of both.

    tolerance  share of the old figure by which a figure may get worse; a change of up to
               ``Column.noise`` always passes
    force      compare even where the plan, clips, number of frames or flow to measure with differ

    Raises UsageError when they differ (or no clip is in both, or the method was not measured).
    """
    clips = [name for name in saved["clips"] if name in now["clips"]]
    if not clips:
        raise UsageError(f"The saved results are of {', '.join(saved['clips'])}; none of these clips was measured now.")
    differences = _differences(saved, now, clips)
    if differences and not force:
        raise UsageError(
            f"The saved results cannot be compared with this run: {'; '.join(differences)}. Measure the same, or use "
            "--force."
        )
    for which, report in (("saved results", saved), ("new results", now)):
        if any(method not in report["clips"][name]["methods"] for name in clips):
            raise UsageError(f"The {which} lack the method {method}.")
    remarks = [f"note: {d}" for d in differences]
    for name, digest in saved["weights"].items():
        if now["weights"].get(name) != digest:
            remarks.append(f"note: the weights of {name} differ from the saved run's")
    remarks += [f"note: {name} was not measured now" for name in saved["clips"] if name not in clips]
    remarks += [f"note: {name} has no saved results" for name in now["clips"] if name not in clips]
    rows = [(n, saved["clips"][n]["methods"][method], now["clips"][n]["methods"][method]) for n in clips]
    if len(clips) > 1:
        rows.append(("mean", _mean(clips, saved, method), _mean(clips, now, method)))
    changes = []
    for name, old, new in rows:
        for key, before in old.items():
            if base(key) not in COLUMNS:
                continue
            if key not in new:
                remarks.append(f"note: {name}: {key} was measured in the saved run only")
                continue
            worse, limit = worsening(key, before, new[key]), allowed(key, before, tolerance)
            verdict = "worse" if worse > limit else "better" if worse < -limit else "same"
            changes.append(Change(name, key, before, new[key], verdict))
    return Comparison(tuple(changes), tuple(remarks))
