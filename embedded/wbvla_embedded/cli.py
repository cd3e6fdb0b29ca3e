"""`python -m wbvla_embedded.cli launch PACKAGE FILE [name:=value ...]`: the `ros2 launch` of the embedded graph."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wbvla_embedded import packages


def _find(package: str, file: str | None) -> Path:
    """Path of a launch file, given by package and name or by path; raises FileNotFoundError saying what exists."""
    if file is None:
        if not Path(package).is_file():
            raise FileNotFoundError(f"'{package}' is no launch file (or give a package and a file name)")
        return Path(package)
    if package not in packages.package_paths():
        raise FileNotFoundError(f"package '{package}' not found; known: {', '.join(packages.package_paths())}")
    folder = packages.package_paths()[package]
    found = sorted(path for path in folder.rglob('*.launch.py'))
    for path in found:
        if path.name == file:
            return path
    raise FileNotFoundError(f"no launch file '{file}' in package '{package}'; it has: "
                            f"{', '.join(path.name for path in found) or 'none'}")


def _show(arguments: list) -> None:
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in arguments:
        print(f"\n    '{argument.name}':")
        if argument.choices:
            print(f'        one of: {argument.choices}')
        print(f'        {argument.description}')
        if argument.default_value is not None:
            print(f"        (default: {' + '.join(part.describe() for part in argument.default_value)})")


def launch_file(path: Path, given: dict[str, str], *, debug: bool = False, show_args: bool = False) -> int:
    """Launch a file with arguments; the exit code: 0, 1 when the launch or a process in it failed, 2 for bad input.

    A process counts as failed when it ends by itself with a code other than 0 before shutdown has begun and does not
    come back.
    """
    from launch import LaunchContext, LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription, RegisterEventHandler
    from launch.event_handlers import OnProcessExit
    from launch.launch_description_sources import InvalidPythonLaunchFileError, PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(path))
    try:
        declared = source.get_launch_description(LaunchContext()).get_launch_arguments(conditional_inclusion=True)
    except InvalidPythonLaunchFileError as error:
        print(error, file=sys.stderr)
        return 2
    if show_args:
        _show(declared)
        return 0
    unknown = given.keys() - {argument.name for argument in declared}
    if unknown:
        print(f"unknown launch argument(s) {', '.join(sorted(unknown))}; {path.name} has: "
              f"{', '.join(argument.name for argument in declared) or 'none'}", file=sys.stderr)
        return 2
    failed = []

    def note(event, context):
        if event.returncode and not context.is_shutdown and not event.action._again:
            failed.append(event.process_name)

    service = LaunchService(argv=[f'{name}:={value}' for name, value in given.items()], debug=debug)
    service.include_launch_description(LaunchDescription([
        RegisterEventHandler(OnProcessExit(on_exit=note)),
        IncludeLaunchDescription(source, launch_arguments=given.items())]))
    return service.run() or int(bool(failed or service.context._not_started))


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog='wbvla_embedded.cli', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    launch = commands.add_parser('launch', help='run a launch file')
    launch.add_argument('package', help='package, or path of a launch file')
    launch.add_argument('file', nargs='?', help='name of the launch file in the package')
    launch.add_argument('arguments', nargs='*', help='name:=value')
    launch.add_argument('-s', '--show-args', action='store_true', help='list the arguments of the file')
    launch.add_argument('-d', '--debug', action='store_true', help='print tracebacks')
    options = parser.parse_args(argv)
    words = [word for word in (options.file, *options.arguments) if word is not None]
    file = None if not words or ':=' in words[0] else words.pop(0)
    # As ros2 launch: a name and a value that is not empty.
    malformed = [word for word in words if not all(word.partition(':=')[::2])]
    if malformed:
        print(f"malformed launch argument(s) {', '.join(malformed)}: expected name:=value", file=sys.stderr)
        return 2
    try:
        path = _find(options.package, file)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    return launch_file(path, dict(word.split(':=', 1) for word in words), debug=options.debug,
                       show_args=options.show_args)


if __name__ == '__main__':
    sys.exit(main())
