"""Loading registered models, and asking them.

The contract: a classifier over an array whose columns the version's `features` tag names in order; categories are
looked up in its `encodings` tag. Encoding by dictionary and calling the model on an array takes 1 ms a row, a
scikit-learn ColumnTransformer 6.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from staged_rollout.adapters.registry_mlflow import TRUSTED_TYPES, MlflowRegistry, artifact_digest
from staged_rollout.errors import PlatformError, StagedRolloutError

if TYPE_CHECKING:
    from staged_rollout.ports.registry import ModelVersion

_MEDIA_TYPE = "application/json"
_THRESHOLD = 0.5


class AnswerError(Exception):
    """The model cannot answer this request.

    Args:
        status: As the model's own server would say it: 400 for features that do not fit, 415 for a content type.
        message: What is wrong, for the caller.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Predictor:
    """A loaded model version.

    Args:
        estimator: Has `predict_proba` over an array of one row per request, one column per feature.
        features: The columns, in order.
        encodings: Category to number, for the features that are categories.
        version: The registry's version number, told in every answer.
    """

    def __init__(
        self, estimator: Any, features: tuple[str, ...], encodings: Mapping[str, Mapping[str, float]], version: str
    ) -> None:
        self._estimator = estimator
        self._columns = [(name, encodings.get(name)) for name in features]
        self._version = version

    def answer(self, content_type: str, body: bytes) -> bytes:
        """The answer to one request: `{"prediction": 0 or 1, "score": P(1), "model_version": "2"}`.

        Features that this version does not use are ignored: the same request must serve champion and candidate.

        Raises:
            AnswerError: the body is not a JSON object that holds every feature as a number or a known category.
        """
        if content_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
            raise AnswerError(415, f"content type {content_type!r}, must be {_MEDIA_TYPE}")
        try:
            features = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise AnswerError(400, f"the body is not JSON: {error}") from error
        if not isinstance(features, dict):
            raise AnswerError(400, "the body must be a JSON object of features")
        import numpy as np

        row = np.array([[_number(features, name, codes) for name, codes in self._columns]], dtype=np.float64)
        score = float(self._estimator.predict_proba(row)[0, 1])
        return orjson.dumps({"prediction": int(score >= _THRESHOLD), "score": score, "model_version": self._version})


class ModelShelf:
    """Loads versions from the registry, each once. Safe to use from several threads.

    Args:
        registry: Where versions and artifacts lie.
    """

    def __init__(self, registry: Path) -> None:
        self._registry = MlflowRegistry(registry)
        self._loaded: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def find(self, package: str) -> ModelVersion:
        """The registered version behind a model package name (`churn/2`).

        Raises:
            StagedRolloutError: there is none.
        """
        model, _, version = package.partition("/")
        with self._lock, _failing_as_ours(package):
            return self._registry.version(model, version)

    def load(self, package: str) -> Predictor:
        """The version, ready to answer.

        Raises:
            StagedRolloutError: it does not exist, its files are not those that were registered, or it breaks the
                contract.
        """
        with self._lock, _failing_as_ours(package):
            if package not in self._loaded:
                self._loaded[package] = self._load(package)
            return self._loaded[package]

    def _load(self, package: str) -> Predictor:
        import skops.io

        model, _, version = package.partition("/")
        found = self._registry.version(model, version)
        folder = self._registry.artifact(model, version)
        if artifact_digest(folder) != found.digest:
            raise PlatformError(f"the artifact of {package} is not the one that was registered", package=package)
        estimator = skops.io.load(folder / "model.skops", trusted=list(TRUSTED_TYPES))
        try:
            features = tuple(json.loads(found.tags["features"]))
            encodings = json.loads(found.tags["encodings"])
        except (KeyError, ValueError) as error:
            raise PlatformError(f"{package} does not tell its features: {error!r}", package=package) from error
        return Predictor(estimator, features, encodings, version)


@contextmanager
def _failing_as_ours(package: str) -> Iterator[None]:
    try:
        yield
    except StagedRolloutError:
        raise
    except (
        Exception
    ) as error:  # whatever a model's files can do wrong is a model that cannot be loaded, not a dead server
        raise PlatformError(f"{package} cannot be loaded: {type(error).__name__}: {error}", package=package) from error


def _number(features: Mapping[str, Any], name: str, codes: Mapping[str, float] | None) -> float:
    if name not in features:
        raise AnswerError(400, f"feature {name!r} is missing")
    value = features[name]
    if codes is not None:
        code = codes.get(value if isinstance(value, str) else json.dumps(value)) if _is_scalar(value) else None
        if code is None:
            raise AnswerError(400, f"feature {name!r} is {_shown(value)}, must be one of {sorted(codes)[:20]}")
        return code
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerError(400, f"feature {name!r} is {_shown(value)}, must be a number")
    if not math.isfinite(value):
        raise AnswerError(400, f"feature {name!r} is not finite")
    return float(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _shown(value: Any) -> str:
    return json.dumps(value)[:80]
