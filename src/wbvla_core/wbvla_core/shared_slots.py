"""Latest-value slots in a shared-memory file, for two processes that must not wait for each other.

A file holds a header and a few slots. A slot keeps the newest message of one writer in two buffers: the
writer fills the buffer that is not current and then moves the slot's counter on, so a writer killed at any
point leaves the previous message whole. A reader copies the current buffer and takes it only if counter and
checksum agree; the checksum also covers processors that reorder stores. Nothing blocks, and a reader gives
up after a bounded number of attempts.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import struct
import tempfile
import time
import zlib
from pathlib import Path

MAGIC = b"WBVLASHM"
VERSION = 1
READ_ATTEMPTS = 16
_ALIGN = 64
_HEADER = struct.Struct("@8sII16s16sQ")
"""magic, version, slot count, kind, tag, instance; followed by the payload size of each slot as uint64."""
_HEADER_BYTES = 256
_STAMP = struct.Struct("@QII")
"""Of one buffer: message counter, CRC-32 of the payload, spare."""


class MailboxError(RuntimeError):
    """A shared file is missing, owned by another process, or does not fit; the text says which and what to
    do.
    """


def shared_directory() -> Path:
    """Where shared files live: the memory file system of Linux, else the directory for temporary files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


def shared_path(name: str) -> Path:
    """Path of the shared file of ``name`` (a ROS namespace or node name; slashes are allowed).

    Raises MailboxError when ``name`` holds anything but letters, digits, ``_``, ``-``, ``.`` and ``/``.
    """
    plain = name.strip("/").replace("/", "-")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", plain):
        raise MailboxError(f"mailbox name {name!r}: use 1 to 100 letters, digits, '_', '-', '.' or '/'")
    return shared_directory() / f"wbvla-{plain}.mailbox"


class Slot:
    """One latest-value slot inside a mapped file; made by SharedSlots. ``size`` is the payload in bytes."""

    def __init__(self, memory: memoryview, offset: int, size: int) -> None:
        self.size = size
        self.torn = 0
        self._counter = memory[offset : offset + 8].cast("Q")
        self._stride = _round_up(_STAMP.size + size)
        self._buffers = memory[offset + _ALIGN : offset + _ALIGN + 2 * self._stride]

    @staticmethod
    def bytes_needed(size: int) -> int:
        """Bytes of the file that a slot with a payload of ``size`` bytes takes."""
        return _ALIGN + 2 * _round_up(_STAMP.size + size)

    @property
    def counter(self) -> int:
        """Messages written so far; 0 means none. Restarts at 0 when a new owner takes the file over."""
        return self._counter[0]

    def clear(self) -> None:
        """Forget all messages."""
        self._counter[0] = 0

    def write(self, payload: bytes | bytearray | memoryview) -> None:
        """Make ``payload`` the newest message. Raises ValueError when its length is not ``size``."""
        if len(payload) != self.size:
            raise ValueError(f"payload of {len(payload)} bytes, slot takes {self.size}")
        counter = self._counter[0] + 1
        start = (counter & 1) * self._stride
        body = start + _STAMP.size
        _STAMP.pack_into(self._buffers, start, 0, 0, 0)
        self._buffers[body : body + self.size] = payload
        _STAMP.pack_into(self._buffers, start, counter, zlib.crc32(payload), 0)
        self._counter[0] = counter

    def read(self) -> tuple[int, bytes] | None:
        """Newest message and its counter; None when there is none or every attempt met a write (see
        ``torn``).
        """
        for _ in range(READ_ATTEMPTS):
            counter = self._counter[0]
            if counter == 0:
                return None
            start = (counter & 1) * self._stride
            written, checksum, _spare = _STAMP.unpack_from(self._buffers, start)
            if written == counter:
                payload = bytes(self._buffers[start + _STAMP.size : start + _STAMP.size + self.size])
                if zlib.crc32(payload) == checksum:
                    return counter, payload
            self.torn += 1
        return None

    def release(self) -> None:
        """Let go of the mapped memory."""
        self._counter.release()
        self._buffers.release()


