"""Walks the records of an MCAP file, whole or cut, and collects what its index needs."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
)

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")


class McapScanError(ValueError):
    """The file cannot be read as MCAP; says where and why."""


@dataclass
class Scan:
    """Contents of a data section up to ``end`` (offset behind its last usable record)."""

    end: int = 0
    whole: bool = False
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    attachments: list[AttachmentIndex] = field(default_factory=list)
    metadata: list[MetadataIndex] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    torn_indexes: list[MessageIndex] = field(default_factory=list)

    @property
    def message_count(self) -> int:
        return sum(self.counts.values())

    @property
    def start_ns(self) -> int:
        return min((chunk.message_start_time for chunk in self.chunks), default=0)

    @property
    def end_ns(self) -> int:
        return max((chunk.message_end_time for chunk in self.chunks), default=0)


def scan(stream: BinaryIO) -> Scan:
    """Read the whole records of a chunked MCAP file.

    A record that is cut, or a last chunk whose checksum is wrong, ends the scan. ``torn_indexes`` then holds
    the message indexes of the last chunk, which must be written anew after ``end``.

    Raises:
        McapScanError: not an MCAP file, or cut before the first record ends.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if stream.read(len(MAGIC)) != MAGIC:
        raise McapScanError(f"'{getattr(stream, 'name', 'file')}' does not begin as an MCAP file")
    result = Scan(end=len(MAGIC))
    after_chunk = result.end
    seen_header = False
    while True:
        start = stream.tell()
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            break
        opcode, length = _HEAD.unpack(head)
        if start + _HEAD.size + length > size:
            break
        if opcode == Opcode.DATA_END:
            result.whole = _ends_whole(stream, size)
            break
        if not seen_header and opcode != Opcode.HEADER:
            raise McapScanError(f"first record has opcode {opcode}, not a header")
        seen_header = True
        if opcode == Opcode.CHUNK:
            if not _take_chunk(stream, start, length, size, result):
                break
            after_chunk = start + _HEAD.size + length
        else:
            _take_record(opcode, stream.read(length), start, length, result)
        result.end = start + _HEAD.size + length
        stream.seek(result.end)
    if not seen_header:
        raise McapScanError(f"'{getattr(stream, 'name', 'file')}' is cut before its first record ends")
    if not result.whole and result.chunks:
        _index_last_chunk(stream, result, after_chunk)
    return result


def chunk_records(stream: BinaryIO, index: ChunkIndex) -> bytes:
    """Uncompressed records of a chunk.

    Raises:
        McapScanError: its data does not decompress or has a wrong checksum.
    """
    stream.seek(index.chunk_start_offset + _HEAD.size)
    chunk = Chunk.read(ReadDataStream(stream))
    where = f"chunk at byte {index.chunk_start_offset}"
    try:
        if chunk.compression == "zstd":
            data = zstandard.decompress(chunk.data, max_output_size=chunk.uncompressed_size)
        elif chunk.compression == "lz4":
            data = lz4.frame.decompress(chunk.data)
        elif chunk.compression == "":
            data = chunk.data
        else:
            raise McapScanError(f"{where} is compressed by '{chunk.compression}', which is unknown")
    except (zstandard.ZstdError, RuntimeError) as error:
        raise McapScanError(f"{where} does not decompress: {error}") from error
    crc = chunk.uncompressed_crc
    if len(data) != chunk.uncompressed_size or (crc and zlib.crc32(data) != crc):
        raise McapScanError(f"{where} has a wrong checksum")
    return data


def _take_chunk(stream: BinaryIO, start: int, length: int, size: int, result: Scan) -> bool:
    """Note a chunk; False when it is the file's last record and its content is damaged."""
    start_ns, end_ns, uncompressed, _crc, name_length = struct.unpack("<QQQII", stream.read(32))
    compression = stream.read(name_length).decode()
    (compressed,) = struct.unpack("<Q", stream.read(8))
    index = ChunkIndex(
        message_start_time=start_ns,
        message_end_time=end_ns,
        chunk_start_offset=start,
        chunk_length=_HEAD.size + length,
        message_index_offsets={},
        message_index_length=0,
        compression=compression,
        compressed_size=compressed,
        uncompressed_size=uncompressed,
    )
    is_first, is_last = not result.chunks, start + _HEAD.size + length >= size
    if is_first or is_last:
        try:
            data = chunk_records(stream, index)
        except McapScanError:
            if is_last:
                return False
            raise
        _take_definitions(data, result)
    result.chunks.append(index)
    return True


def _take_record(opcode: int, content: bytes, start: int, length: int, result: Scan) -> None:
    stream = ReadDataStream(BytesIO(content))
    total = _HEAD.size + length
    if opcode == Opcode.SCHEMA:
        schema = Schema.read(stream)
        result.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(stream)
        result.channels[channel.id] = channel
    elif opcode == Opcode.MESSAGE_INDEX and result.chunks:
        index = MessageIndex.read(stream)
        chunk = result.chunks[-1]
        chunk.message_index_offsets[index.channel_id] = start
        chunk.message_index_length += total
        result.counts[index.channel_id] = result.counts.get(index.channel_id, 0) + len(index.records)
    elif opcode == Opcode.METADATA:
        record = Metadata.read(stream)
        result.metadata.append(MetadataIndex(offset=start, length=total, name=record.name))
    elif opcode == Opcode.ATTACHMENT:
        record = Attachment.read(stream)
        result.attachments.append(
            AttachmentIndex(
                offset=start,
                length=total,
                log_time=record.log_time,
                create_time=record.create_time,
                data_size=len(record.data),
                name=record.name,
                media_type=record.media_type,
            )
        )


def _take_definitions(data: bytes, result: Scan) -> None:
    for opcode, at, length in _records(data):
        if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            _take_record(opcode, data[at : at + length], 0, length, result)


def _records(data: bytes):
    at = 0
    while at + _HEAD.size <= len(data):
        opcode, length = _HEAD.unpack_from(data, at)
        yield opcode, at + _HEAD.size, length
        at += _HEAD.size + length


def _index_last_chunk(stream: BinaryIO, result: Scan, after_chunk: int) -> None:
    """Forget the indexes found behind the last chunk, which may be incomplete: make them from its content."""
    chunk = result.chunks[-1]
    if chunk.message_index_offsets and result.end > after_chunk + chunk.message_index_length:
        return  # another record follows the indexes, so they are complete
    stream.seek(after_chunk)
    for offset in chunk.message_index_offsets.values():
        stream.seek(offset + _HEAD.size)
        old = MessageIndex.read(ReadDataStream(stream))
        result.counts[old.channel_id] -= len(old.records)
    chunk.message_index_offsets, chunk.message_index_length = {}, 0
    data = chunk_records(stream, chunk)
    indexes: dict[int, MessageIndex] = {}
    for opcode, at, _length in _records(data):
        if opcode == Opcode.MESSAGE:
            channel, _sequence, log_ns, _publish_ns = _MESSAGE_HEAD.unpack_from(data, at)
            index = indexes.setdefault(channel, MessageIndex(channel_id=channel, records=[]))
            index.records.append((log_ns, at - _HEAD.size))
            result.counts[channel] = result.counts.get(channel, 0) + 1
    _take_definitions(data, result)
    result.torn_indexes = list(indexes.values())
    result.end = after_chunk


def _ends_whole(stream: BinaryIO, size: int) -> bool:
    stream.seek(max(0, size - len(MAGIC)))
    return stream.read() == MAGIC
