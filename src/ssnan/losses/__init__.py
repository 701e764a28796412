"""Losses: pixel cross-entropy, joint structure, and how they meet (Section 3.3)."""

from ssnan.losses.joints import joint_distance, soft_centers
from ssnan.losses.parsing import JointForm, ParsingLoss

__all__ = ["JointForm", "ParsingLoss", "joint_distance", "soft_centers"]
