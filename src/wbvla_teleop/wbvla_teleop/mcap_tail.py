"""Writes the end of an MCAP file: message indexes of its last chunk, summary, footer."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import DataEnd, Footer, McapRecord, Statistics, SummaryOffset

from wbvla_teleop.mcap_scan import MAGIC, Scan


def write_tail(stream: BinaryIO, found: Scan) -> None:
    """Append to ``stream``, which ends at ``found.end``, whatever makes it a finished, indexed MCAP file."""
    stream.seek(0, os.SEEK_END)
    builder = RecordBuilder()
    for index in found.torn_indexes:
        found.chunks[-1].message_index_offsets[index.channel_id] = found.end + builder.count
        index.write(builder)
    if found.torn_indexes:
        found.chunks[-1].message_index_length = builder.count
    DataEnd(0).write(builder)
    stream.write(builder.end())

    summary_start = stream.tell()
    summary = RecordBuilder()
    offsets: list[SummaryOffset] = []
    groups: list[tuple[Opcode, list[McapRecord]]] = [
        (Opcode.SCHEMA, list(found.schemas.values())),
        (Opcode.CHANNEL, list(found.channels.values())),
        (Opcode.STATISTICS, [_statistics(found)]),
        (Opcode.CHUNK_INDEX, list(found.chunks)),
        (Opcode.ATTACHMENT_INDEX, list(found.attachments)),
        (Opcode.METADATA_INDEX, list(found.metadata)),
    ]
    for opcode, records in groups:
        start = summary.count
        for record in records:
            record.write(summary)
        if records:
            offsets.append(SummaryOffset(opcode, summary_start + start, summary.count - start))
    offset_start = summary_start + summary.count
    for offset in offsets:
        offset.write(summary)

    # The checksum covers the summary and the footer's fields before the checksum itself.
    footer = RecordBuilder()
    Footer(summary_start=summary_start, summary_offset_start=offset_start, summary_crc=0).write(footer)
    data = summary.end()
    crc = zlib.crc32(footer.end()[:-4], zlib.crc32(data))
    Footer(summary_start=summary_start, summary_offset_start=offset_start, summary_crc=crc).write(footer)
    stream.write(data + footer.end() + MAGIC)


def _statistics(found: Scan) -> Statistics:
    return Statistics(
        attachment_count=len(found.attachments),
        channel_count=len(found.channels),
        channel_message_counts={key: count for key, count in found.counts.items() if count},
        chunk_count=len(found.chunks),
        message_count=found.message_count,
        metadata_count=len(found.metadata),
        message_start_time=found.start_ns,
        message_end_time=found.end_ns,
        schema_count=len(found.schemas),
    )
