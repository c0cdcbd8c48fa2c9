"""Every SQL statement of the documents runs on the newest schema."""

from __future__ import annotations

from typing import Any

import asyncpg

from tests.docs.markdown import DOCUMENTS, blocks

STATEMENTS = [
    statement.strip()
    for document in DOCUMENTS
    for block in blocks(document, "sql")
    for statement in block.text.split(";")
    if statement.strip()
]


async def test_every_statement_runs(database_url: str) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database_url)
    try:
        for statement in STATEMENTS:
            await connection.fetch(statement)
    finally:
        await connection.close()

    assert STATEMENTS
