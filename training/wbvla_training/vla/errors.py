"""What can be wrong with the input of VLA training, each as one sentence for people."""


class VlaError(ValueError):
    """A checkpoint, dataset or option cannot be used; says which, why and what to do."""


def check_share(option: str, value: float) -> None:
    """Raises VlaError when a share is not within 0..1."""
    if not 0.0 <= value <= 1.0:
        raise VlaError(f"{option} {value:g}: must be within 0..1")
