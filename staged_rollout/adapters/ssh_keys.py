"""Private keys of people: OpenSSH files and OpenSSH's agent. Only signatures leave this module."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from staged_rollout.errors import NotFoundError, PlatformError, RefusedError
from staged_rollout.operations.ssh_signature import packed, to_be_signed
from staged_rollout.spec.public_key import ALGORITHM, blob_of, fingerprint, public_key, read_strings, wire

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AskPassphrase = Callable[[str], str | None]
"""Asks a person for the passphrase of a file; None: nobody can be asked."""
LONGEST = 16_384
"""Bytes of a key file."""
OPEN_TO_OTHERS = 0o077
AGENT_TIMEOUT_S = 60.0
"""An agent may ask its owner to confirm."""
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_LARGEST_ANSWER = 262_144


class KeyFile:
    """A private key in a file, as `ssh-keygen -t ed25519` or `staged-rollout key new` makes it.

    Args:
        path: The private key, not the one that ends in .pub.
        ask: Called when the file has a passphrase.
    """

    def __init__(self, path: Path, ask: AskPassphrase) -> None:
        self._path, self._ask = path.expanduser(), ask

    def __call__(self, message: bytes, keys: tuple[str, ...]) -> str:
        """Sign with the file's key; whether it is one of `keys` is judged by who verifies.

        Raises:
            NotFoundError: there is no such file.
            RefusedError: others can read the file, it holds no Ed25519 key, or the passphrase is wrong.
        """
        del keys
        key = self._private()
        return packed(_public(key), key.sign(to_be_signed(message)))

    def public(self) -> str:
        """The public key that belongs to it: of the .pub file beside it, or else of the private key itself."""
        beside = self._path.with_name(f"{self._path.name}.pub")
        path = self._path if self._path.suffix == ".pub" else beside
        if path.exists():
            try:
                return public_key(path.read_text(encoding="utf-8")[:LONGEST])
            except (OSError, ValueError) as error:
                raise RefusedError(f"{path} {error}", hint="staged-rollout key new makes one") from None
        return _public(self._private())

    def _private(self) -> Ed25519PrivateKey:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        data = self._read()
        try:
            try:
                key = load_ssh_private_key(data, None)
            except TypeError:  # it has a passphrase
                passphrase = self._ask(str(self._path))
                if passphrase is None:
                    raise RefusedError(
                        f"{self._path} has a passphrase, and nobody can be asked for it",
                        hint="ssh-add lets an agent hold the key; leave --key out then",
                    ) from None
                try:
                    key = load_ssh_private_key(data, passphrase.encode())
                except ValueError:
                    raise RefusedError(f"{self._path}: the passphrase is wrong") from None
        except (ValueError, UnsupportedAlgorithm):
            raise RefusedError(
                f"{self._path} holds no private key in OpenSSH's format",
                hint=f"ssh-keygen -t ed25519 -f {self._path}, or staged-rollout key new",
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise RefusedError(
                f"{self._path} holds a key of another kind; only {ALGORITHM} is accepted",
                hint="staged-rollout key new makes one",
            )
        return key

    def _read(self) -> bytes:
        """The file's bytes, its mode judged on the same open file."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise RefusedError(f"{self._path} is not a file")
                mode = stat.S_IMODE(found.st_mode)
                if mode & OPEN_TO_OTHERS:
                    raise RefusedError(
                        f"{self._path} has mode {mode:04o}: others can read or change it, so it proves nothing",
                        hint=f"chmod 600 {self._path}",
                    )
                return file.read(LONGEST)
        except FileNotFoundError:
            raise NotFoundError(f"no key file {self._path}", hint="staged-rollout key new makes one") from None
        except OSError as error:
            raise RefusedError(f"{self._path} cannot be read: {error.strerror}") from None


class KeyAgent:
    """OpenSSH's agent (`SSH_AUTH_SOCK`), which signs with keys that it does not give away.

    Source: the agent protocol, draft-ietf-sshm-ssh-agent, sections 3.5 and 3.6.

    Args:
        path: Its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, message: bytes, keys: tuple[str, ...]) -> str:
        """Sign with the first of `keys` that the agent holds.

        Raises:
            RefusedError: it holds none of them, or will not sign.
            PlatformError: no agent answers.
        """
        try:
            with socket.socket(socket.AF_UNIX) as agent:
                agent.settimeout(AGENT_TIMEOUT_S)
                agent.connect(self._path)
                held = _held(_ask(agent, bytes([_LIST]), _LISTED))
                key = next((one for one in keys if blob_of(one) in held), None)
                if key is None:
                    raise RefusedError(
                        f"the agent holds none of the keys that count: {', '.join(map(fingerprint, keys))}",
                        hint="ssh-add FILE, or --key FILE",
                    )
                request = bytes([_SIGN]) + wire(blob_of(key), to_be_signed(message)) + struct.pack(">I", 0)
                (signature,) = read_strings(_ask(agent, request, _SIGNED))
        except (OSError, ValueError) as error:
            raise PlatformError(f"no agent answers at SSH_AUTH_SOCK: {error}", hint="--key FILE") from None
        parts = read_strings(signature)
        if len(parts) != 2:
            raise PlatformError("the agent's signature cannot be read", hint="--key FILE")
        return packed(key, parts[1])


def new_key(path: Path, passphrase: str, comment: str) -> str:
    """Make a key pair, in the files `path` (mode 0600) and `path.pub`; never over one that is there.

    Args:
        path: Where the private key goes.
        passphrase: "" for none.
        comment: Stands at the end of the public key's line.

    Returns:
        The public key.

    Raises:
        RefusedError: one of the files exists, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    path = path.expanduser()
    beside = path.with_name(f"{path.name}.pub")
    key = Ed25519PrivateKey.generate()
    guard = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    public = _public(key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in (path, beside):
            if file.is_symlink() or file.exists():
                raise RefusedError(f"{file} is there already, and is left as it is", hint="--file names another")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, guard)
        for file, mode, data in ((path, 0o600, private), (beside, 0o644, f"{public} {comment}\n".encode())):
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(data)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}") from None
    return public


def _public(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public_key(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def _ask(agent: socket.socket, request: bytes, wanted: int) -> bytes:
    agent.sendall(wire(request))
    (size,) = struct.unpack(">I", _exactly(agent, 4))
    if not 0 < size <= _LARGEST_ANSWER:
        raise ValueError(f"an answer of {size} bytes")
    answer = _exactly(agent, size)
    if answer[0] != wanted:
        raise RefusedError("the agent refuses", hint="is it locked? --key FILE does without it")
    return answer[1:]


def _held(answer: bytes) -> set[bytes]:
    """The public keys that an agent listed; every second string is a comment."""
    return set(read_strings(answer[4:])[::2])


def _exactly(agent: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = agent.recv(size - len(data))
        if not more:
            raise ValueError("it hung up")
        data += more
    return data
