"""Keyed hashes that stand for unit ids: the lake never stores the id itself."""

from __future__ import annotations

import hmac

KEY_BYTES = 32
"""Length of a lake's key, in bytes."""


def unit_hash(key: bytes, unit: str) -> str:
    """What stands for a unit in the lake: HMAC-SHA256 cut to 128 bits, as 32 hexadecimal digits.

    Without the key nobody can test a guessed id; 128 bits make two units of one lake collide with a probability below
    1e-20 at a billion units. Source: RFC 2104; truncation as its section 5 allows.
    """
    return hmac.digest(key, unit.encode(), "sha256")[:16].hex()
