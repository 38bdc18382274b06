"""What one look knows."""

from staged_rollout.evidence.look import BoundFigures, LookFigures, StageWiseFigures, StopFigures, SuccessFigures
from staged_rollout.evidence.model import (
    BaselineFigures,
    DriftFigures,
    Evidence,
    GuardrailFigures,
    HarmGuardFigures,
    HealthFigures,
    PlatformFigures,
    QualityFigures,
    SegmentFigures,
    ShadowFigures,
    SrmCellFigures,
    SrmFigures,
    TrafficFigures,
    VariantTraffic,
    sealed,
)

__all__ = [
    "BaselineFigures",
    "BoundFigures",
    "DriftFigures",
    "Evidence",
    "GuardrailFigures",
    "HarmGuardFigures",
    "HealthFigures",
    "LookFigures",
    "PlatformFigures",
    "QualityFigures",
    "SegmentFigures",
    "ShadowFigures",
    "SrmCellFigures",
    "SrmFigures",
    "StageWiseFigures",
    "StopFigures",
    "SuccessFigures",
    "TrafficFigures",
    "VariantTraffic",
    "sealed",
]
