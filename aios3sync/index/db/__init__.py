"""The databases of the object index: one protocol, SQLite and PostgreSQL."""
