"""The command line: it works when Prefect is down."""
