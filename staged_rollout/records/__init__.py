"""Rows and how a log line becomes one: table columns, the strict line parser, identities and keyed unit hashes."""
