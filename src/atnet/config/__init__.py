"""Typed sections of params.yaml: frozen and strict, one per stage or command, without defaults."""

from atnet.config.analyze import AnalyzeConfig
from atnet.config.params import Params, parse_params
from atnet.config.release import (
    BaselineCheckConfig,
    BehaviorConfig,
    CalibrationCheckConfig,
    GoldenConfig,
    LatencyCheckConfig,
    MinScoresConfig,
    ModelCardConfig,
    PassRatesConfig,
    ReleaseConfig,
    SizeCheckConfig,
    SliceCheckConfig,
)
from atnet.config.scoring import ScoreConfig
from atnet.config.section import SPLITS, Section, Severity, SplitName
from atnet.config.stages import (
    BaselineConfig,
    ColumnsConfig,
    DataConfig,
    EvaluateConfig,
    LabelFromRatingConfig,
    SplitConfig,
    TokenizeConfig,
    TrainConfig,
    ValidateConfig,
    VectorsConfig,
)
from atnet.config.tracking import TrackingConfig
from atnet.config.tune import ChoicesConfig, Dimension, PruningConfig, RangeConfig, TuneConfig

__all__ = [
    "SPLITS",
    "AnalyzeConfig",
    "BaselineCheckConfig",
    "BaselineConfig",
    "BehaviorConfig",
    "CalibrationCheckConfig",
    "ChoicesConfig",
    "ColumnsConfig",
    "DataConfig",
    "Dimension",
    "EvaluateConfig",
    "GoldenConfig",
    "LabelFromRatingConfig",
    "LatencyCheckConfig",
    "MinScoresConfig",
    "ModelCardConfig",
    "Params",
    "PassRatesConfig",
    "PruningConfig",
    "RangeConfig",
    "ReleaseConfig",
    "ScoreConfig",
    "Section",
    "Severity",
    "SizeCheckConfig",
    "SliceCheckConfig",
    "SplitConfig",
    "SplitName",
    "TokenizeConfig",
    "TrackingConfig",
    "TrainConfig",
    "TuneConfig",
    "ValidateConfig",
    "VectorsConfig",
    "parse_params",
]
