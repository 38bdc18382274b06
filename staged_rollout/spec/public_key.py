"""OpenSSH public keys of people who approve: Ed25519, as in `id_ed25519.pub`, read without any package."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

ALGORITHM = "ssh-ed25519"
RAW_BYTES = 32
LONGEST = 4096
"""Characters of a line with a public key."""


def read_strings(data: bytes) -> list[bytes]:
    """The strings of SSH's wire format: each a length of four bytes, most significant first, and so many bytes.

    Source: RFC 4251, section 5.

    Raises:
        ValueError: the bytes end within a string.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError("ends within a length")
        (size,) = struct.unpack(">I", data[at : at + 4])
        at += 4
        if at + size > len(data):
            raise ValueError("ends within a string")
        found.append(data[at : at + size])
        at += size
    return found


def wire(*strings: bytes) -> bytes:
    """Strings in SSH's wire format; `read_strings` reads them back."""
    return b"".join(struct.pack(">I", len(one)) + one for one in strings)


def public_key(line: str) -> str:
    """A public key without its comment.

    Args:
        line: `ssh-ed25519 AAAA... comment`.

    Raises:
        ValueError: it is none, or one of another kind.
    """
    words = line.split()
    if "PRIVATE KEY" in line:
        raise ValueError("is a private key; give the line of the file that ends in .pub")
    if not words or len(line) > LONGEST:
        raise ValueError("is not a public key")
    if words[0] != ALGORITHM:
        raise ValueError(f"is a key of kind {words[0][:40]!r}, and only {ALGORITHM} is accepted")
    if len(words) < 2:
        raise ValueError(f"has nothing after {ALGORITHM}")
    try:
        blob = base64.b64decode(words[1], validate=True)
        parts = read_strings(blob)
    except (binascii.Error, ValueError):
        raise ValueError("is not a whole public key") from None
    if len(parts) != 2 or parts[0] != ALGORITHM.encode() or len(parts[1]) != RAW_BYTES:
        raise ValueError("is not a whole public key")
    return f"{ALGORITHM} {base64.b64encode(blob).decode()}"


def blob_of(key: str) -> bytes:
    """A public key in SSH's wire format; `key` is one that `public_key` gave."""
    return base64.b64decode(key.split()[1])


def key_of(blob: bytes) -> str:
    """The public key of a blob in SSH's wire format.

    Raises:
        ValueError: it is none.
    """
    return public_key(f"{ALGORITHM} {base64.b64encode(blob).decode()}")


def fingerprint(key: str) -> str:
    """What `ssh-keygen -l` calls a key: `SHA256:` and 43 characters.

    >>> fingerprint("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
    'SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA'
    """
    digested = hashlib.sha256(blob_of(key)).digest()
    return "SHA256:" + base64.b64encode(digested).decode().rstrip("=")


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _key(value: Any) -> Any:
    return public_key(value) if isinstance(value, str) else value


PublicKey = Annotated[str, BeforeValidator(_key)]
PersonsKeys = Annotated[
    tuple[PublicKey, ...], BeforeValidator(_several), Field(min_length=1, max_length=16, description="public keys")
]
"""One key, or several: a person may have one on each machine."""
PERSON = r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,127}$"
PersonName = Annotated[str, Field(pattern=PERSON)]
