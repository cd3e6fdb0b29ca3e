"""The default context and questions about it."""

from __future__ import annotations

import sys
import threading

from wbvla_embedded import arguments

from .context import Context

_lock = threading.Lock()
_default_context = None


def get_default_context(*, shutting_down=False):
    """The context that is used when none is given; made anew after its shutdown."""
    global _default_context
    with _lock:
        if _default_context is None:
            _default_context = Context()
        context = _default_context
        if shutting_down:
            _default_context = None
        return context


def remove_ros_args(args=None):
    """The arguments without what lies between `--ros-args` and `--`."""
    kept, inside = [], False
    for item in sys.argv if args is None else args:
        if item == '--ros-args':
            inside = True
        elif not inside:
            kept.append(item)
        elif item == '--':
            inside = False
    return kept


def ok(*, context=None):
    """Whether the context (the default one) is between init and shutdown."""
    return (get_default_context() if context is None else context).ok()


def shutdown(*, context=None):
    """End the context (the default one); raises RuntimeError when it is not running."""
    (get_default_context(shutting_down=True) if context is None else context).shutdown()


def try_shutdown(*, context=None):
    """End the context (the default one) if it is running."""
    context = get_default_context() if context is None else context
    if context is _default_context:
        get_default_context(shutting_down=True)
    context.try_shutdown()


def get_rmw_implementation_identifier():
    """Name of the middleware whose wire form is spoken."""
    return 'rmw_cyclonedds_cpp'


def timeout_sec_to_nsec(timeout_sec):
    """Seconds to ns, -1 for None or a negative time (forever)."""
    return -1 if timeout_sec is None or timeout_sec < 0 else int(float(timeout_sec) * 1e9)


def _parse_node_arguments(cli_args):
    return arguments.parse(['--ros-args', *cli_args] if cli_args and '--ros-args' not in cli_args else cli_args)
