"""One recorded bag as a stream of serialised messages, whole or cut; chunk by chunk, so memory does not grow."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Attachment, ChunkIndex, Metadata, Schema
from wbvla_teleop.mcap_scan import McapScanError, chunk_records, scan
from wbvla_teleop.recover import bag_file, is_whole

from wbvla_training.data.errors import BagProblem

_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_MESSAGE_OPCODE = 5
EPISODE_FILE = "episode.yaml"


@dataclass
class BagSource:
    """``metadata``: MCAP metadata records, ``attachments``: files, by name; ``episode``: the recorder's
    ``episode.yaml``; ``topics``: name -> (type, definition); ``start_ns``, ``end_ns``: receive times."""

    path: Path
    file: Path
    whole: bool
    metadata: dict[str, dict[str, str]]
    attachments: dict[str, bytes]
    episode: dict[str, Any]
    topics: dict[str, tuple[str, str]]
    start_ns: int
    end_ns: int
    damage: str = ""
    _channels: dict[int, str] = field(default_factory=dict)
    _chunks: list[ChunkIndex] = field(default_factory=list)

    @staticmethod
    def open(path: Path) -> BagSource:
        """Read what describes the bag (folder or .mcap file); raises BagProblem."""
        try:
            file = bag_file(path)
            with file.open("rb") as stream:
                whole = is_whole(file)
                schemas, channels, chunks, attached, described = (
                    _summary(stream, file) if whole else _scanned(stream, file)
                )
                attachments = [Attachment.read(_at(stream, index.offset)) for index in attached]
                metadata = [Metadata.read(_at(stream, index.offset)) for index in described]
        except (OSError, McapScanError, McapError, struct.error) as error:
            raise BagProblem(f"bag '{path}' cannot be read: {error}") from None
        return BagSource(
            path=path,
            file=file,
            whole=whole,
            metadata={record.name: dict(record.metadata) for record in metadata},
            attachments={record.name: record.data for record in attachments},
            episode=_episode(file.parent / EPISODE_FILE),
            topics={c.topic: _type(schemas.get(c.schema_id)) for c in channels.values()},
            start_ns=min((chunk.message_start_time for chunk in chunks if chunk.message_end_time), default=0),
            end_ns=max((chunk.message_end_time for chunk in chunks), default=0),
            _channels={number: channel.topic for number, channel in channels.items()},
            _chunks=chunks,
        )

    @property
    def name(self) -> str:
        """What people call it: the folder's name."""
        return self.file.parent.name

    @property
    def size_bytes(self) -> int:
        return self.file.stat().st_size

    @property
    def about(self) -> dict[str, str]:
        """The recorder's own metadata record; empty for a foreign bag."""
        return self.metadata.get("wbvla", {})

    @property
    def outcome(self) -> dict[str, str]:
        """How the episode ended, as the operator or a judge said; ``episode.yaml`` knows later discards."""
        return {**self.metadata.get("wbvla_outcome", {}), **(self.episode.get("outcome") or {})}

    @property
    def state(self) -> str:
        """The recorder's word: finished, discarded, failed, recording (it was killed), or empty."""
        if self.outcome.get("discarded") == "true":
            return "discarded"
        return str(self.episode.get("state", ""))

    @property
    def audit(self) -> dict[str, dict[str, float]]:
        """Figures by topic that the recorder noted; empty when it was killed."""
        stored = self.metadata.get("wbvla_audit")
        if stored:
            return {topic: json.loads(text) for topic, text in stored.items()}
        return self.episode.get("audit") or {}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """(topic, receive time [ns], CDR) in the file's order. A damaged chunk ends the stream; ``damage``
        says so."""
        wanted = {number: topic for number, topic in self._channels.items() if topic in topics}
        with self.file.open("rb") as stream:
            for index in self._chunks:
                try:
                    data = chunk_records(stream, index)
                except (McapScanError, struct.error) as error:
                    self.damage = f"{error}; what came before is kept"
                    return
                yield from _chunk_messages(data, wanted)


def _chunk_messages(data: bytes, wanted: dict[int, str]) -> Iterator[tuple[str, int, bytes]]:
    at, size = 0, len(data)
    while at + _HEAD.size <= size:
        opcode, length = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        at = begin + length
        if opcode == _MESSAGE_OPCODE:
            channel, _, log_ns, _ = _MESSAGE.unpack_from(data, begin)
            topic = wanted.get(channel)
            if topic is not None:
                yield topic, log_ns, data[begin + _MESSAGE.size : at]


def find_bags(paths: Collection[Path]) -> list[Path]:
    """Bag folders (or .mcap files) at or below ``paths``, each once, in the order given and then by name.

    Raises:
        BagProblem: a path does not exist or holds no MCAP bag.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file() and path.suffix == ".mcap":
            found[path.resolve()] = None
            continue
        if not path.is_dir():
            raise BagProblem(f"'{path}' is neither a bag folder nor an .mcap file")
        bags = sorted({file.parent.resolve() for file in path.rglob("*.mcap")})
        if not bags:
            other = "; sqlite3 bags: ros2 bag convert them to mcap" if any(path.rglob("*.db3")) else ""
            raise BagProblem(f"no .mcap file in or below '{path}'{other}")
        found.update(dict.fromkeys(bags))
    return list(found)


def _at(stream: BinaryIO, offset: int) -> ReadDataStream:
    stream.seek(offset + _HEAD.size)
    return ReadDataStream(stream)


def _summary(stream: BinaryIO, file: Path):
    summary = make_reader(stream).get_summary()
    if summary is None or not (summary.chunk_indexes or summary.statistics):
        return _scanned(stream, file)
    return (
        summary.schemas,
        summary.channels,
        sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset),
        summary.attachment_indexes,
        summary.metadata_indexes,
    )


def _scanned(stream: BinaryIO, file: Path):
    found = scan(stream)
    if not found.chunks:
        raise McapScanError(f"'{file.name}' holds no whole chunk of messages; nothing can be kept of it")
    return found.schemas, found.channels, found.chunks, found.attachments, found.metadata


def _type(schema: Schema | None) -> tuple[str, str]:
    return (schema.name, schema.data.decode(errors="replace")) if schema else ("", "")


def _episode(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BagProblem(f"'{file}' cannot be read: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}



