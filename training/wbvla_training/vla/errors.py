"""What can be wrong with the input of VLA training, each as one sentence for people."""


class VlaError(ValueError):
    """A checkpoint, dataset or option cannot be used; says which, why and what to do."""
