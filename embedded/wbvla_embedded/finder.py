"""Import hook: `std_msgs.msg`, `wbvla_msgs.action`, ... as modules whose classes are made when first asked for."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any, cast

_KINDS = ('msg', 'srv', 'action')
# Packages of `standard_interfaces.json`, so that other failing imports (each start has some) cost next to nothing.
STANDARD = frozenset((
    'action_msgs', 'builtin_interfaces', 'composition_interfaces', 'diagnostic_msgs', 'geometry_msgs',
    'lifecycle_msgs', 'nav_msgs', 'rcl_interfaces', 'rmw_dds_common', 'rosgraph_msgs', 'sensor_msgs',
    'statistics_msgs', 'std_msgs', 'std_srvs', 'tf2_msgs', 'trajectory_msgs', 'unique_identifier_msgs',
    'visualization_msgs'))
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _may_be_interfaces(package: str) -> bool:
    roots = [*os.environ.get('WBVLA_PACKAGE_PATH', '').split(os.pathsep), os.path.join(_CHECKOUT, 'src')]
    return package in STANDARD or any(
        os.path.isdir(os.path.join(root, package, kind)) for root in roots if root for kind in _KINDS)


class InterfaceFinder:
    """Finder and loader. Last on `sys.meta_path`, so that a package that really is installed wins."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Offer packages with interfaces and their `msg`, `srv` and `action` modules."""
        package, _, kind = fullname.partition('.')
        if kind not in ('', *_KINDS) or not _may_be_interfaces(package):
            return None
        from . import interfaces

        if package not in interfaces.interface_packages():
            return None
        if kind and not interfaces.interface_names(package, kind):
            return None
        return importlib.machinery.ModuleSpec(fullname, cast(Any, self), is_package=not kind, origin='wbvla_embedded')

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Use the default module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Give a `msg`, `srv` or `action` module its lazy attributes."""
        package, _, kind = module.__name__.partition('.')
        if not kind:
            module.__path__ = []
            return
        from . import interfaces

        names = interfaces.interface_names(package, kind)
        vars(module)['__all__'] = names

        def load(name: str) -> Any:
            from . import messages

            makers = {'msg': messages.message_class, 'srv': messages.service_class, 'action': messages.action_class}
            parts = name.rpartition('_')[0].split('_')[0]
            try:
                if name in names:
                    value = makers[kind](f'{package}/{kind}/{name}')
                elif kind != 'msg' and parts in names:
                    value = messages.message_class(f'{package}/{kind}/{name}')
                else:
                    raise AttributeError(name)
            except (AttributeError, ValueError):
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'") from None
            setattr(sys.modules[module.__name__], name, value)
            return value

        module.__getattr__ = load
        module.__dir__ = lambda: list(names)
