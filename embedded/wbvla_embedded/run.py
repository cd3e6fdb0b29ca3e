"""`python -m wbvla_embedded.run PACKAGE EXECUTABLE [ARGS]`: run a console script of a package of the checkout."""

from __future__ import annotations

import importlib
import sys


def main() -> int | None:
    """Import the script's module and call its function with `sys.argv` as an installed script would see it."""
    # Imported here: a launch that is called off interrupts processes which have only just begun.
    from wbvla_embedded import packages

    if len(sys.argv) < 3:
        print('usage: python -m wbvla_embedded.run PACKAGE EXECUTABLE [ARGS]', file=sys.stderr)
        return 2
    package, executable, *rest = sys.argv[1:]
    try:
        packages.command(package, executable)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    module, _, function = packages.executables(package)[executable].partition(':')
    sys.argv = [executable, *rest]
    return getattr(importlib.import_module(module), function)()


if __name__ == '__main__':
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130  # asked to stop before the script could mind signals itself
    sys.exit(code)
