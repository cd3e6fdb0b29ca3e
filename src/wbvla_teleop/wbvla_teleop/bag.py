"""Writes one rosbag2 folder (MCAP); a cut at any instant costs at most what came after the last flush."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from mcap.writer import CompressionType, Writer

from wbvla_teleop.bag_metadata import BagExtent, TopicInfo, write_bag_metadata
from wbvla_teleop.definitions import definition
from wbvla_teleop.recover import RESERVE_NAME, recover

COMPRESSIONS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}
_CHUNK_BYTES = 1 << 20
# Set aside while recording and given back when the disk is full, so that the file's index still finds room.
_RESERVE_BYTES = 4 << 20


class BagError(OSError):
    """The bag cannot be written (further); says where and why. What was flushed before stays readable."""

    def __init__(self, message: str, disk_full: bool = False) -> None:
        super().__init__(message)
        self.disk_full = disk_full


class BagWriter:
    """One bag: ``<folder>/<folder name>_0.mcap`` and ``metadata.yaml``.

    Topics are registered when the bag is opened, so that an empty topic is visible as such. Not thread-safe.
    """

    def __init__(
        self,
        folder: Path,
        topics: Iterable[TopicInfo],
        metadata: Mapping[str, Mapping[str, str]],
        attachments: Mapping[str, bytes] | None = None,
        *,
        created_ns: int,
        compression: str = "zstd",
    ) -> None:
        """``metadata``: MCAP metadata records, ``attachments``: files, both by name; ``created_ns`` stamps
        them.

        Raises:
            BagError: the folder exists already or cannot be made.
            UnknownTypeError: a topic's type is defined nowhere.
            ValueError: unknown compression.
        """
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression '{compression}' is unknown; use one of {sorted(COMPRESSIONS)}")
        self.folder = folder
        self.topics = tuple(topics)
        definitions = {topic.type: definition(topic.type) for topic in self.topics}
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise BagError(f"bag folder '{folder}' exists already; choose another name") from None
        except OSError as error:
            raise BagError(f"bag folder '{folder}' cannot be made: {error.strerror}", _full(error)) from error
        self.path = folder / f"{folder.name}_0.mcap"
        self._counts = dict.fromkeys((topic.name for topic in self.topics), 0)
        self._flushed = dict(self._counts)
        self._start_ns = self._end_ns = 0
        self._closed = False
        self._kept: int | None = None
        try:
            self._reserve = folder / RESERVE_NAME
            self._reserve.write_bytes(bytes(_RESERVE_BYTES))
            self._stream = self.path.open("wb")
            # Held while the bag grows, so that a recovery by another process leaves it alone.
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._writer = Writer(
                self._stream, chunk_size=_CHUNK_BYTES, compression=COMPRESSIONS[compression]
            )
            self._writer.start(profile="ros2", library="wbvla")
            for name, values in metadata.items():
                self._writer.add_metadata(name, dict(values))
            for name, data in (attachments or {}).items():
                media = "application/yaml" if name.endswith(".yaml") else "application/octet-stream"
                self._writer.add_attachment(created_ns, created_ns, name, media, data)
            schemas = {
                name: self._writer.register_schema(name, "ros2msg", text.encode())
                for name, text in definitions.items()
            }
            self._channels = {
                topic.name: self._writer.register_channel(
                    topic.name, "cdr", schemas[topic.type], {"offered_qos_profiles": topic.offered_qos()}
                )
                for topic in self.topics
            }
            self.flush()
        except OSError as error:
            raise self._failure(error) from error

    @property
    def counts(self) -> dict[str, int]:
        """Messages taken so far, by topic."""
        return dict(self._counts)

    @property
    def messages(self) -> int:
        """Messages taken so far; after a failure those that the file holds."""
        return sum(self._counts.values()) if self._kept is None else self._kept

    @property
    def lost(self) -> int:
        """Messages taken that a failure kept from the file."""
        return 0 if self._kept is None else sum(self._counts.values()) - self._kept

    @property
    def size_bytes(self) -> int:
        """Bytes in the file so far (what waits for the next flush is not counted)."""
        return self._stream.tell() if not self._closed else self.path.stat().st_size

    def write(self, topic: str, data: bytes, log_ns: int, publish_ns: int, sequence: int = 0) -> None:
        """Add one serialised message. ``log_ns`` is the receive time, ``publish_ns`` the message's own stamp.

        Raises:
            BagError: disk full or failed; close the bag then.
        """
        try:
            self._writer.add_message(self._channels[topic], log_ns, data, publish_ns, sequence & 0xFFFFFFFF)
        except OSError as error:
            raise self._failure(error) from error
        if self._start_ns == 0:
            self._start_ns = log_ns
        self._start_ns, self._end_ns = min(self._start_ns, log_ns), max(self._end_ns, log_ns)
        self._counts[topic] += 1

    def flush(self) -> None:
        """Bring everything written so far onto the disk and ``metadata.yaml`` up to date.

        Raises:
            BagError: disk full or failed; close the bag then.
        """
        try:
            self._writer.flush()
            os.fsync(self._stream.fileno())
            self._flushed = dict(self._counts)
            self._write_metadata()
        except OSError as error:
            raise self._failure(error) from error

    def close(self, metadata: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Write the index and end the bag; ``metadata`` adds records known only now (outcome, audit).

        After a failed write, what reached the disk is made a whole bag instead and ``metadata`` is left out.
        """
        if self._closed:
            return
        try:
            for name, values in (metadata or {}).items():
                self._writer.flush()
                self._writer.add_metadata(name, dict(values))
            self._writer.finish()
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._flushed = dict(self._counts)
            self._write_metadata()
        except OSError as error:
            raise self._failure(error) from error
        self._end()

    def _write_metadata(self) -> None:
        topics = [(topic.name, topic.type, topic.offered_qos()) for topic in self.topics]
        extent = BagExtent(self._flushed, self._start_ns, self._end_ns)
        write_bag_metadata(self.folder, self.path.name, topics, extent)

    def _failure(self, error: OSError) -> BagError:
        """Save what can be saved, then say what happened."""
        self._end()
        kept, reason = 0, "disk full" if _full(error) else (error.strerror or str(error))
        if self.path.exists():
            try:
                self._kept = kept = recover(self.folder).messages
            except (OSError, ValueError) as second:
                return BagError(
                    f"bag '{self.path}' stopped: {reason}; closing it failed: {second}", _full(error)
                )
        message = f"bag '{self.path}' stopped: {reason}; the {kept} messages before are kept"
        return BagError(message, _full(error))

    def _end(self) -> None:
        self._closed = True
        self._reserve.unlink(missing_ok=True)
        with suppress(OSError):  # closing flushes the rest once more, which fails again on a full disk
            stream = getattr(self, "_stream", None)
            if stream is not None:
                stream.close()


def _full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
