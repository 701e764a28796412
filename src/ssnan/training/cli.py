"""``ssnan train``: from a recipe to a checkpoint."""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import DefaultHelpFormatter
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    RichProgressBar,
    Timer,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from ssnan.data.datamodule import ParsingData
from ssnan.data.layouts import label_set_of
from ssnan.errors import UserError
from ssnan.recipes import expand
from ssnan.training.callbacks import StopAfter, ValidationPhotos
from ssnan.training.results import has_results, write_results
from ssnan.training.resume import BestCheckpoint, LastCheckpoint, LastingOptions, StartAgain, where_it_stopped
from ssnan.training.task import ParsingTask, TrainingError


def read_before(base: object) -> None:
    """Ignore ``base`` of a recipe, because :func:`ssnan.recipes.expand` has already inserted its files."""


class PlainHelp(DefaultHelpFormatter):
    """Help texts without the roles and double backticks of the docstrings that they come from."""

    def start_section(self, heading: str | None) -> None:
        super().start_section(None if heading is None else _plain(heading))

    def _get_help_string(self, action: argparse.Action) -> str:
        return _plain(super()._get_help_string(action))


def _plain(text: str) -> str:
    return re.sub(r":[a-z]+:`(~[\w.]+\.)?", "`", text).replace("``", "`")


