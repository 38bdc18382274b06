"""The model registry on MLflow: a SQLite file and a folder of artifacts, no server.

A version carries its own contract in tags: `features` (the ordered feature names), `encodings` (category to number, per
feature), `digest` (SHA-256 over the artifact's files), `status` and, once it has run, `lifecycle` and `rollout`.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.errors import NotFoundError, PlatformError, RefusedError
from staged_rollout.ports.registry import Lifecycle, ModelVersion, RegistryStatus

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""What skops may build beyond its own defaults. A model that needs more is not loaded."""

CHAMPION = "champion"
_PAGE = 200


class MlflowRegistry:
    """Implements `ports.Registry`, and registers models.

    Args:
        folder: Holds `mlflow.db` and `artifacts/` (`Home.registry`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def versions_after(self, model: str, cursor: int) -> list[ModelVersion]:
        """Versions with a number above the cursor, oldest first, whatever their status; none for an unknown model.

        Raises:
            RefusedError: the model's name is not one.
        """
        checked_name(model, "model")
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(
                f"name = '{model}' and version_number > {int(cursor)}",
                max_results=_PAGE,
                order_by=["version_number ASC"],
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                break
        return sorted((self._told(row) for row in found), key=lambda version: int(version.version))

    def version(self, model: str, version: str) -> ModelVersion:
        """One version.

        Raises:
            NotFoundError: no such model or version.
            RefusedError: the model's name is not one.
        """
        return self._told(self._row(model, version))

    def champion(self, model: str) -> ModelVersion | None:
        """The version that serves, or None before the first."""
        from mlflow.exceptions import MlflowException

        try:
            return self._told(self._client.get_model_version_by_alias(checked_name(model, "model"), CHAMPION))
        except MlflowException as error:
            if _is_missing(error):
                return None
            raise _failed(error) from error

    def set_champion(self, model: str, version: str) -> None:
        """Move the champion; idempotent.

        Raises:
            NotFoundError: no such model or version.
        """
        row = self._row(model, version)
        if CHAMPION not in row.aliases:
            self._client.set_registered_model_alias(model, CHAMPION, str(row.version))

    def set_lifecycle(self, model: str, version: str, lifecycle: Lifecycle, rollout: str) -> None:
        """Write back what became of a version; idempotent.

        Raises:
            NotFoundError: no such model or version.
        """
        tags = self._row(model, version).tags
        for key, value in (("lifecycle", lifecycle), ("rollout", rollout)):
            if tags.get(key) != value:
                self._client.set_model_version_tag(model, version, key, value)

    def set_status(self, model: str, version: str, status: RegistryStatus) -> None:
        """Approve or reject a version; idempotent.

        Raises:
            NotFoundError: no such model or version.
        """
        if self._row(model, version).tags.get("status") != status:
            self._client.set_model_version_tag(model, version, "status", status)

    def register(
        self,
        model: str,
        estimator: Any,
        *,
        features: Sequence[str],
        encodings: Mapping[str, Mapping[str, float]] | None = None,
        tags: Mapping[str, str] | None = None,
        status: RegistryStatus = "approved",
    ) -> ModelVersion:
        """Serialise a fitted classifier with skops and register it as the next version.

        Args:
            model: The registered model's name.
            estimator: A fitted scikit-learn classifier of classes 0 and 1 with `predict_proba`, over an array whose
                columns are `features` in their order.
            features: Names of the columns.
            encodings: For categorical features: category (as text) to the number that stands in the array.
            tags: Further tags of the version.
            status: Whether it may be served.

        Raises:
            RefusedError: the estimator does not fit this contract, or skops would not trust it at loading.
        """
        checked_name(model, "model")
        encodings = encodings or {}
        _check_contract(estimator, features, encodings)
        folder = self._folder / "artifacts" / model / uuid.uuid4().hex
        self._save(estimator, folder)
        contract = {
            "features": json.dumps(list(features)),
            "encodings": json.dumps({name: dict(codes) for name, codes in encodings.items()}),
            "digest": artifact_digest(folder),
            "status": status,
        }
        self._ensure_model(model)
        row = self._client.create_model_version(model, source=str(folder), tags={**(tags or {}), **contract})
        return self.version(model, str(row.version))

    def artifact(self, model: str, version: str) -> Path:
        """The folder of a version's files.

        Raises:
            NotFoundError: no such model or version.
        """
        source = Path(str(self._row(model, version).source))
        moved = self._folder / "artifacts" / model / source.name  # the home folder may have been moved since
        return source if source.is_dir() else moved

    @cached_property
    def _client(self) -> MlflowClient:
        with _quietly():
            from mlflow.tracking import MlflowClient

        self._folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{self._folder / 'mlflow.db'}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def _ensure_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise _failed(error) from error

    def _row(self, model: str, version: str) -> Any:
        from mlflow.exceptions import MlflowException

        checked_name(model, "model")
        if not (version.isascii() and version.isdecimal()):
            raise NotFoundError(f"model {model}: version == {version!r}, must be a whole number", model=model)
        try:
            return self._client.get_model_version(model, version)
        except MlflowException as error:
            if _is_missing(error):
                raise NotFoundError(f"model {model} has no version {version}", model=model, version=version) from error
            raise _failed(error) from error

    @staticmethod
    def _told(row: Any) -> ModelVersion:
        tags = dict(row.tags)
        status = tags.get("status", "pending")
        return ModelVersion(
            model=row.name,
            version=str(row.version),
            status=status if status in get_args(RegistryStatus) else "pending",
            reference=f"{row.name}/{row.version}",
            digest=tags.get("digest", ""),
            created_at=datetime.fromtimestamp(row.creation_timestamp / 1000, tz=UTC),
            tags=tags,
        )

    @staticmethod
    def _save(estimator: Any, folder: Path) -> None:
        with _quietly():
            import mlflow.sklearn

            mlflow.sklearn.save_model(
                estimator,
                str(folder),
                serialization_format="skops",
                skops_trusted_types=list(TRUSTED_TYPES),
                # Named here, or MLflow would run an inference of its own to find them.
                pip_requirements=[f"{name}=={installed(name)}" for name in ("scikit-learn", "skops", "numpy")],
            )


def artifact_digest(folder: Path) -> str:
    """SHA-256 over the artifact's files: each one's relative path, size and bytes, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\x1f{len(content)}\x1f".encode())
        digest.update(content)
    return digest.hexdigest()


