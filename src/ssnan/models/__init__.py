"""One paper's network is one file; what several networks share stands beside them."""

from ssnan.models.aggregation import (
    Aggregation,
    AverageAggregation,
    MaximumAggregation,
    NeuralAggregation,
    SharedNeuralAggregation,
)
from ssnan.models.backbone import Backbone
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.ss_nan import SSNAN

__all__ = [
    "SSNAN",
    "Aggregation",
    "AverageAggregation",
    "Backbone",
    "MaximumAggregation",
    "NeuralAggregation",
    "ParsingNetwork",
    "ParsingOutput",
    "SharedNeuralAggregation",
]
