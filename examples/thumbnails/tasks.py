"""Thumbnails without an image library: halves of images in the PPM format (https://netpbm.sourceforge.net/doc/ppm.html)."""

from pathlib import Path

from pydantic import BaseModel

from sluice import Context, Discard, handler


class Picture(BaseModel):
    """Where it is, and where its thumbnail goes."""

    source: Path
    target: Path


@handler("thumbnail", cpu_bound=True, timeout=60, max_attempts=2)
def thumbnail(_ctx: Context, picture: Picture) -> dict[str, int]:
    """Write an image of half the width and height. What is no such image fails for good."""
    kind, size, most, pixels = picture.source.read_bytes().split(b"\n", 3)
    if kind != b"P6" or most != b"255":
        raise Discard(f"{picture.source} is no PPM image of 8 bits a colour")
    width, height = map(int, size.split())
    rows = [pixels[3 * width * row : 3 * width * (row + 1)] for row in range(0, height, 2)]
    halves = b"".join(row[at : at + 3] for row in rows for at in range(0, 3 * width, 6))
    picture.target.write_bytes(b"P6\n%d %d\n255\n" % ((width + 1) // 2, (height + 1) // 2) + halves)
    return {"width": (width + 1) // 2, "height": (height + 1) // 2}
