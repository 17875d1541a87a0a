"""Parent death: a process that ends with the one that started it, where the kernel can see to that.

prctl(2) is Linux' own. Imports nothing large: the process may be forked before anything is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def control_process(option: int, value: int) -> None:
    """prctl(2), where there is one."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, where it can."""
    control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that asked is gone")
