"""Message definitions of the recorded types, as a bag carries them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from wbvla_core.paths import checkout_root


class UnknownTypeError(ValueError):
    """A topic has a type that nobody defines here; says which and where was looked."""


def interface_folder(package: str = "wbvla_msgs") -> Path:
    """Folder with ``msg/*.msg`` of ``package``: the checkout, else the package's share folder.

    Raises:
        FileNotFoundError: the package is in neither.
    """
    root = checkout_root()
    if root is not None and (root / "src" / package / "msg").is_dir():
        return root / "src" / package
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError as error:
        raise FileNotFoundError(f"message package '{package}' not found; source the workspace") from error


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """All types of ROS 2 Humble and of ``wbvla_msgs``."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict = {}
    for path in sorted((interface_folder() / "msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"wbvla_msgs/msg/{path.stem}"))
    store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
    return store


def definition(type_name: str) -> str:
    """Concatenated definition (``ros2msg``) of ``package/msg/Name`` and all types in it.

    Raises:
        UnknownTypeError: no definition of the type is at hand.
    """
    store = typestore()
    if type_name not in store.fielddefs:
        raise UnknownTypeError(
            f"message type '{type_name}' is unknown: neither ROS 2 Humble nor wbvla_msgs define it"
        )
    return store.generate_msgdef(type_name, ros_version=2)[0]
