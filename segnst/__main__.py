"""The command line as a program: ``segnst`` and ``python -m segnst``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. An interrupt before it could even be loaded is told in the same words as later ones."""
    try:
        from segnst.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("segnst: interrupted; nothing was left behind.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
