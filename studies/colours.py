"""Does a sentence's colour come out, and how far do its views agree?

    python studies/colours.py [--weights DIR] [--draws N] [--speed exact] [--out FILE]

Ten colours are asked of eight common things each ("a red chair", seed 0). A sentence is right if the median colour of
the views' foreground is nearer to the colour that it names than to the nine others, in CIE Lab. Prints right sentences
of eight for every colour, and how far the views agree in the mean (`recon.agreement`). FILE gets a line a sentence.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np
from skimage.color import rgb2lab

from eval.metrics.appearance import silhouette
from recon.agreement import agreement
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.model.sampling import DRAWS, SPEED, Speed
from viewmask.views.viewset import Picture

COLOURS = {
    "red": (200, 30, 35), "orange": (235, 125, 30), "yellow": (240, 210, 50), "green": (50, 150, 60),
    "blue": (40, 80, 200), "purple": (130, 60, 165), "brown": (120, 75, 40), "white": (240, 240, 240),
    "grey": (130, 130, 130), "black": (25, 25, 25),
}  # fmt: skip
THINGS = ("chair", "bottle", "table", "car", "box", "house", "vase", "sofa")


def nearest(pictures: list[Picture]) -> str:
    """The name of the colour nearest to the median of what pictures show."""
    pixels = np.concatenate([picture[silhouette(picture)][:, :3] for picture in pictures])
    if not len(pixels):
        return ""
    names = rgb2lab(np.array([*COLOURS.values()], np.float64) / 255)
    distance = np.linalg.norm(names - rgb2lab(np.median(pixels, 0) / 255), axis=1)
    return list(COLOURS)[int(distance.argmin())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--draws", type=int, default=DRAWS, help="to choose from")
    parser.add_argument("--speed", choices=get_args(Speed), default=SPEED)
    parser.add_argument("--out", type=Path, help="JSON Lines: a record a sentence")
    arguments = parser.parse_args()
    generator = Generator.load(arguments.weights)
    right, agreements, lines = dict.fromkeys(COLOURS, 0), [], ""
    for colour in COLOURS:
        for thing in THINGS:
            sentence = f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {thing}"
            views = generator.from_text(sentence, draws=arguments.draws, speed=arguments.speed)
            name = nearest(views.images)
            right[colour] += name == colour
            agreements.append(agreement(views))
            record = {"sentence": sentence, "asked": colour, "shown": name, "agreement": round(agreements[-1], 5)}
            lines += json.dumps(record) + "\n"
            print(f"{sentence}: {name or 'nothing'}, {agreements[-1]:.2f}", file=sys.stderr)
    if arguments.out:
        atomic.write(arguments.out, lines)
    count = len(COLOURS) * len(THINGS)
    print(f"Weights {generator.fingerprint}, {count} sentences, the best of {arguments.draws} draws.\n")
    print(f"| {' | '.join(COLOURS)} | all | views agree |\n|{'---|' * (len(COLOURS) + 2)}")
    print(f"| {' | '.join(map(str, right.values()))} | {sum(right.values())} of {count} | {np.mean(agreements):.3f} |")


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
