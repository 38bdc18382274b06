"""One environment: account, region, keys, and which adapter stands behind each port."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from staged_rollout.records.blocks import LineKind
from staged_rollout.records.field_rules import problems_of
from staged_rollout.spec.aws import AwsSpec, Place, RoleArn
from staged_rollout.spec.findings import Finding, spec_error
from staged_rollout.spec.locations import config_file, configs_dir
from staged_rollout.spec.model import Instance
from staged_rollout.spec.prices import PriceOverrides
from staged_rollout.spec.public_key import PersonName, PersonsKeys, fingerprint
from staged_rollout.spec.values import Duration, FrozenModel
from staged_rollout.spec.yaml_model import load_model

Choice = Literal["embedded", "aws"]
Port = Literal["serving", "assignments", "registry", "logs", "lake", "health", "tracker"]
_PLACES: tuple[tuple[Port, Place], ...] = (
    ("serving", "capture"),
    ("logs", "logs"),
    ("assignments", "assignments"),
    ("lake", "lake"),
)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


def _named(group: Any) -> Any:
    if isinstance(group, list | tuple):
        raise ValueError("is a list of keys; a signature must name a person, so each key stands under a name")  # noqa: TRY004
    return {} if group is None else group


Group = Annotated[dict[PersonName, PersonsKeys], BeforeValidator(_named)]
"""People who may answer for a group, each with one public key or several."""


class Adapters(FrozenModel):
    """Which adapter stands behind each port; the ledger's is told by its URL."""

    serving: Choice = "embedded"
    assignments: Choice = "embedded"
    registry: Choice = "embedded"
    logs: Choice = "embedded"
    lake: Choice = "embedded"
    health: Choice = "embedded"
    tracker: Choice = "embedded"
    notifier: Literal["log", "prefect"] = "log"

    @property
    def uses_aws(self) -> bool:
        """Whether any port is served by AWS."""
        return "aws" in self.model_dump().values()


class EnvironmentDefaults(FrozenModel):
    """Defaults of rollout keys that this environment sets; a rollout file's own value stands above them."""

    capture_delay: Duration | None = Field(default=None, description="a duration such as 2h")
    blind_after: Duration | None = Field(default=None, description="a duration such as 30m")
    min_units: int | None = Field(default=None, ge=1, description="a whole number from 1")
    instance: Instance | None = Field(default=None, description="type and count")


LogFormat = Literal["flat", "capture", "shadow", "outcomes", "ground-truth", "feedback"]


class LogSpec(FrozenModel):
    """Logs that others write, beside those in the home's own places.

    Args:
        source: A file, a folder or a glob; relative ones begin at the home folder.
        format: Kind of their lines.
        endpoint: Their endpoint; null: the one in a Data Capture path, or else `local`.
        variant: The variant that answered, where lines do not say.
        fields: Our names to theirs; null: their log has none of it.
    """

    source: str = Field(min_length=1, max_length=4096, description="a file, a folder or a glob")
    format: LogFormat = Field(description="flat, capture, shadow, outcomes, ground-truth or feedback")
    endpoint: str | None = Field(default=None, pattern=_NAME, description="letters, digits, '.', '_' and '-'")
    variant: str | None = Field(default=None, pattern=_NAME, description="letters, digits, '.', '_' and '-'")
    fields: dict[str, str | None] = Field(default_factory=dict, description="our field: their key, or null")

    @property
    def kind(self) -> LineKind:
        """The format, as records call it."""
        return "predictions" if self.format == "flat" else self.format

    @model_validator(mode="after")
    def _readable(self) -> Self:
        problems = problems_of(self.kind, self.fields)
        if problems:
            raise ValueError("; ".join(problems))
        return self


