"""Signatures as `ssh-keygen -Y sign -n staged-rollout` makes them, so that keys, agents and tools of OpenSSH fit.

Source: PROTOCOL.sshsig of OpenSSH 8.1 and later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from staged_rollout.spec.public_key import ALGORITHM, blob_of, key_of, read_strings, wire

NAMESPACE = "staged-rollout"
"""A signature for another purpose (a git commit, a log-in) is none of ours."""
_MAGIC = b"SSHSIG"
_VERSION = struct.pack(">I", 1)
_HASHES = frozenset({"sha256", "sha512"})
_SIGNATURE_BYTES = 64
LONGEST = 4096
"""Characters of a signature; one of ours has 236."""
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


def to_be_signed(message: bytes, hash_name: str = "sha512") -> bytes:
    """The bytes that a private key signs for a message."""
    digest = hashlib.new(hash_name, message).digest()
    return _MAGIC + wire(NAMESPACE.encode(), b"", hash_name.encode(), digest)


def packed(key: str, signature: bytes) -> str:
    """A signature with the public key that proves it, in base64.

    Args:
        key: The signer's public key, `ssh-ed25519 AAAA...`.
        signature: 64 bytes over `to_be_signed(message)`.
    """
    blob = wire(blob_of(key), NAMESPACE.encode(), b"", b"sha512", wire(ALGORITHM.encode(), signature))
    return base64.b64encode(_MAGIC + _VERSION + blob).decode()


def armoured(signature: str) -> str:
    """A packed signature as the file that `ssh-keygen -Y verify` reads."""
    lines = [signature[at : at + 70] for at in range(0, len(signature), 70)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def signer_of(signature: str, message: bytes) -> str:
    """The public key that signed a message. Says nothing about whose key it is.

    Args:
        signature: Packed in base64, or the file of `ssh-keygen -Y sign`.
        message: What it should be a signature of.

    Raises:
        ValueError: it is no signature of this message.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = "".join(signature.replace(_BEGIN, "").replace(_END, "").split())
    try:
        data = base64.b64decode(text, validate=True) if len(text) <= LONGEST else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data.startswith(_MAGIC + _VERSION):
        raise ValueError("it is not a signature of ssh-keygen -Y sign")
    parts = read_strings(data[len(_MAGIC) + len(_VERSION) :])
    if len(parts) != 5:
        raise ValueError("it is not a whole signature")
    blob, namespace, _, hash_name, inner = parts
    if namespace != NAMESPACE.encode():
        raise ValueError(f"it was made for another purpose, and not with -n {NAMESPACE}")
    if hash_name.decode("ascii", "replace") not in _HASHES:
        raise ValueError("its hash is neither sha512 nor sha256")
    key, signed = key_of(blob), read_strings(inner)
    if len(signed) != 2 or signed[0] != ALGORITHM.encode() or len(signed[1]) != _SIGNATURE_BYTES:
        raise ValueError("it is not a whole signature")
    raw = read_strings(blob)[1]
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signed[1], to_be_signed(message, hash_name.decode()))
    except InvalidSignature:
        raise ValueError("it does not fit: something was altered, or it belongs to another decision") from None
    return key
