"""One training step and one validation step (Section 4.1, Training)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import interpolate
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from ssnan.data.folder import Sample
from ssnan.data.layouts import label_set_of
from ssnan.errors import UserError
from ssnan.evaluation.metrics import (
    LIP_GROUPS,
    Confusion,
    Score,
    class_counts,
    confusion_matrix,
    merged,
    person_groups,
)
from ssnan.evaluation.structure import Structure
from ssnan.labels import LIP
from ssnan.losses import LossOptions, ParsingLoss, median_frequency_weights
from ssnan.losses.joints import found, joint_distance, label_centers, soft_centers
from ssnan.models import ParsingNetwork
from ssnan.models.initial_weights import read_network, take_over
from ssnan.parsing.preprocessing import Preprocessing

log = logging.getLogger("ssnan")

Gathered = TypeVar("Gathered")

PAPER_RATE, PAPER_BATCH = 1e-3, 30
"""Section 4.1: the base rate, and the batch size that it is for."""


class TrainingError(UserError):
    """Training cannot continue; the message says where it stopped and what to do."""


@dataclass(frozen=True)
class SGDOptions:
    """Rates and schedule of stochastic gradient descent.

    The rate falls to zero over the steps of the run or over ``trainer.max_time``, whichever ends first.

    Attributes:
        learning_rate: base rate; if None, the paper's 0.001 for 30 photos per step, in proportion to the batch size.
        classifier_factor: factor on the rate of the parts in ``faster``; 10 in the paper.
        faster: names of these parts of the network; if None, all untrained parts, including the aggregation. The paper
            has ``[classifier]``.
        bias_factor: factor on the rate of biases. If it is not 1, biases have no weight decay, as in the Caffe models
            of DeepLab and Attention, which use 2.
        momentum: momentum of SGD; 0.9 in the paper.
        weight_decay: weight decay; 5e-4 in the paper.
        power: exponent of the poly schedule, (1 − step / steps) ** power; 0.9 in the paper.
        warmup: iterations over which the rate rises linearly; 0 in the paper. If None, a tenth of all, at most 100.
    """

    learning_rate: float | None = None
    classifier_factor: float = 10.0
    faster: list[str] | None = None
    bias_factor: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    power: float = 0.9
    warmup: int | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "classifier_factor", "bias_factor", "weight_decay", "power", "warmup"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ValueError(f"model.sgd.{name}: expected a number of at least 0, got {value}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"model.sgd.momentum: expected a number from 0 to below 1, got {self.momentum}")


class ParsingTask(LightningModule):
    """Train a network with SGD and the poly schedule, and validate at the size of the photos.

    Args:
        network: any system of :mod:`ssnan.models`.
        label_set: name of a label set, a ``dataset.yaml``, or the plain values of a label set, as in a checkpoint.
        preprocessing: preprocessing of validation photos, and of the trained model's input.
        backbone_weights: initial weights of the backbone: ``timm``, which downloads those of ImageNet, or a file, see
            :meth:`ssnan.models.Backbone.load`; random if None.
        start_from: initial weights of the whole network: a bundled model such as ``small``, a checkpoint (for the
            second step), or a .safetensors file. Parts that do not fit, such as the classifier of other labels, start
            untrained.
        loss: terms of the loss and their weights.
        sgd: rates and schedule.
        compiled: whether to train through ``torch.compile``; it takes a minute, which pays off on a GPU.

    Attributes:
        criterion: the training criterion; :meth:`setup` builds it, because the classes come from the data.
        crops_seen: crops that the run has trained on, in all processes and all parts of an interrupted run.
        validated_step: the step of the last validation; None before, and after Lightning's check on a few photos.
        validated: confusion matrix of the last validation.
        validated_structure: the :class:`ssnan.evaluation.structure.Structure` of the last validation.
        validated_photos: the :func:`ssnan.evaluation.metrics.class_counts` of each of its photos, by name.
        validation_labels: the label set with the sets of the validation data.
    """

    criterion: ParsingLoss
    validated: Confusion
    validated_structure: dict[str, Any]
    validated_photos: dict[str, list[list[int]]]

    def __init__(
        self,
        network: ParsingNetwork,
        label_set: str | dict[str, Any] = "lip",
        preprocessing: Preprocessing | None = None,
        backbone_weights: str | None = None,
        start_from: str | Path | None = None,
        loss: LossOptions = LossOptions(),  # noqa: B008 - frozen
        sgd: SGDOptions = SGDOptions(),
        compiled: bool = False,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # Save only how to build the network; the state dict already has its weights.
            warnings.filterwarnings("ignore", "Attribute 'network' is an instance of `nn.Module`")
            self.save_hyperparameters()
        self.network = network
        self.label_set = label_set_of(label_set)
        self.preprocessing = preprocessing or Preprocessing()
        self.backbone_weights = backbone_weights
        self.start_from = start_from
        self.loss = loss
        self.sgd = sgd
        # Compile the function, because compiling the module would rename its parameters.
        self.forward_in_training = torch.compile(network.forward) if compiled else network.forward
        self.validation_labels = self.label_set
        self.crops_seen = 0
        self.validated_step: int | None = None

    def setup(self, stage: str) -> None:
        """Take over the sets of classes of the data, load initial weights, which a resumed run overwrites later, and
        build the criterion."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.validation_labels = replace(self.label_set, sets=data.val_folder.label_set.sets)
        if stage != "fit":
            return
        if self.start_from is not None:
            anew = take_over(self.network, read_network(self.start_from))
            if anew:
                rank_zero_only(log.warning)("started from %s; untrained parts: %s", self.start_from, ", ".join(anew))
        elif self.backbone_weights is not None:
            self.network.load_backbone(self.backbone_weights)
        self.network.to(memory_format=torch.channels_last)
        weights = None
        if self.loss.class_balancing:
            balanced = median_frequency_weights(data.class_pixels(), self.loss.class_balancing)
            weights = torch.from_numpy(balanced).float().to(self.device)
        self.criterion = ParsingLoss(replace(self.label_set, sets=data.label_set.sets), self.loss, weights)

    def on_train_start(self) -> None:
        # Epochs of small datasets have few steps, and each should log at least one point to TensorBoard.
        trainer: Any = self.trainer
        trainer.log_every_n_steps = max(1, min(trainer.log_every_n_steps, trainer.num_training_batches))
        self.seed = torch.initial_seed()  # the seed of the run
        total = sum(tensor.numel() for tensor in self.network.parameters()) / 1e6
        trained = sum(tensor.numel() for tensor in self.network.parameters() if tensor.requires_grad) / 1e6
        rank_zero_info(f"{type(self.network).__name__}: {total:.1f} million parameters, {trained:.1f} in training")

    def on_train_epoch_start(self) -> None:
        self.network.train()  # Lightning does not call it, and it puts frozen norms in inference mode
        # A resumed run draws the same random numbers (dropout) as an uninterrupted one; each process has its own.
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        losses = self.losses(batch, gradients=self._is_logged(self.global_step + 1))
        if not losses["loss"].isfinite():
            raise TrainingError(
                f"the loss is {losses['loss'].item()} in step {self.global_step + 1}, batch {batch_idx + 1} of epoch "
                f"{self.current_epoch + 1}; lower model.sgd.learning_rate or lengthen model.sgd.warmup"
            )
        for name, value in losses.items():
            self.log(f"train/{name}", value, prog_bar=name == "loss", batch_size=len(batch["labels"]))
        return losses["loss"]

    def losses(self, batch: dict[str, Tensor], gradients: bool = False) -> dict[str, Tensor]:
        """All terms for a batch, and their sum, ``loss``; with ``gradients``, also the norms of their gradients."""
        output = self.forward_in_training(batch["images"].contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, enabled=False):  # class weights and boxes would be rounded to 8 bits
            losses = self.criterion(output, batch["labels"], gradients=gradients)
            own = self.network.auxiliary_losses(output, batch, self.criterion.label_set)
        return losses | own | {"loss": sum(own.values(), start=losses["loss"])}

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.crops_seen += len(batch["labels"]) * self.trainer.world_size
        if self.trainer.global_step == self.trainer.max_steps:
            self.trainer.should_stop = True
        if self.trainer.should_stop:  # time or steps are up; validate, even if this epoch has no validation
            self.trainer.check_val_every_n_epoch = 1

    def _is_logged(self, step: int) -> bool:
        trainer: Any = self.trainer
        return trainer.log_every_n_steps > 0 and step % trainer.log_every_n_steps == 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["running_norms"] = {name: norms.cpu() for name, norms in self.criterion.running.items()}
        checkpoint["crops_seen"] = self.crops_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn == "fit":
            self.criterion.running = dict(checkpoint.get("running_norms", {}))
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            # Older checkpoints count only steps.
            older = checkpoint["global_step"] * photos_per_step(self.trainer, data.batch_size)
            self.crops_seen = checkpoint.get("crops_seen", older)

    def on_validation_epoch_start(self) -> None:
        """Start the sums over the photos of this process."""
        label_set = self.validation_labels
        self.confusion: Confusion = np.zeros((len(label_set) + len(label_set.sets), len(label_set)), dtype=np.int64)
        self.structure = Structure(label_set)
        self.photos: dict[str, list[list[int]]] = {}

    def validation_step(self, sample: Sample, batch_idx: int) -> None:
        scores = self.scores_at_own_size(sample)
        labels = torch.as_tensor(sample.labels, device=self.device).long()[None]
        probabilities = scores.softmax(dim=1)
        confidence, predicted_labels = probabilities[0].max(dim=0)
        decided = predicted_labels.to(torch.uint8).cpu().numpy()
        self.structure.add(sample.labels, decided, confidence.float().cpu().numpy(), sample.keypoints)
        confusion = confusion_matrix(sample.labels, decided, self.validation_labels)
        self.confusion += confusion
        self.photos[sample.id] = class_counts(confusion, self.validation_labels.sets).tolist()
        if self.label_set.regions:
            truth, known = label_centers(labels, self.validation_labels)
            predicted = soft_centers(probabilities, known, self.label_set.regions)
            hit = truth.present & found(predicted, truth)
            offsets = (predicted.position - truth.position).norm(dim=2)
            self.log("val/joint_distance", joint_distance(predicted, truth).mean(), batch_size=1, sync_dist=True)
            # The distance mixes the offset of found joints and the number of missed ones.
            for name, values in (("joint_offset", offsets[hit]), ("joints_missed", (~hit[truth.present]).float())):
                # Logged even without joints, because sums are added by name over all processes.
                mean = values.sum() / max(1, len(values))
                self.log(f"val/{name}", mean, batch_size=len(values), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        sets = self.validation_labels.sets
        everywhere = self._of_all_processes((self.confusion, self.structure, self.photos))
        confusions, structures, photos = zip(*everywhere, strict=True)
        self.validated = confusion = np.sum(confusions, axis=0)
        self.validated_step = None if self.trainer.sanity_checking else self.trainer.global_step
        self.validated_structure = sum(structures, Structure(self.validation_labels)).numbers()
        self.validated_photos = {name: counts for of_process in photos for name, counts in of_process.items()}
        for name, value in self.validated_structure.items():
            if value is not None:
                self.log(f"val/{name}", float(value))
        score = Score.of_present(confusion, sets)
        self.log("val/mean_iou", score.mean_iou, prog_bar=True)
        self.log("val/mean_accuracy", score.mean_accuracy)
        self.log("val/overall_accuracy", score.overall_accuracy)
        person = Score.of_present(merged(confusion, person_groups(self.label_set), sets))
        self.log("val/iou_person", float(person.iou[1]))
        if self.label_set.agrees_with(LIP):
            self.log("val/mean_iou_merged", Score.of_present(merged(confusion, LIP_GROUPS, sets)).mean_iou)

    def _of_all_processes(self, own: Gathered) -> list[Gathered]:
        if self.trainer.world_size == 1:
            return [own]
        gathered: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, own)
        return gathered

    def scores_at_own_size(self, sample: Sample) -> Float[Tensor, "1 c H W"]:
        """Fused scores of one photo, upsampled to its size."""
        pixels = torch.from_numpy(self.preprocessing(sample.image)).to(self.device)[None]
        scores = self.network(pixels).scores.float()
        return interpolate(scores, size=sample.labels.shape, mode="bilinear", align_corners=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        rate = self.sgd.learning_rate
        if rate is None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            rate = PAPER_RATE / PAPER_BATCH * photos_per_step(self.trainer, data.batch_size)
        steps = float(self.trainer.estimated_stepping_batches)
        optimizer, poly = optimizer_of(self.network, self.sgd, rate, steps, self._time_spent)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": poly, "interval": "step"}}

    def _time_spent(self) -> float:
        """The share of ``trainer.max_time`` that all parts of the run have taken; 0 without a limit."""
        for timer in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(timer, Timer) and (left := timer.time_remaining()) is not None:
                spent = timer.time_elapsed()
                share = spent / (spent + left) if spent + left else 1.0
                return float(self.trainer.strategy.broadcast(share))  # all processes need the same rate
        return 0.0


def optimizer_of(
    network: ParsingNetwork, sgd: SGDOptions, rate: float, steps: float, time_spent: Callable[[], float] = lambda: 0.0
) -> tuple[SGD, LambdaLR]:
    """SGD at the base rate ``rate`` with the poly schedule over ``steps``, or faster if ``time_spent``, from 0 to 1, is
    ahead of the steps.

    Raises:
        TrainingError: ``sgd.faster`` names a part that the network does not have.
    """
    fast = {id(parameter) for parameter in _fast_parameters(network, sgd)}
    weights: list[torch.nn.Parameter] = []
    biases: list[torch.nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (biases if sgd.bias_factor != 1 and name.endswith("bias") else weights).append(parameter)
    groups = [
        {"params": [p for p in weights if id(p) not in fast], "lr": rate},
        {"params": [p for p in weights if id(p) in fast], "lr": rate * sgd.classifier_factor},
    ]
    for params, factor in (
        ([p for p in biases if id(p) not in fast], sgd.bias_factor),
        ([p for p in biases if id(p) in fast], sgd.bias_factor * sgd.classifier_factor),
    ):
        if params:
            groups.append({"params": params, "lr": rate * factor, "weight_decay": 0.0})
    warmup = int(min(100, steps / 10)) if sgd.warmup is None else sgd.warmup

    def factor_at(step: int) -> float:
        warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
        return warm * max(0.0, 1 - max(step / max(1, steps), time_spent())) ** sgd.power  # 0 steps may be asked for

    optimizer = SGD(groups, momentum=sgd.momentum, weight_decay=sgd.weight_decay)
    return optimizer, LambdaLR(optimizer, factor_at)


def _fast_parameters(network: ParsingNetwork, sgd: SGDOptions) -> list[torch.nn.Parameter]:
    if sgd.faster is None:
        return network.new_parameters()
    parts = dict(network.named_children())
    if unknown := [name for name in sgd.faster if name not in parts]:
        raise TrainingError(f"model.sgd.faster: expected parts of the network ({', '.join(parts)}), got {unknown[0]!r}")
    return [parameter for name in sgd.faster for parameter in parts[name].parameters()]


def photos_per_step(trainer: Trainer, batch_size: int) -> int:
    """Photos per step of the optimizer; the batch size is for all processes together."""
    return batch_size * trainer.accumulate_grad_batches