class EnvironmentSpec(FrozenModel):
    """One file of `configs/environments/`.

    Args:
        name: The file's name.
        local: One machine, nobody's production: `live.min` need not be whole weeks, the clock may be simulated.
        clock: Where now comes from.
        ledger: SQLAlchemy URL without a password; None: SQLite in the home folder.
        account: AWS account id.
        region: AWS region.
        role_arn: The role that is assumed; null: credentials are used as they are found.
        kms_key: Key that encrypts what is written to AWS.
        aws: Where adapters on AWS write, and what they read.
        adapters: The choice for each port.
        approvers: Groups that a rollout can ask; who has keys here must sign, an empty group is taken at its word.
        defaults: Defaults of rollout keys.
        logs: Logs of others that every ingest reads too.
        prices: What differs from `configs/prices.yaml`.
        drain_s: Seconds from publishing an assignment until every router has it and its calls have ended; a shrinking
            endpoint waits so long. At least two polls of a router (5 s each).
        poll_s: Seconds between two looks at an endpoint that is changing.
        settle_s: Seconds that one run waits for observed to equal desired; the next tick goes on.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$", description="letters, digits and '-'")
    local: bool = Field(default=False, description="true or false")
    clock: Literal["real", "simulated"] = Field(default="real", description="real or simulated")
    ledger: str | None = Field(default=None, description="a SQLAlchemy URL without a password, or null")
    account: str | None = Field(default=None, pattern=r"^[0-9]{12}$", description="12 digits in quotes")
    region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", description="such as us-east-1")
    role_arn: RoleArn | None = Field(default=None, description="arn:aws:iam::ACCOUNT:role/NAME")
    kms_key: str | None = Field(
        default=None, pattern=r"^(alias/|arn:aws[a-z-]*:kms:)[\w:/-]+$", description="alias/NAME or a key's ARN"
    )
    aws: AwsSpec = Field(default=AwsSpec(), description="bucket, prefix, queue, model_role and more")
    adapters: Adapters = Field(default=Adapters(), description="embedded or aws for each port")
    approvers: dict[str, Group] = Field(
        default_factory=dict, description="groups, each with people: {growth-ml: {ana: ssh-ed25519 AAAA...}}"
    )
    defaults: EnvironmentDefaults = EnvironmentDefaults()
    logs: tuple[LogSpec, ...] = Field(default=(), description="a list of {source, format, endpoint, variant, fields}")
    prices: PriceOverrides = Field(default=PriceOverrides(), description="US dollars from 0")
    drain_s: float = Field(default=15.0, ge=0, le=3600, description="seconds from 0 to 3600")
    poll_s: float = Field(default=5.0, gt=0, le=600, description="seconds above 0, to 600")
    settle_s: float = Field(default=600.0, gt=0, le=7200, description="seconds above 0, to 7200")

    @field_validator("ledger")
    @classmethod
    def _without_password(cls, ledger: str | None) -> str | None:
        if ledger is None:
            return None
        if "://" not in ledger:
            raise ValueError("is not a SQLAlchemy URL")
        try:
            holds_password = urlsplit(ledger).password is not None
        except ValueError as error:
            raise ValueError("is not a SQLAlchemy URL") from error
        if holds_password or "password=" in ledger:
            raise ValueError("holds a password, which belongs in PGPASSFILE or STAGED_ROLLOUT_LEDGER")
        return ledger

    @field_validator("approvers")
    @classmethod
    def _one_person_per_key(cls, approvers: dict[str, Group]) -> dict[str, Group]:
        for group, people in approvers.items():
            owners: dict[str, str] = {}
            for person, keys in people.items():
                for key in keys:
                    if owners.setdefault(key, person) != person:
                        both = f"{owners[key]} and {person}"
                        raise ValueError(f"{group}: {both} have the same key {fingerprint(key)}")
        return approvers

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.clock == "simulated" and not self.local:
            raise ValueError("clock == 'simulated' needs local == true: outcomes of real traffic keep real time")
        if self.adapters.uses_aws and (self.account is None or self.region is None):
            raise ValueError("adapters on aws need account and region")
        missing = [
            f"aws.bucket or aws.{place}" for port, place in _PLACES if self.on_aws(port) and not self.aws.uri(place)
        ]
        if self.on_aws("serving") and self.aws.model_role is None:
            missing.append("aws.model_role")
        if self.on_aws("tracker") and self.aws.mlflow is None:
            missing.append("aws.mlflow")
        if missing:
            raise ValueError(f"adapters on aws need {', '.join(missing)}")
        return self

    def on_aws(self, port: Port) -> bool:
        """Whether an adapter on AWS stands behind a port."""
        choice: Choice = getattr(self.adapters, port)
        return choice == "aws"


def load_environment(name_or_path: Path | str, configs: Path | None = None) -> EnvironmentSpec:
    """Read an environment.

    Args:
        name_or_path: A name in `configs/environments`, or a path that ends in .yaml.
        configs: The configs folder; None: the one that `configs_dir()` finds.

    Raises:
        NotFoundError: If there is no such file.
        SpecError: If the file does not lint; with all findings.
    """
    path = config_file("environments", name_or_path, configs or configs_dir())
    environment = load_model(path, EnvironmentSpec)
    if environment.name != path.stem:
        finding = Finding(str(path), 1, "name", environment.name, "is not the file's name", path.stem)
        raise spec_error(str(path), (finding,))
    return environment
