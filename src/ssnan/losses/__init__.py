"""Losses: pixel cross-entropy, the joint loss, and their combination (Section 3.3)."""

from ssnan.losses.balancing import median_frequency_weights
from ssnan.losses.criterion import JointCount, JointForm, JointLoss, JointMeasure, JointUnit, LossOptions, ParsingLoss
from ssnan.losses.joints import JointCenters, heatmap_distance, joint_distance, soft_centers
from ssnan.losses.sides import side_loss

__all__ = [
    "JointCenters",
    "JointCount",
    "JointForm",
    "JointLoss",
    "JointMeasure",
    "JointUnit",
    "LossOptions",
    "ParsingLoss",
    "heatmap_distance",
    "joint_distance",
    "median_frequency_weights",
    "side_loss",
    "soft_centers",
]
