"""The kind of record that evidence is made of."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Figures(BaseModel):
    """A frozen record; unknown keys are refused.

    Keys that a later version of the schema brought are named in `silent`. Without a value they are not written, so
    that evidence of an earlier version keeps its bytes, and with them its hash, when it is read and written again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    silent: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_first_stored(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None or key not in self.silent}