def _check_contract(estimator: Any, features: Sequence[str], encodings: Mapping[str, Mapping[str, float]]) -> None:
    if not features or len(set(features)) != len(features):
        raise RefusedError(f"features == {list(features)}, must be distinct names, at least one")
    if unknown := sorted(set(encodings) - set(features)):
        raise RefusedError(f"encodings name {unknown}, which are not among the features")
    if not hasattr(estimator, "predict_proba"):
        raise RefusedError(f"{type(estimator).__name__} has no predict_proba", hint="register a classifier")
    if (classes := [int(label) for label in estimator.classes_]) != [0, 1]:
        raise RefusedError(f"classes == {classes}, must be [0, 1]")
    if (width := int(estimator.n_features_in_)) != len(features):
        raise RefusedError(f"the estimator takes {width} columns, features names {len(features)}")


@contextmanager
def _quietly() -> Iterator[None]:
    # Read while MLflow is imported: nothing is sent home, and migrations are no news to who runs a rollout.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():  # importing more of itself, MLflow warns of its own type hints
        warnings.simplefilter("ignore")
        yield


def _is_missing(error: Any) -> bool:
    # An alias that is not set is reported as an invalid parameter.
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or "alias" in str(error).lower()


def _failed(error: Exception) -> PlatformError:
    return PlatformError(f"the MLflow registry failed: {error}")
