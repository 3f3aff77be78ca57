"""Objects that crash, hang or swell while they are read, and ones that note every reading: for the fault tests.

A module of its own, because worker processes import it by name.
"""

import os
import signal
import sys
import time
from pathlib import Path

from render.job import save_one
from render.source import Source


class Deadly(Source):
    """Does what `about["does"]` says instead of being read; "nothing" is the mesh itself."""

    def read(self):
        with Path(self.about["log"]).open("a") as log:
            log.write(f"{self.id}\n")
        does = self.about.get("does", "nothing")
        if does == "crash":
            print("the last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        elif does == "hang":
            time.sleep(600)
        elif does == "swell":
            self.about["held"] = bytearray(os.urandom(2**20)) * 700
            time.sleep(600)
        elif does == "wait":
            time.sleep(0.25)
        elif does == "break blender":
            from render import blender

            # Triangles that name vertices far outside the mesh: no file gives these, and Blender does not survive them.
            from render.surface import Surface

            surface = Surface.load(super().read())
            _ = surface.corner_normals  # kept, so that the faces are looked up no more on this side
            surface.faces[:] = 2**30
            blender.render(surface, self.about["cameras"])
        return super().read()


def save_and_sleep(source, out, settings):
    """Save an object as ever; of the house the record comes late."""
    record = save_one(source, out, settings)
    time.sleep(60 * (source.id == "house"))
    return record
