"""What may be wrong with a request, beyond what core/errors.py knows of. Facts as attributes, nothing about answers.

SluiceError
├── BodyTooLarge, NotJsonMedia, UnknownEncoding, NotGzip     the body as it came
├── NotJson, Unsound                                         ... as JSON
├── Invalid                                                  ... as what it must say
│   └── UnknownKinds, PayloadsRefused                        of a batch's tasks
├── InvalidParameters                                        the path or the query
├── OutcomeUnknown
│   └── MaybeAccepted                                        a submission that had no answer
├── NotReady                                                 this process
└── NotHttp, TooSlow, Trailers, HeadTooLarge                 the connection
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from sluice.core.errors import Flaw, OutcomeUnknown, SluiceError
from sluice.core.task import TaskId

MOST_FLAWS = 100
"""Findings after which the search ends: an answer is to be read, and to stay small."""


class BodyTooLarge(SluiceError):
    """More bytes than a body may have. `unread`: there are more still, so the connection cannot go on."""

    def __init__(self, limit: int, *, unread: bool) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.unread = unread


class NotJsonMedia(SluiceError):
    """The body says that it is something other than JSON in UTF-8, or does not say what it is."""

    def __init__(self) -> None:
        super().__init__("send JSON in UTF-8 with the header Content-Type: application/json")


class UnknownEncoding(SluiceError):
    """The body's Content-Encoding is none that is understood here."""

    def __init__(self) -> None:
        super().__init__("send the body as it is, or with Content-Encoding: gzip")


class NotGzip(SluiceError):
    """The body calls itself gzip and is not, or breaks off."""


class NotJson(SluiceError):
    """The bytes are no JSON text in UTF-8. NaN and infinities, whose meaning JSON does not know, are among these."""


class Unsound(SluiceError):
    """JSON, but with values that could not be kept as they are. `flaws` has the first MOST_FLAWS of them."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__("the body holds values that cannot be kept as they are")
        self.flaws = tuple(flaws)


class Invalid(SluiceError):
    """The body is JSON and does not say what it must."""

    def __init__(self, flaws: Iterable[Flaw]) -> None:
        super().__init__("the request is not valid")
        self.flaws = tuple(islice(flaws, MOST_FLAWS))


class UnknownKinds(Invalid):
    """Tasks of a batch are of kinds that no consumer has registered."""


class PayloadsRefused(Invalid):
    """Payloads of a batch do not fit their kinds."""


class InvalidParameters(SluiceError):
    """A parameter of the path or of the query is not what it must be; (name, detail) pairs."""

    def __init__(self, flaws: Iterable[tuple[str, str]]) -> None:
        super().__init__("the request is not valid")
        self.flaws = tuple(islice(flaws, MOST_FLAWS))


class MaybeAccepted(OutcomeUnknown):
    """The time is over and a statement with these tasks has had no answer: they may have been committed."""

    def __init__(self, ids: Sequence[TaskId]) -> None:
        super().__init__("PostgreSQL", "no answer in time")
        self.ids = list(ids)


class NotReady(SluiceError):
    """Requests should go elsewhere for now."""


class NotHttp(SluiceError):
    """The bytes are no request."""


class TooSlow(SluiceError):
    """The request took too long to arrive."""


class Trailers(SluiceError):
    """Headers come behind the body: nothing here reads them."""


class HeadTooLarge(SluiceError):
    """The request line and the headers are longer, or more, than any request needs."""

    def __init__(self, limit: int, most: int) -> None:
        super().__init__(f"the request line and the headers are over {limit} bytes, or over {most} headers")
