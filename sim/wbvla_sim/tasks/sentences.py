"""The instructions of box loading and cart pushing."""

from __future__ import annotations

BOX_LOADING = "squat and grasp the box with both hands, then rise and turn and load it onto the cart"
CART_PUSHING = "grab the handle of the cart and push it ahead"


def parse_box_loading(sentence: str) -> None:
    """Raises ValueError for a sentence that does not ask for box loading."""
    _expect(sentence, BOX_LOADING, ("box", "load"), "box_loading")


def parse_cart_pushing(sentence: str) -> None:
    """Raises ValueError for a sentence that does not ask for cart pushing."""
    _expect(sentence, CART_PUSHING, ("cart", "push"), "cart_pushing")


def _expect(sentence: str, example: str, words: tuple[str, str], task: str) -> None:
    said = set(sentence.lower().replace(",", " ").replace(".", " ").split())
    if not said.issuperset(words):
        raise ValueError(f"'{sentence}' is no instruction of {task}; say '{example}'")
