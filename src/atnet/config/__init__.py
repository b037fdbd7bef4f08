"""Typed sections of params.yaml: frozen and strict, one per stage or command, without defaults."""

from atnet.config.analyze import AnalyzeConfig
from atnet.config.engine import EngineConfig
from atnet.config.monitoring import MinEffectsConfig, MonitorConfig, PersistenceConfig, ReviewConfig
from atnet.config.operate import OperateConfig
from atnet.config.params import Params, load_params, parse_params
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
from atnet.config.serving import (
    PredictionLogConfig,
    RateLimitConfig,
    ServeConfig,
    ServeLimitsConfig,
    ServeLoggingConfig,
    ServeTimeoutsConfig,
    ShadowConfig,
)
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
    "EngineConfig",
    "EvaluateConfig",
    "GoldenConfig",
    "LabelFromRatingConfig",
    "LatencyCheckConfig",
    "MinEffectsConfig",
    "MinScoresConfig",
    "ModelCardConfig",
    "MonitorConfig",
    "OperateConfig",
    "Params",
    "PassRatesConfig",
    "PersistenceConfig",
    "PredictionLogConfig",
    "PruningConfig",
    "RangeConfig",
    "RateLimitConfig",
    "ReleaseConfig",
    "ReviewConfig",
    "ScoreConfig",
    "Section",
    "ServeConfig",
    "ServeLimitsConfig",
    "ServeLoggingConfig",
    "ServeTimeoutsConfig",
    "Severity",
    "ShadowConfig",
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
    "load_params",
    "parse_params",
]
