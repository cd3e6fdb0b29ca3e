"""What can be wrong with the input, each as one sentence for people."""

from __future__ import annotations

import errno
from pathlib import Path


class DataError(ValueError):
    """A bag, dataset or option cannot be used; says which, why and what to do."""


class BagProblem(DataError):
    """One bag cannot be converted; the others can."""


class DiskFullError(DataError):
    """No room left; what was finished is kept."""


def is_disk_full(error: OSError) -> bool:
    """Whether an error of the operating system means that there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(path: Path, kept: str) -> DiskFullError:
    """The error for a full disk at ``path``; ``kept`` says what survives."""
    return DiskFullError(f"disk full while writing '{path}'; {kept}; make room and run the same command again")
