"""``--help`` with its options in named groups, in plain text that fits 80 columns, on a terminal and in a pipe."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

# the order of the groups; a command has those that its options name
ORDER = (
    "What", "Where", "Look", "Steadiness", "Losses", "Optimizing", "Training", "The steps", "Measuring",
    "Reading and writing", "Running",
)  # fmt: skip
OTHERS = "Options"
_WIDEST = 28  # characters; help of a longer option begins on the next line


class GroupedCommand(TyperCommand):
    """A command that shows its options under the headings that they name (``rich_help_panel`` in typer's words)."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options group by group; ``--help`` stands in the last group."""
        arguments: list[tuple[str, str]] = []
        groups: dict[str, list[tuple[str, str]]] = {}
        last: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                arguments.append((param.metavar or record[0], record[1]))
            elif param.name == "help":
                last.append(record)
            else:
                groups.setdefault(getattr(param, "rich_help_panel", None) or OTHERS, []).append(record)
        names = sorted(groups, key=lambda name: ORDER.index(name) if name in ORDER else -1)
        groups.setdefault(names[-1] if names else OTHERS, []).extend(last)
        sections = [("Arguments", arguments), *((name, groups[name]) for name in names or [OTHERS])]
        rows = [left for _, records in sections for left, _ in records]
        width = max((len(left) for left in rows if len(left) <= _WIDEST), default=0)
        for name, records in sections:
            if records:
                with formatter.section(name):
                    # the same width everywhere, so that all groups have one left edge
                    formatter.write_dl([(left.ljust(width), _in_words(right)) for left, right in records], width)


def _in_words(text: str) -> str:
    """Limits as words where typer has formulas, and in one pair of brackets with the default."""
    text = re.sub(r"(; )?x>=[01](?=[;\]])", "", text)  # as everyone would expect
    text = re.sub(r"x>=(\d+)", r"at least \1", text)
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    text = re.sub(r"default: \(([^()]*)\)", r"default: \1", text)
    return text.replace("]  [", "; ").removesuffix("  []")
