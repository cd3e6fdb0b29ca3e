"""Makes a cut MCAP bag whole: drops the torn record at its end, writes index and ``metadata.yaml``."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from wbvla_teleop.bag_metadata import FILE_NAME, BagExtent, write_bag_metadata
from wbvla_teleop.mcap_scan import McapScanError, Scan, scan
from wbvla_teleop.mcap_tail import write_tail

__all__ = ["McapScanError", "Recovery", "find_cut_bags", "is_whole", "recover"]
# A file that a running recorder keeps beside the bag, to have room for the index on a full disk.
RESERVE_NAME = ".reserve"
_MAGIC = b"\x89MCAP0\r\n"


@dataclass(frozen=True)
class Recovery:
    """What was found and done: messages in the bag, bytes cut off, and whether the bag was whole already."""

    path: Path
    messages: int
    cut_bytes: int
    was_whole: bool


def bag_file(path: Path) -> Path:
    """The MCAP file of a bag folder, or the file itself.

    Raises:
        FileNotFoundError: there is none.
    """
    if path.is_file():
        return path
    files = sorted(path.glob("*.mcap"))
    if not files:
        raise FileNotFoundError(f"no .mcap file in '{path}'; is it a bag folder?")
    return files[0]


def is_whole(path: Path) -> bool:
    """True when the bag's file ends as a finished MCAP file does."""
    file = bag_file(path)
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < 2 * len(_MAGIC):
            return False
        stream.seek(-len(_MAGIC), os.SEEK_END)
        return stream.read() == _MAGIC


def find_cut_bags(folder: Path) -> list[Path]:
    """Bag folders right below ``folder`` whose recording ended without an index (none still recorded)."""
    if not folder.is_dir():
        return []
    return sorted(
        bag.parent
        for bag in folder.glob("*/*.mcap")
        if (bag.parent / FILE_NAME).exists() and not is_whole(bag) and not _is_locked(bag)
    )


def _is_locked(file: Path) -> bool:
    with file.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def recover(path: Path) -> Recovery:
    """Finish the bag ``path`` (folder or .mcap file) in place; a whole one is left as it is.

    Raises:
        McapScanError: the file is no MCAP file, or nothing before the cut is readable.
        OSError: it cannot be read or written.
    """
    file = bag_file(path)
    with file.open("r+b") as stream:
        found = scan(stream)
        size = stream.seek(0, os.SEEK_END)
        if found.whole:
            return Recovery(file, found.message_count, 0, True)
        stream.truncate(found.end)
        write_tail(stream, found)
        stream.flush()
        os.fsync(stream.fileno())
    file.parent.joinpath(RESERVE_NAME).unlink(missing_ok=True)
    if file.parent.joinpath(FILE_NAME).exists() or path.is_dir():
        _write_metadata(file, found)
    return Recovery(file, found.message_count, size - found.end, False)


def _write_metadata(file: Path, found: Scan) -> None:
    channels = sorted(found.channels.values(), key=lambda channel: channel.id)
    topics = [
        (c.topic, found.schemas[c.schema_id].name, c.metadata.get("offered_qos_profiles", ""))
        for c in channels
    ]
    counts = {channel.topic: found.counts.get(channel.id, 0) for channel in channels}
    write_bag_metadata(file.parent, file.name, topics, BagExtent(counts, found.start_ns, found.end_ns))
