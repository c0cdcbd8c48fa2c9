"""Bodies that were compressed for the way: gzip is undone piece by piece. Keeps nothing and counts nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sluice.api.problems.errors import NotGzip, UnknownEncoding

PIECE = 64 << 10
"""Bytes made at once, however little they were made of."""
_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """The decoder of one body."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data`, the next part of the body, was made of: none is longer than PIECE. Raises NotGzip."""
        more = bool(data)
        while more:
            if self._stream.eof:  # several files of gzip in a row are one
                self._stream = zlib.decompressobj(_GZIP)
            self._begun = True
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error:
                raise NotGzip from None
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            more = bool(data) or (len(piece) == PIECE and not self._stream.eof)
            yield piece

    def end(self) -> None:
        """The body is whole. Raises NotGzip when what it was made of is not."""
        if self._begun and not self._stream.eof:
            raise NotGzip


def decoder(encoding: bytes) -> Gunzip | None:
    """What undoes `Content-Encoding: encoding`, None where there is nothing to undo. Raises UnknownEncoding."""
    match encoding.strip().lower():
        case b"" | b"identity":
            return None
        case b"gzip" | b"x-gzip":
            return Gunzip()
        case _:
            raise UnknownEncoding
