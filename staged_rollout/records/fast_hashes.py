"""MD5 of many texts, by DuckDB: in half the time that Python takes one by one."""

from __future__ import annotations

import binascii
import threading
from typing import Any

import numpy as np

from staged_rollout.records.row import identity

_LOCAL = threading.local()
_DIGITS = 32
_MANY = 8192  # asking DuckDB takes as long as hashing so many texts here


def md5_column(texts: Any) -> Any:
    """The MD5 of each text in UTF-8: a pyarrow `binary(16)` Array.

    Args:
        texts: A pyarrow ChunkedArray of strings; null stays null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(texts) < _MANY:
        found = [None if text is None else identity(text) for text in texts.to_pylist()]
        return pa.array(found, pa.binary(16))
    asked = _connection().from_arrow(pa.table({"text": texts}))
    digits = asked.project("md5(coalesce(text, '')) AS digits").to_arrow_table()["digits"].combine_chunks()
    offsets, content = digits.buffers()[1:]
    begin = int(np.frombuffer(offsets, np.int32)[digits.offset])
    packed = binascii.unhexlify(memoryview(content)[begin : begin + _DIGITS * len(texts)])
    hashes = pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(packed)])
    return pc.if_else(texts.combine_chunks().is_valid(), hashes, None) if texts.null_count else hashes


def _connection() -> Any:
    """This thread's own connection: they are not to be shared, and opening one costs more than a block's hashes."""
    import duckdb

    if not hasattr(_LOCAL, "connection"):
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": 1,
        }
        _LOCAL.connection = duckdb.connect(config=config)
    return _LOCAL.connection
