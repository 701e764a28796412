"""The systems, one file per paper, and the modules that they share."""

from ssnan.models.aggregation import (
    Aggregation,
    AverageAggregation,
    MaximumAggregation,
    NeuralAggregation,
    SharedNeuralAggregation,
)
from ssnan.models.attention import Attention
from ssnan.models.backbone import Backbone, EdgeBackbone, Pyramid, SkipBackbone
from ssnan.models.deeplab_v2 import DeepLabV2
from ssnan.models.fcn import FCN8s
from ssnan.models.hazn import HAZN
from ssnan.models.instances import SSNANWithPeople
from ssnan.models.lg_lstm import LGLSTM
from ssnan.models.mean_field import MeanField
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.segnet import SegNet
from ssnan.models.ss_nan import SSNAN
from ssnan.models.ss_nan_context import SSNANWithContext

__all__ = [
    "HAZN",
    "LGLSTM",
    "SSNAN",
    "Aggregation",
    "Attention",
    "AverageAggregation",
    "Backbone",
    "DeepLabV2",
    "EdgeBackbone",
    "FCN8s",
    "MaximumAggregation",
    "MeanField",
    "NeuralAggregation",
    "ParsingNetwork",
    "ParsingOutput",
    "Pyramid",
    "SSNANWithContext",
    "SSNANWithPeople",
    "SegNet",
    "SharedNeuralAggregation",
    "SkipBackbone",
]
