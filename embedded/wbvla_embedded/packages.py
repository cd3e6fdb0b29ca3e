"""The packages of the source checkout: where each one is and what it can execute.

A package is a folder with a `package.xml` under `src/` or `sim/` (or under a folder of `WBVLA_PACKAGE_PATH`). Its
share directory is that folder, so `launch/`, `config/` and `msg/` are found where they are written. Its executables
are the `console_scripts` of its `setup.py`, read as data: the file is never run.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from pathlib import Path

EMBEDDED = Path(__file__).resolve().parents[1]
CHECKOUT = EMBEDDED.parent


@functools.cache
def package_paths() -> dict[str, Path]:
    """Name -> folder of every package, in the order of discovery (first wins)."""
    roots = [Path(entry) for entry in os.environ.get('WBVLA_PACKAGE_PATH', '').split(os.pathsep) if entry]
    manifests: list[Path] = []
    for root in [*roots, CHECKOUT / 'src', CHECKOUT / 'sim']:
        manifests += [root / 'package.xml', *sorted(root.glob('*/package.xml'))]
    found: dict[str, Path] = {}
    for manifest in manifests:
        if manifest.is_file():
            name = re.search(r'<name>\s*([\w-]+)\s*</name>', manifest.read_text(encoding='utf-8'))
            if name:
                found.setdefault(name.group(1), manifest.parent)
    return found


def executables(package: str) -> dict[str, str]:
    """Executable name -> `module:function` as declared in the package's `setup.py`.

    Raises KeyError for an unknown package.
    """
    setup = package_paths()[package] / 'setup.py'
    if not setup.is_file():
        return {}
    scripts: dict[str, str] = {}
    for node in ast.walk(ast.parse(setup.read_text(encoding='utf-8'), str(setup))):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == 'console_scripts':
                    for entry in ast.literal_eval(value):
                        name, _, target = entry.partition('=')
                        scripts[name.strip()] = target.strip()
    return scripts


def command(package: str, executable: str) -> list[str]:
    """The command line that runs an executable with this interpreter.

    Raises KeyError with the names that do exist when package or executable is unknown.
    """
    if package not in package_paths():
        raise KeyError(f"package '{package}' not found; known: {', '.join(package_paths()) or 'none'}")
    known = executables(package)
    if executable not in known:
        raise KeyError(f"executable '{executable}' not found in package '{package}'; it has: "
                       f"{', '.join(known) or 'none'}")
    return [sys.executable, '-m', 'wbvla_embedded.run', package, executable]
