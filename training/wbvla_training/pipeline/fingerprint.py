"""Hashes of files and folders by content, and of source code by what it does."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

from .steps import ChainError

_BLOCK = 1 << 20
_SOURCES = (".py", ".yaml", ".npz", ".txt", ".xml")


class Hashes:
    """Content hashes, remembered in ``file`` by size and time of change, so that gigabytes are read once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._known: dict[str, list] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            # Only a memory: without it everything is read again.
            self._known = {}

    def of(self, path: Path) -> str:
        """Of a file, or of all files below a folder with their names; "" when it does not exist."""
        if path.is_file():
            return self._of_file(path)
        if not path.is_dir():
            return ""
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()} {self._of_file(file)}\n".encode())
        return total.hexdigest()

    def save(self) -> None:
        """Write the memory down."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(self._known), encoding="utf-8")
        part.replace(self._file)

    def _of_file(self, path: Path) -> str:
        stat = path.stat()
        mark, key = [stat.st_size, stat.st_mtime_ns], str(path.resolve())
        known = self._known.get(key)
        if known is not None and known[:2] == mark:
            return known[2]
        found = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
        self._known[key] = [*mark, found.hexdigest()]
        return found.hexdigest()


def code_version(names: tuple[str, ...], known: dict[str, str] | None = None) -> str:
    """Hash of the source of modules and packages ``names``, those with a "-" before them left out.

    Of Python only what is executed counts: a comment, docstring or line break changes nothing. ``known`` remembers
    files within one run. Raises ChainError for a name that is not there."""
    known = {} if known is None else known
    left_out = {file for name in names if name.startswith("-") for file in _files(name[1:])}
    files: set[Path] = set()
    for name in names:
        if name.startswith("-"):
            continue
        found = set(_files(name))
        if not found:
            raise ChainError(f"code of {name} cannot be found; is the package installed?")
        files |= found
    files -= left_out
    total = hashlib.sha256()
    for file in sorted(files):
        if str(file) not in known:
            known[str(file)] = _of_source(file)
        total.update(f"{file.parent.name}/{file.name} {known[str(file)]}\n".encode())
    return total.hexdigest()


def _files(name: str) -> Iterator[Path]:
    """Source files of a module or package; none when there is no such thing."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        return
    if spec.submodule_search_locations:
        for folder in spec.submodule_search_locations:
            yield from (f for f in Path(folder).rglob("*") if f.suffix in _SOURCES and f.is_file())
    elif spec.origin is not None:
        yield Path(spec.origin)


def _of_source(file: Path) -> str:
    data = file.read_bytes()
    if file.suffix == ".py":
        tree = ast.parse(data)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                # A string that stands alone is a docstring or a comment on what is above it.
                node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
        data = ast.dump(tree).encode()
    return hashlib.sha256(data).hexdigest()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
