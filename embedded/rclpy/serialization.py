"""Messages to CDR bytes and back."""

from __future__ import annotations

from wbvla_embedded import cdr


def serialize_message(message) -> bytes:
    """The CDR bytes of a message."""
    return cdr.serialize(message)


def deserialize_message(serialized_message: bytes, message_type):
    """The message in CDR bytes; raises ValueError with the reason when they are none of that type."""
    return cdr.deserialize(bytes(serialized_message), message_type)