class TrainingParser(LightningArgumentParser):
    """The parser of ``ssnan train``. jsonargparse makes another one of this class for the help of each network."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, prog="ssnan train", formatter_class=PlainHelp, **options)


class TrainingCLI(LightningCLI):
    """``model``, ``data`` and ``trainer`` from YAML and flags, and the options of the run."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--base", type=read_before, default=None, help=argparse.SUPPRESS)
        parser.add_argument(
            "--output",
            type=Path,
            default=Path("runs/latest"),
            help="folder of the run; {label_set} becomes the name of the label set",
        )
        parser.add_argument("--resume", type=bool, default=True, help="continue from OUTPUT/checkpoints/last.ckpt")
        parser.add_argument(
            "--ema",
            type=float | None,
            default=None,
            help="average the weights with this decay, such as 0.999; the average is validated and saved",
        )
        parser.add_argument(
            "--stop_after",
            type=float | None,
            default=None,
            help="stop this call after the last epoch that ends within these minutes; the same command continues",
        )
        # The checkpoint stores the label set itself, because its file may disappear.
        parser.link_arguments("data.label_set", "model.label_set", compute_fn=lambda name: label_set_of(name).to_dict())
        parser.link_arguments(
            "data.label_set", "model.network.init_args.num_classes", compute_fn=lambda name: len(label_set_of(name))
        )
        parser.link_arguments("data.preprocessing", "model.preprocessing")
        parser.set_defaults(
            {
                "trainer.gradient_clip_val": 10.0,  # a few unusual photos can make training diverge at any rate
                "trainer.enable_model_summary": False,  # a table that counts no FLOPs; ParsingTask logs the parameters
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and fill in the name of the label set in ``output`` and ``start_from``, as in
        ``runs/{label_set}/ss_nan``. Lightning's own method also warns if the process has arguments."""
        self.config = parser.parse_args(args)
        name = label_set_of(self.config["data"]["label_set"]).name
        self.config["output"] = Path(str(self.config["output"]).replace("{label_set}", name))
        if start := self.config["model"]["start_from"]:
            self.config["model"]["start_from"] = str(start).replace("{label_set}", name)

    def before_instantiate_classes(self) -> None:
        """Let the data follow the seed of the run, unless they have one of their own."""
        if self.config["data"]["seed"] is None:
            self.config["data"]["seed"] = int(self.config["seed_everything"])

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        output = self.config["output"]
        if (decay := self.config["ema"]) is not None and not 0 < decay < 1:
            raise OptionError(f"--ema: expected a decay between 0 and 1, such as 0.999, got {decay}")
        for name, least in (("accumulate_grad_batches", 1), ("check_val_every_n_epoch", 1), ("gradient_clip_val", 0)):
            if (value := self.config["trainer"][name]) is not None and value < least:
                raise OptionError(f"trainer.{name}: expected {least} or more, got {value}")
        self.stop_after = StopAfter(self.config["stop_after"])
        asked = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        asked["data"]["label_set"] = ", ".join(self.datamodule.label_set.classes)  # not the name of a file
        self.lasting = LastingOptions(asked)
        self.trainer_defaults["callbacks"] = [
            BestCheckpoint(output / "checkpoints"),
            LastCheckpoint(output / "checkpoints"),
            LearningRateMonitor("step"),
            *([] if self.config["trainer"]["enable_progress_bar"] is False else [RichProgressBar()]),
            ValidationPhotos(),
            *([] if self.config["trainer"]["max_time"] else [Timer()]),  # the trainer then adds one
            *([EMAWeightAveraging(decay=self.config["ema"])] if self.config["ema"] else []),
            self.stop_after,
            self.lasting,
        ]
        try:
            trainer = super().instantiate_trainer(
                logger=TensorBoardLogger(output, name="", version="logs"),
                reload_dataloaders_every_n_epochs=1,
                **kwargs,
            )
        except (MisconfigurationException, ModuleNotFoundError, TypeError) as error:  # such as a GPU that is not there
            raise OptionError(f"trainer: {' '.join(str(error).split())}") from None
        # Lightning takes any checkpoint of a run with max_steps for one from within an epoch; last.ckpt never is.
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
        return trainer


NOISE = (
    "Checkpoint directory .* exists and is not empty",  # a resumed run
    r"`ModelCheckpoint\(monitor='val/mean_iou'\)` could not find",  # a run that ends before the first validation
)
"""Patterns of Lightning's warnings that have no class of their own and do not concern the user."""


def is_no_tip(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's log is more than a tip to install its other products."""
    return "Tip:" not in record.getMessage()


@contextmanager
def without_noise() -> Iterator[None]:
    """Hide what libraries say about each other, Lightning's tips and advice on speed and logging, and :data:`NOISE`."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=r"(jsonargparse|lightning|torch|torchvision)\b")
        warnings.filterwarnings("ignore", category=PossibleUserWarning)
        for pattern in NOISE:
            warnings.filterwarnings("ignore", pattern)
        log.addFilter(is_no_tip)
        try:
            yield
        finally:
            log.removeFilter(is_no_tip)


DESCRIPTION = (
    "Train a system from a recipe: ssnan train --config lip/ss_nan. 'ssnan models' lists the recipes. Every option of "
    "a recipe is a flag too; a later recipe or flag replaces an earlier one."
)


class OptionError(UserError):
    """There is no such option, or it does not take this value."""


@without_noise()
def command_line(arguments: Sequence[str]) -> TrainingCLI:
    """Build task, data and trainer from ``arguments``, without running them.

    Raises:
        OptionError: a recipe or a flag has an unknown option or an invalid value.
        RecipeError: there is no such recipe.
    """
    try:
        return TrainingCLI(
            ParsingTask,
            ParsingData,
            run=False,
            parser_class=TrainingParser,
            seed_everything_default=0,
            args=expand(arguments),
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            # By itself, jsonargparse prints the usage, more than a hundred lines, before the error.
            parser_kwargs={"description": DESCRIPTION, "exit_on_error": False},
        )
    except UserError:
        raise
    except ValueError as error:  # where several types fit, jsonargparse adds the error of each: first that of ours
        if (first := re.search(r"Errors:\n  - (.*?)\n(  - |Given value)", str(error), re.DOTALL)) is None:
            raise
        raise OptionError(" ".join(first[1].split())) from None
    except argparse.ArgumentError as error:
        problem = re.sub(r"^Call to compute_fn of link .* failed: ", "", " ".join(str(error).split()))
        raise OptionError(f"{problem}; 'ssnan train --help' lists the options") from None


@without_noise()
def train(arguments: Sequence[str]) -> Path | None:
    """Train with ``arguments``. Resumes an interrupted run in the same folder.

    Returns:
        The best checkpoint, and ``results.json`` in the run's folder has the results; None if ``--stop_after`` ended
        the call before the last epoch, and in all processes but the first.
    """
    cli = command_line(arguments)
    checkpoints = cli.config["output"] / "checkpoints"
    best = checkpoints / "best.ckpt"
    resumed = where_it_stopped(checkpoints) if cli.config["resume"] else None
    if resumed is not None:
        cli.lasting.refuse_others(resumed)
    else:
        cli.trainer.callbacks.append(StartAgain(cli.config["output"]))  # type: ignore[attr-defined]
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resumed, weights_only=True)
    except MisconfigurationException as error:
        raise TrainingError(str(error)) from None
    if cli.trainer.interrupted or cli.stop_after.stopped:
        return None
    for path in (best, checkpoints / "last.ckpt"):
        if not path.is_file():  # the run was too short for a validation, or for a step
            cli.trainer.save_checkpoint(path)
    if not has_results(cli.config["output"], cli.model):
        write_results(cli.trainer, cli.model, cli.datamodule, checkpoints, cli.config["seed_everything"])
    return best if cli.trainer.is_global_zero else None
