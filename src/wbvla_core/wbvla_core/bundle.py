"""Model bundles: a folder with ``bundle.json`` and the files it names (ONNX or safetensors, never pickle).

``bundle.json`` holds the common keys of ``Bundle`` and, under the name of the kind, the typed section of that
kind. Nothing is optional and nothing unknown is accepted; the robot's hash and every file's SHA-256 must
agree. A node that cannot load its bundle refuses to configure with the one sentence of the BundleError.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .robot_spec import RobotSpec
from .typed_json import TypedJsonError, from_json, to_json

SCHEMA_VERSION = 1
FILE_NAME = "bundle.json"
SUFFIXES = (".onnx", ".safetensors", ".json", ".txt")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_sections: dict[str, str | type] = {
    "lmo": "wbvla_core.lmo_bundle:LmoSection",
    "vla": "wbvla_core.vla_bundle:VlaSection",
}


class BundleError(ValueError):
    """A bundle cannot be used; the text names file and key and says what to do."""


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. ``files`` maps names to SHA-256; ``section`` is the dataclass of the kind."""

    path: Path
    kind: str
    name: str
    robot: str
    robot_spec_hash: str
    contract_hash: str
    training_commit: str
    files: dict[str, str]
    section: Any

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files; raises BundleError when ``files`` does not name it."""
        if name not in self.files:
            raise BundleError(f"{self.path / FILE_NAME}: files has no {name}; export the bundle again")
        return self.path / name


@dataclass(frozen=True)
class _Head:
    schema_version: int
    kind: str
    name: str
    robot: str
    robot_spec_hash: str
    contract_hash: str
    training_commit: str
    files: dict[str, str]


def register_section(kind: str, section: str | type) -> None:
    """Make ``section`` (a frozen dataclass, or ``"module:Name"`` of one) the typed section of bundles of
    ``kind``."""
    _sections[kind] = section


def load_bundle(
    path: str | Path, kind: str, spec: RobotSpec | None, contract_hash: str | None = None
) -> Bundle:
    """Read and check the bundle in folder ``path``.

    With ``spec`` None the robot is not compared (tools that only show a bundle); with ``contract_hash`` None
    the contract is not.

    Raises:
        BundleError: a file or key is missing, unknown, malformed, altered, or made for another robot or
        contract.
    """
    folder = Path(path)
    file = folder / FILE_NAME
    if not file.is_file():
        raise BundleError(f"{file}: not found; give the folder of a bundle (see models/)")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: not readable as JSON ({error}); export the bundle again") from None
    try:
        head, section = _parse(data, kind, str(file))
    except TypedJsonError as error:
        raise BundleError(f"{error}; export the bundle again with this version") from None
    if spec is not None and head.robot_spec_hash != spec.hash:
        raise BundleError(
            f"{file}: robot_spec_hash {head.robot_spec_hash} ({head.robot}) is not {spec.hash} ({spec.name});"
            " use a bundle made for this robot or export it again"
        )
    if contract_hash is not None and head.contract_hash != contract_hash:
        raise BundleError(
            f"{file}: contract_hash {head.contract_hash or 'none'} is not {contract_hash}; "
            "train with this contract"
        )
    _check_files(folder, head.files)
    fields = {f.name: getattr(head, f.name) for f in dataclasses.fields(head) if f.name != "schema_version"}
    return Bundle(path=folder, section=section, **fields)


def write_bundle(
    path: str | Path,
    kind: str,
    name: str,
    section: Any,
    files: Mapping[str, bytes],
    spec: RobotSpec,
    training_commit: str,
    contract_hash: str = "",
) -> Bundle:
    """Write a bundle into folder ``path`` (``bundle.json`` last) and read it back.

    ``files`` maps names to contents; ``training_commit`` is the commit of the training code,
    ``contract_hash`` "" where the kind does not depend on the contract."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, content in files.items():
        (folder / file_name).write_bytes(content)
    hashes = {file_name: hashlib.sha256(content).hexdigest() for file_name, content in sorted(files.items())}
    head = _Head(SCHEMA_VERSION, kind, name, spec.name, spec.hash, contract_hash, training_commit, hashes)
    text = dump({**to_json(head), kind: to_json(section)})
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return load_bundle(folder, kind, spec)


