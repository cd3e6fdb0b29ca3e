"""Real-time scheduling and locked memory for a control thread, as far as the machine permits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

# Linux <sys/mman.h> and <sys/prctl.h>. ONFAULT locks pages when they are first used: without it every thread
# stack and library mapping would become resident at once.
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK = 29


@dataclass(frozen=True)
class Realtime:
    """What was granted, and one sentence for the log."""

    fifo: bool
    memory_locked: bool
    message: str


def enter_realtime(priority: int) -> Realtime:
    """Give the calling thread SCHED_FIFO ``priority`` (1..99; 0: leave all as it is) and lock the memory.

    Never raises for lack of permission: the message then says what is missing and how to grant it.
    """
    if not 0 <= priority <= 99:
        raise ValueError(f"real-time priority must be 0..99, got {priority}")
    if priority == 0:
        return Realtime(False, False, "real-time scheduling not asked for (priority 0)")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
    fifo, fifo_text = _try_fifo(priority)
    locked, lock_text = _try_lock_memory(libc)
    return Realtime(fifo, locked, f"{fifo_text}; {lock_text}")


def raise_threads(priority: int) -> int:
    """Give all threads that this process has by now SCHED_FIFO ``priority`` (1..99); returns how many.

    For what libraries start: a middleware thread that waits for a processor while it holds a lock, or a message, stops
    the control thread with it. Threads that may not be raised stay as they are.
    """
    raised = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # not permitted, or the thread has ended
            os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(priority))
            raised += 1
    return raised


def _try_fifo(priority: int) -> tuple[bool, str]:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (AttributeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return False, f"SCHED_FIFO not granted ({reason}; needs CAP_SYS_NICE or rtprio limit {priority})"
    return True, f"SCHED_FIFO priority {priority}"


def _try_lock_memory(libc: ctypes.CDLL) -> tuple[bool, str]:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # With a finite limit the call may succeed and a later allocation fail, killing the process in flight.
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:
        return False, f"memory not locked (memlock limit is {soft} bytes; needs unlimited)"
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return False, f"memory not locked ({os.strerror(ctypes.get_errno())})"
    return True, "memory locked"
