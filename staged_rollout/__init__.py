"""Takes a new model version to production, or back out, on evidence."""

__version__ = "0.1.0"
