# Classes are generated from the interface files.
from typing import Any

def __getattr__(name: str) -> Any: ...
