"""``--help`` as plain text that fits 80 columns, with the options in named groups."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

# the order of the groups; a command shows those that have options
ORDER = (
    "What", "Where", "Look", "Steadiness", "Losses", "Optimizing", "Training", "The steps", "Measuring",
    "Serving", "Uploads", "Reading and writing", "Running",
)  # fmt: skip
OTHERS = "Options"
_WIDEST = 28  # characters; the help of an option with a longer name begins on the next line


class GroupedCommand(TyperCommand):
    """A command whose help lists the options under the headings of their ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options by group; ``--help`` is in the last group."""
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
                    # one width for all groups, so that their help texts are aligned
                    formatter.write_dl([(left.ljust(width), _in_words(right)) for left, right in records], width)


def _in_words(text: str) -> str:
    """Replace typer's formulas for limits by words, and put limits and default into one pair of brackets."""
    text = re.sub(r"(; )?x>=[01](?=[;\]])", "", text)  # these limits are too obvious to show
    text = re.sub(r"x>=(\d+)", r"at least \1", text)
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    text = re.sub(r"default: \(([^()]*)\)", r"default: \1", text)
    return text.replace("]  [", "; ").removesuffix("  []")
