"""LG-LSTM: Liang et al., Semantic object parsing with local-global long short-term memory, CVPR 2016.

https://arxiv.org/abs/1511.04510

No public code is known; we follow the abstract and descriptions by others.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from ssnan.labels import LabelSet
from ssnan.models.backbone import Backbone
from ssnan.models.heads import classifier
from ssnan.models.output import ParsingNetwork, ParsingOutput, no_loss

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Row and column offsets of the eight neighbours of a position."""
GRID = 3
"""Global guidance is the maxima of the hidden states in GRID × GRID cells of the photo."""


class LocalGlobalLayer(nn.Module):
    """One step of nine LSTMs at every position: one for each of eight spatial directions, and one in depth.

    All read the same input: the hidden states that the eight neighbours send to this position, its hidden state in
    depth, and the maxima over the nine cells of the photo.

    Args:
        cells: width d of every LSTM; 64 in the paper.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells
        directions = len(NEIGHBOURS) + 1
        self.gates = nn.Conv2d(cells * (directions + GRID * GRID), 4 * cells * directions, 1)
        # As nn.LSTM, but with open forget gates: half-open ones keep only 1/32 after five layers.
        nn.init.uniform_(self.gates.weight, -(cells**-0.5), cells**-0.5)
        with torch.no_grad():
            bias = torch.zeros(directions, 4, cells)
            bias[:, 0] = 1.0
            self.gates.bias.copy_(bias.flatten())  # type: ignore[union-attr]

    def forward(
        self, hidden: Float[Tensor, "b n d h w"], memory: Float[Tensor, "b n d h w"]
    ) -> tuple[Float[Tensor, "b n d h w"], Float[Tensor, "b n d h w"]]:
        """From hidden and memory states (B, 9, d, h, w), depth last of the nine, to those of the next layer."""
        batch, directions, cells, height, width = hidden.shape
        padded = pad(hidden, (1, 1, 1, 1))
        # The neighbour at (dy, dx) sends its state of that direction to this position.
        local = [
            padded[:, n, :, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for n, (dy, dx) in enumerate(NEIGHBOURS)
        ]
        depth = hidden[:, -1]
        cell_maxima = grid_maxima(depth)[:, :, None, None].expand(-1, -1, height, width)
        gates = self.gates(torch.cat([*local, depth, cell_maxima], dim=1))
        keep, write, show, content = gates.reshape(batch, directions, 4, cells, height, width).unbind(dim=2)
        memory = keep.sigmoid() * memory + write.sigmoid() * content.tanh()
        return show.sigmoid() * memory.tanh(), memory


class LGLSTM(ParsingNetwork):
    """Stacked local-global LSTM layers on the features of a backbone, each with a 1 × 1 classifier. The result is the
    scores of the last layer; those of all layers are supervised.

    Args:
        num_classes: classes C, including the background.
        backbone: DeepLab-LargeFOV's VGG-16 at output stride 8 in the paper.
        cells: width of every LSTM.
        layers: number of layers.
    """

    def __init__(self, num_classes: int, backbone: Backbone, cells: int = 64, layers: int = 5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = backbone
        self.cells = cells
        self.directions = len(NEIGHBOURS) + 1
        self.transition = nn.Conv2d(backbone.channels, 2 * cells * self.directions, 1)
        self.layers = nn.ModuleList(LocalGlobalLayer(cells) for _ in range(layers))
        self.classifiers = nn.ModuleList(classifier(cells * self.directions, num_classes, 1) for _ in range(layers))

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        state = self.transition(self.backbone(images))
        batch, _, height, width = state.shape
        hidden, memory = state.reshape(batch, 2, self.directions, self.cells, height, width).unbind(dim=1)
        hidden = hidden.tanh()
        scores = []
        for layer, classify in zip(self.layers, self.classifiers, strict=True):
            hidden, memory = layer(hidden, memory)
            scores.append(classify(hidden.flatten(1, 2)))
        return ParsingOutput(scores[-1], tuple(scores[:-1]))

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """A loss of 0 on the earlier layers, because their classifiers have no other without deep supervision."""
        return {"layers": no_loss(output.scale_scores)} if output.scale_scores else {}

    def new_parameters(self) -> list[nn.Parameter]:
        return [p for part in (self.transition, self.layers, self.classifiers) for p in part.parameters()]

    def load_backbone(self, weights: str) -> None:
        self.backbone.load(weights)


def grid_maxima(features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b g"]:
    """Maxima over GRID × GRID cells, channels first: adaptive max pooling with operations that can be exported."""
    rows, columns = (
        [(i * side // GRID, ((i + 1) * side + GRID - 1) // GRID) for i in range(GRID)] for side in features.shape[2:]
    )
    cells = [features[:, :, top:bottom, left:right] for top, bottom in rows for left, right in columns]
    return torch.stack([cell.amax(dim=(2, 3)) for cell in cells], dim=2).flatten(1)