def dump(data: Any, indent: int = 0) -> str:
    """JSON with objects and lists of objects spread over lines, and lists of numbers kept on one."""
    pad = " " * (indent + 1)
    if isinstance(data, dict) and data:
        rows = [f"{pad}{json.dumps(key)}: {dump(value, indent + 1)}" for key, value in data.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}" + ("" if indent else "\n")
    if isinstance(data, list) and data and isinstance(data[0], (dict, list)):
        rows = [json.dumps(row, allow_nan=False) for row in data]
        return "[\n" + ",\n".join(pad + row for row in rows) + "\n" + " " * indent + "]"
    return json.dumps(data, allow_nan=False)


def onnx_session(
    path: Path, inputs: Mapping[str, int], outputs: Mapping[str, int | None], device: str = "cpu"
) -> Any:
    """An ONNX Runtime session with one thread, checked to have ``inputs`` and ``outputs`` (name -> width,
    last axis; None: any), on ``device`` cpu or cuda.

    Raises:
        BundleError: not an ONNX file, other names or widths, or no such device.
    """
    import onnxruntime

    provider = _PROVIDERS.get(device)
    if provider not in onnxruntime.get_available_providers():
        raise BundleError(
            f"{path}: onnxruntime has no device '{device}' here; use 'cpu', or install onnxruntime-gpu for 'cuda'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's errors share no base class; each means the file is unusable
        raise BundleError(f"{path}: not a usable ONNX model ({str(error).splitlines()[0]})") from None
    for wanted, found, what in (
        (inputs, {i.name: i.shape[-1] for i in session.get_inputs()}, "inputs"),
        (outputs, {o.name: o.shape[-1] for o in session.get_outputs()}, "outputs"),
    ):
        expected = {name: found.get(name) if width is None else width for name, width in wanted.items()}
        if expected != found:
            raise BundleError(f"{path}: {what} are {found}, the bundle says {dict(wanted)}; export it again")
    return session


def _parse(data: Any, kind: str, where: str) -> tuple[_Head, Any]:
    if not isinstance(data, dict):
        raise TypedJsonError(f"{where}: expected an object")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise TypedJsonError(
            f"{where}.schema_version: is {data.get('schema_version')!r}, not {SCHEMA_VERSION}"
        )
    if data.get("kind") != kind:
        raise TypedJsonError(f"{where}.kind: is {data.get('kind')!r}, a bundle of kind {kind!r} is needed")
    if kind not in data:
        raise TypedJsonError(f"{where}.{kind}: missing")
    head = from_json(_Head, {key: value for key, value in data.items() if key != kind}, where)
    return head, from_json(_section_type(kind), data[kind], f"{where}.{kind}")


def _section_type(kind: str) -> type:
    section = _sections.get(kind)
    if section is None:
        raise BundleError(f"bundles of kind {kind!r} are unknown; known are {', '.join(sorted(_sections))}")
    if isinstance(section, str):
        module, _, name = section.partition(":")
        section = getattr(importlib.import_module(module), name)
        _sections[kind] = section
    return section


def _check_files(folder: Path, files: dict[str, str]) -> None:
    for name, wanted in files.items():
        file = folder / name
        if Path(name).name != name or not name.endswith(SUFFIXES):
            raise BundleError(
                f"{folder / FILE_NAME}: files.{name} must be a plain name ending in {', '.join(SUFFIXES)}"
            )
        if not file.is_file():
            raise BundleError(f"{file}: missing, but named in {FILE_NAME}; copy the whole bundle again")
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != wanted:
            raise BundleError(
                f"{file}: SHA-256 {found[:12]}... differs from files.{name} {wanted[:12]}...; "
                "copy the bundle again"
            )
