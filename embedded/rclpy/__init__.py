"""The part of Humble's rclpy that the nodes of this workspace use, over Cyclone DDS.

It is only on the path of machines without ROS 2; see `embedded/README.md`.
"""

from __future__ import annotations

import wbvla_embedded

wbvla_embedded.install()

from .context import Context  # noqa: E402  (needs the message packages)
from .parameter import Parameter  # noqa: E402
from .signals import SignalHandlerOptions, install_signal_handlers, uninstall_signal_handlers  # noqa: E402
from .task import Future  # noqa: E402
from .utilities import get_default_context, get_rmw_implementation_identifier, ok, try_shutdown  # noqa: E402
from .utilities import shutdown as _shutdown  # noqa: E402

_global_executor = None


def init(*, args=None, context=None, domain_id=None, signal_handler_options=None):
    """Begin: read ROS arguments (those of the process by default) and handle signals of the default context."""
    if signal_handler_options is None:
        signal_handler_options = SignalHandlerOptions.ALL if context is None else SignalHandlerOptions.NO
    chosen = get_default_context() if context is None else context
    chosen.init(args, domain_id=domain_id)
    if signal_handler_options is not SignalHandlerOptions.NO:
        install_signal_handlers(signal_handler_options)


def get_global_executor():
    """The executor of `spin` and its kin."""
    global _global_executor
    if _global_executor is None or not _global_executor.context.ok():
        from .executors import SingleThreadedExecutor

        _global_executor = SingleThreadedExecutor()
        context = get_default_context()

        def forget():
            global _global_executor
            if _global_executor is not None and _global_executor.context is context:
                _global_executor = None

        context.on_shutdown(forget)
    return _global_executor


def shutdown(*, context=None, uninstall_handlers=None):
    """End the context (the default one) and, with the default one, the handling of signals."""
    _shutdown(context=context)
    if uninstall_handlers or (uninstall_handlers is None and context is None):
        uninstall_signal_handlers()


def create_node(node_name, *, context=None, cli_args=None, namespace=None, use_global_arguments=True,
                enable_rosout=True, start_parameter_services=True, parameter_overrides=None,
                allow_undeclared_parameters=False, automatically_declare_parameters_from_overrides=False):
    """A node."""
    from .node import Node

    return Node(node_name, context=context, cli_args=cli_args, namespace=namespace,
                use_global_arguments=use_global_arguments, enable_rosout=enable_rosout,
                start_parameter_services=start_parameter_services, parameter_overrides=parameter_overrides,
                allow_undeclared_parameters=allow_undeclared_parameters,
                automatically_declare_parameters_from_overrides=automatically_declare_parameters_from_overrides)


def spin_once(node, *, executor=None, timeout_sec=None):
    """Run one piece of work of a node, waiting for it up to the timeout."""
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def spin(node, executor=None):
    """Serve a node until shutdown; raises ExternalShutdownException when that comes while waiting."""
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_until_future_complete(node, future, executor=None, timeout_sec=None):
    """Serve a node until the future is done or the timeout has passed."""
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        executor.spin_until_future_complete(future, timeout_sec)
    finally:
        executor.remove_node(node)


__all__ = ['Context', 'Future', 'Parameter', 'SignalHandlerOptions', 'create_node', 'get_default_context',
           'get_global_executor', 'get_rmw_implementation_identifier', 'init', 'install_signal_handlers', 'ok',
           'shutdown', 'spin', 'spin_once', 'spin_until_future_complete', 'try_shutdown',
           'uninstall_signal_handlers']
