"""Thumbnails without an image library: halves of images in the PPM format (https://netpbm.sourceforge.net/doc/ppm.html)."""

import re
from pathlib import Path

from pydantic import BaseModel

from sluice import Context, Discard, handler

_GAP = rb"(?:\s|#[^\n]*\n)+"  # a comment goes on to the end of its line
_HEADER = re.compile(rb"P6" + _GAP + rb"([1-9]\d{0,8})" + _GAP + rb"([1-9]\d{0,8})" + _GAP + rb"255\s")


class Picture(BaseModel):
    """Where it is, and where its thumbnail goes."""

    source: Path
    target: Path


@handler("thumbnail", cpu_bound=True, timeout=60, max_attempts=2)
def thumbnail(_ctx: Context, picture: Picture) -> dict[str, int]:
    """Write an image of half the width and height. A file that is not there, or is no such image, fails for good."""
    if not picture.source.is_file():
        raise Discard(f"there is no file {picture.source}")
    width, height, pixels = _read(picture.source)
    rows = [pixels[3 * width * row : 3 * width * (row + 1)] for row in range(0, height, 2)]
    halves = b"".join(row[at : at + 3] for row in rows for at in range(0, 3 * width, 6))
    picture.target.write_bytes(b"P6\n%d %d\n255\n" % ((width + 1) // 2, (height + 1) // 2) + halves)
    return {"width": (width + 1) // 2, "height": (height + 1) // 2}


def _read(source: Path) -> tuple[int, int, bytes]:
    """Return the width, the height and the pixels. Raises Discard."""
    content = source.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise Discard(f"{source} is no binary PPM image (P6) of 8 bits a colour")
    width, height, pixels = int(header[1]), int(header[2]), content[header.end() :]
    if len(pixels) < 3 * width * height:
        raise Discard(f"{source} ends before its last pixel")
    return width, height, pixels
