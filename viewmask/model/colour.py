"""Colour words: how a caption changes when an object's red, green and blue change places."""

from __future__ import annotations

import re

# Each name with its place on the hue circle in red, green, blue; greys stay as they are.
HUES = {
    "red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "yellow": (1.0, 1.0, 0.0),
    "teal": (0.0, 1.0, 1.0), "purple": (1.0, 0.0, 1.0),
}  # fmt: skip
GREYS = {"white", "black", "grey", "gray"}
# Words for colours or materials whose exchanged colour has no common name: such captions are dropped.
FIXED = {
    "orange", "brown", "pink", "beige", "tan", "gold", "golden", "silver", "bronze", "copper", "brass", "wooden",
    "wood", "stone", "metal", "oak", "pine", "brick", "cyan", "turquoise", "violet", "cream", "olive", "lime",
    "navy", "maroon", "colourful", "colorful", "rainbow", "iron", "steel", "leather", "marble", "clay", "straw",
    "grassy", "snowy",
}  # fmt: skip
WORDS = {*HUES, *GREYS, *FIXED}


def exchange(caption: str, channels: tuple[int, ...]) -> str | None:
    """The caption of an object whose channel i now shows what was channel `channels[i]`.

    Returns:
        the new caption, or None where the change cannot be told: no colour is named, or one whose
        exchanged colour has no common name.
    """
    named = {colour: name for name, colour in HUES.items()}
    words = re.findall(r"[a-z]+", caption.lower())
    if not any(word in HUES for word in words) or any(word in FIXED for word in words):
        return None

    def swap(match: re.Match[str]) -> str:
        colour = HUES.get(match.group().lower())
        if colour is None:
            return match.group()
        return named[(colour[channels[0]], colour[channels[1]], colour[channels[2]])]

    return re.sub(r"[A-Za-z]+", swap, caption)
