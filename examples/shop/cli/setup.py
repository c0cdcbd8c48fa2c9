"""`python -m cli.setup`: make the shop's table."""

import asyncio
import os

import asyncpg

from db.session import TABLE


async def main() -> None:
    """Make it where DATABASE_URL says, if it is not there."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute(TABLE)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
