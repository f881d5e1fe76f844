"""Alembic's entry: `catalog-gen db upgrade` hands it an open connection inside a transaction.

To write a migration, from a checkout: change `catalog_gen/catalog/tables.py`, add a file to `versions/` by hand, and
run `tests/catalog/test_database.py`, which compares the migrated tables with the declared ones on both databases.
"""

from alembic import context

from catalog_gen.catalog.schema import VERSION_TABLE
from catalog_gen.catalog.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run the migrations with: catalog-gen db upgrade")

context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite's DDL is transactional once the driver leaves BEGIN to us
)
with context.begin_transaction():
    context.run_migrations()
