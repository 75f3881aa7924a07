"""How often a process has to request memory pages from the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from segnst.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # the heap grows to its size
    torch.empty(20_000_000).fill_(1)
before = faults()
for _ in range(5):
    torch.empty(20_000_000).fill_(1)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_memory_that_was_freed_is_used_again() -> None:
    def faults(keep: bool) -> int:
        done = subprocess.run(
            [sys.executable, "-c", COUNT.format(keep=keep)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    pages = 5 * 80_000_000 // 4096
    assert faults(keep=False) > 0.9 * pages
    assert faults(keep=True) < 0.3 * pages
