"""A MuJoCo scene in the browser. What draws there needs the extra ``view``; the shapes do not."""

from importlib.util import find_spec

PACKAGE = "viser"


def check_available() -> None:
    """Raises ValueError that says what to install when the browser view cannot be opened."""
    if find_spec(PACKAGE) is None:
        raise ValueError(
            f"--view needs the Python package {PACKAGE}; pip install -e '.[view]' in the checkout brings it"
        )
