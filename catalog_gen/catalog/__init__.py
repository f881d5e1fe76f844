"""The database side: tables, claims, imports, prompts. The only part that imports SQLAlchemy."""
