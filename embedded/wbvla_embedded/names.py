"""ROS names: validation, expansion, remapping, and their form on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'[A-Za-z_][A-Za-z0-9_]*$')
_SUBSTITUTION = re.compile(r'\{(\w+)\}')


class InvalidName(ValueError):
    """An invalid name: `args` are the reason and the index of the first character that is wrong."""


def check_node_name(name: str) -> None:
    """Raises InvalidName unless the name is letters, digits and underscores, not beginning with a digit."""
    if not name:
        raise InvalidName('node name must not be empty', 0)
    for index, char in enumerate(name):
        if not re.match(r'[A-Za-z0-9_]', char):
            raise InvalidName('node name must not contain characters other than alphanumerics or \'_\'', index)
    if name[0].isdigit():
        raise InvalidName('node name must not start with a number', 0)


def check_namespace(namespace: str) -> None:
    """Raises InvalidName unless the namespace is absolute and made of valid tokens."""
    if not namespace.startswith('/'):
        raise InvalidName("namespace must be absolute, it must lead with a '/'", 0)
    if namespace != '/':
        _check_tokens(namespace)


def _check_tokens(name: str) -> None:
    position = 1
    for token in name[1:].split('/'):
        if not _TOKEN.match(token):
            raise InvalidName('name must not contain empty tokens, tokens that start with a number, or characters '
                             "other than alphanumerics, '_' and '/'", position)
        position += len(token) + 1


def expand(name: str, node: str, namespace: str) -> str:
    """Full name of a topic or service given in a node: `~`, `{node}`, `{ns}` and relative names are resolved.

    Raises InvalidName for an invalid name.
    """
    if not name:
        raise InvalidName('topic name must not be empty', 0)
    prefix = namespace.rstrip('/')
    known = {'node': node, 'ns': namespace, 'namespace': namespace}
    match = _SUBSTITUTION.search(name)
    while match:
        if match[1] not in known:
            raise InvalidName('topic name has an unknown substitution', match.start())
        name = name[:match.start()] + known[match[1]] + name[match.end():]
        match = _SUBSTITUTION.search(name)
    if name == '~' or name.startswith('~/'):
        name = f'{prefix}/{node}{name[1:]}'
    elif not name.startswith('/'):
        name = f'{prefix}/{name}'
    _check_tokens(name)
    return name


@dataclass(frozen=True)
class RemapRule:
    """`node:from:=to`, where `node` is optional and `from` may be `__node` or `__ns`."""

    node: str | None
    source: str
    target: str

    @classmethod
    def parse(cls, text: str) -> RemapRule:
        """Read a rule; raises ValueError when it is none."""
        left, separator, target = text.partition(':=')
        if not separator or not left or not target:
            raise ValueError(f"remap rule '{text}' is not of the form from:=to")
        scheme = re.match(r'(rostopic|rosservice)://', left)
        if scheme:
            left = left[scheme.end():]
        node, colon, source = left.rpartition(':')
        return cls(node if colon else None, source, target)


def remap(rules: list[RemapRule], name: str, node: str, namespace: str) -> str:
    """The name after the first rule whose `from`, expanded in this node, is the name."""
    for rule in rules:
        applies = rule.node in (None, node) and not rule.source.startswith('__')
        if applies and expand(rule.source, node, namespace) == name:
            return expand(rule.target, node, namespace)
    return name


def special_remap(rules: list[RemapRule], kind: str, node: str) -> str | None:
    """Target of the first `__node` (alias `__name`) or `__ns` rule that applies to the node."""
    for rule in rules:
        if rule.node in (None, node) and rule.source in (('__node', '__name') if kind == 'node' else ('__ns',)):
            return rule.target
    return None


def dds_type(typename: str) -> str:
    """`std_msgs/msg/String` -> `std_msgs::msg::dds_::String_`."""
    package, kind, name = typename.split('/')
    return f'{package}::{kind}::dds_::{name}_'


def ros_type(dds_name: str) -> str:
    """`std_msgs::msg::dds_::String_` -> `std_msgs/msg/String`; other names are returned as they are."""
    match = re.fullmatch(r'(\w+)::(\w+)::dds_::(\w+)_', dds_name)
    return '/'.join(match.groups()) if match else dds_name


def ros_topic(dds_topic: str) -> str | None:
    """`rt/chatter` -> `/chatter`, None for what is not a ROS topic."""
    return dds_topic[2:] if dds_topic.startswith('rt/') else None


def ros_service(dds_topic: str, dds_type_name: str) -> tuple[str, str] | None:
    """(name, type) of the service that a request or reply topic belongs to, None for other topics."""
    type_match = re.fullmatch(r'(\w+)::(\w+)::dds_::(\w+)_(?:Request|Response)_', dds_type_name)
    for prefix, suffix in (('rq/', 'Request'), ('rr/', 'Reply')):
        if type_match and dds_topic.startswith(prefix) and dds_topic.endswith(suffix):
            return dds_topic[2:-len(suffix)], '/'.join(type_match.groups())
    return None
