"""Losses: pixel cross-entropy, joint structure, and how they meet (Section 3.3)."""

from ssnan.losses.balancing import median_frequency_weights
from ssnan.losses.joints import heatmap_distance, joint_distance, soft_centers
from ssnan.losses.parsing import JointForm, JointMeasure, ParsingLoss

__all__ = [
    "JointForm",
    "JointMeasure",
    "ParsingLoss",
    "heatmap_distance",
    "joint_distance",
    "median_frequency_weights",
    "soft_centers",
]
