"""Put the embedded graph on the path of the interpreter that runs this, unless a real ROS 2 is there.

Writes a `.pth` file into site-packages. At each start of Python it looks for an rclpy; only when there is none (no
ROS 2 sourced) is this folder added, at the end of `sys.path`. `--remove` takes it away again.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

NAME = 'zz_wbvla_embedded.pth'


def line(folder: Path) -> str:
    """What the `.pth` file says: one line that `site` executes."""
    return ('import sys, importlib.util as u; u.find_spec("rclpy") or '
            f'(sys.path.append({str(folder)!r}), __import__("wbvla_embedded").install())\n')


def main() -> int:
    """Write or remove the file; returns the exit code."""
    target = Path(sysconfig.get_paths()['purelib']) / NAME
    if '--remove' in sys.argv[1:]:
        target.unlink(missing_ok=True)
        print(f'removed {target}')
        return 0
    if sys.prefix == sys.base_prefix:
        print('refused: this is not the Python of a virtual environment', file=sys.stderr)
        return 1
    target.write_text(line(Path(__file__).resolve().parent), encoding='utf-8')
    print(f'wrote {target}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
