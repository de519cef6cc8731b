"""Bringing a database from the schema it has to the schema of today, with Alembic.

Not here: when that is done, and the backup before it (store.engine).
"""

from pathlib import Path

from sqlalchemy import Connection

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every schema there has been, oldest first; a constant because loading Alembic to ask it is slow."""

VERSIONS = Path(__file__).parent / "versions"


def upgrade(connection: Connection) -> None:
    """Apply what is missing, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("version_locations", str(VERSIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
