"""Places at which a test may kill this process, to see what a crash there leaves behind.

`HUZHENG_FAILPOINT=C1.after_commit:kill` makes the process die with SIGKILL the moment it gets there. Only in the
sandbox profile; a live process that is told to die at a point refuses to start its work instead.
"""

from __future__ import annotations

import os
import signal

from consent.errors import Reason, Refusal


def reach(name: str) -> None:
    """Say that the code got to a named point. Does nothing unless this very point was chosen by a test."""
    chosen = os.environ.get("HUZHENG_FAILPOINT")
    if chosen is None or chosen != f"{name}:kill":
        return
    if os.environ.get("HUZHENG_PROFILE") != "sandbox":
        raise Refusal(Reason.FORBIDDEN, detail="fail points exist in the sandbox only")
    os.kill(os.getpid(), signal.SIGKILL)