class SharedSlots:
    """A shared file with slots. Use ``create`` in the process that owns it and ``open`` in the others."""

    def __init__(self, path: Path, descriptor: int, sizes: tuple[int, ...], owner: bool) -> None:
        self.path = path
        self.owner = owner
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _file_bytes(sizes))
        self._memory = memoryview(self._map)
        self.slots: list[Slot] = []
        offset = _HEADER_BYTES
        for size in sizes:
            self.slots.append(Slot(self._memory, offset, size))
            offset += Slot.bytes_needed(size)

    @classmethod
    def create(cls, name: str, kind: str, tag: str, sizes: tuple[int, ...]) -> SharedSlots:
        """Own the file of ``name``: made anew, or taken over (and emptied) when its owner is gone.

        ``kind`` and ``tag`` (16 ASCII characters at most) must match in ``open``; ``sizes`` are payload
        bytes. Raises MailboxError when a living process owns it.
        """
        path = shared_path(name)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise MailboxError(
                    f"{path}: owned by another living process; stop it or choose another name"
                ) from None
            if not _still_named(descriptor, path):
                os.close(descriptor)
                continue
            size = os.fstat(descriptor).st_size
            if size and (size != _file_bytes(sizes) or _mismatch(descriptor, kind, tag, sizes)):
                # Another layout: readers may still map it, so it is left to them; a new file takes the name.
                path.unlink()
                os.close(descriptor)
                continue
            os.ftruncate(descriptor, _file_bytes(sizes))
            shared = cls(path, descriptor, sizes, owner=True)
            shared._start(kind, tag, sizes)
            return shared

    @classmethod
    def open(
        cls, name: str, kind: str, tag: str, sizes: tuple[int, ...], timeout_s: float = 0.0
    ) -> SharedSlots:
        """Map the file of ``name``, waiting up to ``timeout_s`` for it to appear.

        Raises MailboxError when it is still missing or was made for another version, robot or purpose.
        """
        path = shared_path(name)
        deadline = time.monotonic() + timeout_s
        while True:
            reason = f"{path}: no such mailbox; start the plant first"
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                descriptor = -1
            if descriptor >= 0:
                reason = _mismatch(descriptor, kind, tag, sizes)
                if not reason:
                    return cls(path, descriptor, sizes, owner=False)
                os.close(descriptor)
                reason = f"{path}: {reason}"
            if time.monotonic() >= deadline:
                raise MailboxError(reason)
            time.sleep(0.02)

    def claim(self) -> None:
        """Become the one process that commands through this file, until close or death.

        Raises MailboxError when another living process already does.
        """
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise MailboxError(
                f"{self.path}: another process already commands this robot; stop it first"
            ) from None

    def unclaim(self) -> None:
        """Let another process claim."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    @property
    def instance(self) -> int:
        """Rises by one whenever an owner takes the file over, so that readers notice a restarted plant."""
        return _HEADER.unpack_from(self._memory, 0)[5]

    @property
    def orphaned(self) -> bool:
        """True when the owner removed the file or another file took its name: nobody writes here any more."""
        return not _still_named(self._descriptor, self.path)

    def _start(self, kind: str, tag: str, sizes: tuple[int, ...]) -> None:
        instance = _HEADER.unpack_from(self._memory, 0)[5] + 1
        for slot in self.slots:
            slot.clear()
        struct.pack_into(f"@{len(sizes)}Q", self._memory, _HEADER.size, *sizes)
        _HEADER.pack_into(self._memory, 0, MAGIC, VERSION, len(sizes), kind.encode(), tag.encode(), instance)

    def close(self) -> None:
        """Unmap the file; safe to call twice. The file stays for others until ``unlink``."""
        if self._descriptor < 0:
            return
        for slot in self.slots:
            slot.release()
        self._memory.release()
        self._map.close()
        os.close(self._descriptor)
        self._descriptor = -1

    def unlink(self) -> None:
        """Remove the file's name; only the owner does, and only while the name is still its own."""
        if self.owner and self._descriptor >= 0 and _still_named(self._descriptor, self.path):
            self.path.unlink()


def _round_up(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _file_bytes(sizes: tuple[int, ...]) -> int:
    return _HEADER_BYTES + sum(Slot.bytes_needed(size) for size in sizes)


def _still_named(descriptor: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)


def _mismatch(descriptor: int, kind: str, tag: str, sizes: tuple[int, ...]) -> str:
    """What is wrong with the file behind ``descriptor``; empty when it fits."""
    header = os.pread(descriptor, _HEADER_BYTES, 0)
    if len(header) < _HEADER_BYTES or header[: len(MAGIC)] != MAGIC:
        return "not a mailbox, or its owner has not finished making it"
    _magic, version, count, file_kind, file_tag, _instance = _HEADER.unpack_from(header, 0)
    if version != VERSION:
        return f"mailbox version {version}, this program speaks {VERSION}; rebuild both sides from one source"
    if file_kind.rstrip(b"\0").decode(errors="replace") != kind:
        return f"mailbox of kind {file_kind.rstrip(bytes(1))!r}, expected {kind!r}"
    if file_tag.rstrip(b"\0").decode(errors="replace") != tag:
        return f"made for robot spec {file_tag.rstrip(bytes(1)).decode(errors='replace')}, here it is {tag}"
    if count != len(sizes) or struct.unpack_from(f"@{count}Q", header, _HEADER.size) != sizes:
        return "slot sizes differ; rebuild both sides from one source"
    return ""
