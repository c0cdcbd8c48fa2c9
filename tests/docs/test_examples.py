"""Every console block of the documents, followed as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import DOCUMENTS, blocks
from tests.docs.session import Session

FOLLOWED = [document for document in DOCUMENTS if blocks(document, "console")]


def test_the_readme_is_followed() -> None:
    assert "README.md" in {document.name for document in FOLLOWED}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("document", FOLLOWED, ids=lambda document: document.name)
async def test_a_reader_sees_what_the_document_shows(document: Path, session: Session) -> None:
    assert await session.follow(document) > 0
