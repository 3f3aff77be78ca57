"""The field: a small network that says, from any number of posed views, which points of space an object fills.

A hull errs where no silhouette cuts: above flat tops, below flat bottoms, inside hollows. Shapes seen before tell what
is there, and so do colours on which views agree.

1. Views are lifted into one coarse volume. A cell holds the mean, spread and greatest of their features, the exact
   distances to their silhouettes' cones, and how far their colours differ.
2. A small 3D U-Net looks at the whole volume.
3. A decoder joins its answer at a point with what every view shows there.

Features are aligned with pixels as in PIFu (Saito et al., ICCV 2019), views are pooled as in pixelNeRF (Yu et al.,
CVPR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from viewmask.views.camera import Camera

REACH = 0.6  # the volume spans -REACH to REACH on every axis, the object's longest side being 1
# Scales of distances to cones and hull; the finest is as thin as the walls of mugs and bowls.
_NEAR = (0.25, 0.06, 0.015)


@dataclass(frozen=True)
class FieldConfig:
    """Shape of the network.

    Attributes:
        size: side of the pictures in pixels.
        features: channels of the picture features.
        widths: channels of the volume at 1, 1/2 and 1/4 of its resolution.
        resolution: cells along a side of the volume; cone distances enter, and features leave, twice as fine.
        decoder: hidden width of the decoder.
    """

    size: int = 128
    features: int = 24
    widths: tuple[int, ...] = (24, 64, 128)
    resolution: int = 16
    decoder: int = 64


@dataclass
class Views:
    """What the network reads: `batch` objects with the same number of views each, in the network's frame.

    Attributes:
        pictures: [batch, views, 5, size, size]: premultiplied RGB, alpha, signed distance to the silhouette's edge in
            sixteenths of the picture's side.
        projection: [batch, views, 3, 4]: a point to (x depth, y depth, depth); x and y go from 0 to 1 in the picture.
        directions: [batch, views, 3]: unit vectors to the cameras.
        distances: for every view [batch, 1, height, width], any size: signed distance to the silhouette's edge
            (positive inside) over the focal length; times depth it is the distance to the cone.
    """

    pictures: Tensor
    projection: Tensor
    directions: Tensor
    distances: list[Tensor]

    def frame(self, number: int) -> Views:
        """One of the batch, as a batch of its own."""
        one = slice(number, number + 1)
        return Views(
            self.pictures[one], self.projection[one], self.directions[one], [each[one] for each in self.distances]
        )


@dataclass
class Lifted:
    """Views that `Field.encode` has looked at, for `Field.decode`."""

    views: Views
    maps: Tensor
    volume: Tensor

    def frame(self, number: int) -> Lifted:
        """One of the batch, as a batch of its own."""
        one = slice(number, number + 1)
        return Lifted(self.views.frame(number), self.maps[one], self.volume[one])


class _Block(nn.Module):
    """Two convolutions around a residual, 2D or 3D."""

    def __init__(self, width: int, convolution: type[nn.Module]) -> None:
        super().__init__()
        self.before, self.between = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.first = convolution(width, width, 3, padding=1)
        self.second = convolution(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.between(self.first(F.relu(self.before(x))))))


class Field(nn.Module):
    """Views of an object to a logit (inside where positive) and a colour at any point."""

    def __init__(self, config: FieldConfig) -> None:
        super().__init__()
        self.config = config
        c, (wide, wider, widest) = config.features, config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(5, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1)
        )
        self.fine = _Block(32, nn.Conv2d)
        self.down2 = nn.Conv2d(32, 64, 2, stride=2)
        self.coarse = nn.Sequential(_Block(64, nn.Conv2d), nn.Conv2d(64, 64, 2, stride=2), _Block(64, nn.Conv2d))
        self.up2 = nn.Conv2d(64, 32, 1)
        self.out2 = nn.Conv2d(32, c, 1)
        self.lift = nn.Linear(c + 4 + len(_NEAR) + 3, c)
        self.enter = nn.Conv3d(3 * c + 16 + 3 + 8, wide, 1)
        self.block1 = _Block(wide, nn.Conv3d)
        self.down3 = nn.Conv3d(wide, wider, 2, stride=2)
        self.block2 = _Block(wider, nn.Conv3d)
        self.down4 = nn.Conv3d(wider, widest, 2, stride=2)
        self.block3 = nn.Sequential(_Block(widest, nn.Conv3d), _Block(widest, nn.Conv3d))
        self.up4 = nn.ConvTranspose3d(widest, wider, 2, stride=2)
        self.block4 = _Block(wider, nn.Conv3d)
        self.up3 = nn.ConvTranspose3d(wider, wide, 2, stride=2)
        self.block5 = _Block(wide, nn.Conv3d)
        self.leave = nn.ConvTranspose3d(wide, c, 2, stride=2)
        self.look = nn.Sequential(nn.Linear(c + 4 + len(_NEAR) + 3, 32), nn.ReLU(), nn.Linear(32, 32))
        d = config.decoder
        self.decoder = nn.Sequential(
            nn.Linear(3 * 32 + c + 3 + len(_NEAR), d), nn.ReLU(), nn.Linear(d, d), nn.ReLU(), nn.Linear(d, 4)
        )
        self.out2_norm, self.leave_norm = nn.GroupNorm(8, 32), nn.GroupNorm(8, wide)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.ConvTranspose3d):
                # Each layer keeps the size of what goes through it: Torch's own start shrinks it, and learning waits.
                fan = module.weight[0].numel() if not isinstance(module, nn.ConvTranspose3d) else module.in_channels
                nn.init.normal_(module.weight, std=(2 / fan) ** 0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for block in self.modules():
            if isinstance(block, _Block):
                weight = block.second.get_parameter("weight")
                nn.init.normal_(weight, std=0.5 * weight[0].numel() ** -0.5)
        nn.init.normal_(self.decoder[-1].get_parameter("weight"), std=0.1 * d**-0.5)

    def forward(self, views: Views, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `encode` and `decode`."""
        return self.decode(self.encode(views), points)

    def encode(self, views: Views, frames: bool = False) -> Lifted:
        """Look at the views once. Points are cheap after that.

        Args:
            frames: the batch is one object in several frames, so its pictures are the same: one is looked at.
        """
        batch, count = views.pictures.shape[:2]
        looked = 1 if frames else batch
        x = self.fine(self.stem(views.pictures[:looked].flatten(0, 1)))
        below = self.coarse(self.down2(x))
        x = x + F.interpolate(self.up2(below), scale_factor=4, mode="bilinear")
        maps = self.out2(F.relu(self.out2_norm(x))).unflatten(0, (looked, count)).expand(batch, -1, -1, -1, -1)

        n = self.config.resolution
        cells = _cells(n, maps)
        at, depth, cones = _project(views, cells.flatten(0, 2).expand(batch, -1, -1))
        seen = F.relu(self.lift(_seen(views, maps, at, depth, cones)))
        pooled = _pool(seen).transpose(1, 2).unflatten(2, (n, n, n))
        fine = _cells(2 * n, maps)
        at, _, cones = _project(views, fine.flatten(0, 2).expand(batch, -1, -1))
        hull = (torch.stack([cones.amin(1), cones.mean(1)], 1) / _NEAR[0]).clamp(-1, 1)
        apart = _spread(_sampled(F.avg_pool2d(views.pictures[:, :, :3].flatten(0, 1), 2), at)).mean(-1)
        about = [_to_depth(x.unflatten(2, (2 * n, 2 * n, 2 * n))) for x in (hull, apart[:, None])]
        where = cells.permute(3, 0, 1, 2).expand(batch, -1, -1, -1, -1)
        x1 = self.block1(self.enter(torch.cat([pooled, about[0], where, about[1]], 1)))
        x2 = self.block2(self.down3(x1))
        x3 = self.block3(self.down4(x2))
        x2 = self.block4(x2 + self.up4(F.relu(x3)))
        x1 = self.block5(x1 + self.up3(F.relu(x2)))
        volume = self.leave(F.relu(self.leave_norm(x1)))
        # Frames read all channels of a cell at once.
        return Lifted(views, maps, volume.contiguous(memory_format=torch.channels_last_3d) if frames else volume)

    def decode(self, lifted: Lifted, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is at points [batch, points, 3].

        Returns:
            Logits [batch, points], which hold inside the hull only; distances to the hull [batch, points], world
            units, positive inside; colours [batch, points, 3], sRGB from 0 to 1.
        """
        at, depth, cones = _project(lifted.views, points)
        seen = _pool(self.look(_seen(lifted.views, lifted.maps, at, depth, cones)))
        grid = (points / REACH).flip(-1)[:, :, None, None]
        volume = F.grid_sample(lifted.volume, grid, padding_mode="border", align_corners=False)[..., 0, 0]
        hull = cones.amin(1)
        out = self.decoder(torch.cat([seen, volume.transpose(1, 2), _near(hull), points], -1))
        return out[..., 0], hull, torch.sigmoid(out[..., 1:])

    def decode_frames(self, lifted: Lifted, points: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [frames, points] and colours [frames, points, 3] of one object: the fast twin of `decode`.

        What a view shows of a point, and how far the point is from its silhouette, is the same in every frame. Only
        directions and the volume differ, so the frames part after that, and directions enter as a constant.

        Args:
            lifted: of `encode` with `frames`.
            points: [frames, points, 3], the same ones in every frame.
        """
        # Channels stand before points here, as grids are sampled: no copy turns them.
        views = lifted.frame(0).views
        at, depth, cones = _project(views, points[:1])
        place, (cones, hull) = at[0][:, None], (cones[0], cones[0].amin(0))
        shown = torch.cat(
            [
                F.grid_sample(lifted.maps[0], place, padding_mode="border", align_corners=False)[:, :, 0],
                _near(cones).transpose(1, 2),
                (depth[0] - views.projection[0, :, 2, 3:])[:, None],
                F.grid_sample(views.pictures[0, :, :3], place, padding_mode="border", align_corners=False)[:, :, 0],
            ],
            1,
        )
        enter, look, first, second, last = (
            (layer.get_parameter("weight"), layer.get_parameter("bias"))
            for layer in (self.look[0], self.look[2], self.decoder[0], self.decoder[2], self.decoder[4])
        )
        before, facing, after = enter[0].split([shown.shape[1] - 3, 3, 3], 1)
        constant = F.linear(lifted.views.directions, facing, enter[1])[..., None]
        x = F.relu_(_mix(torch.cat([before, after], 1), shown) + constant)  # [frames, views, channels, points]
        x = _mix(look[0], x.flatten(0, 1)).unflatten(0, x.shape[:2])
        mean, greatest = x.mean(1), x.amax(1)
        spread = (x.sub_(mean[:, None]).square_().mean(1) + 1e-4).sqrt_()  # as in `_spread`
        pooled = torch.cat([mean + look[1][:, None], greatest + look[1][:, None], spread], 1)
        volume = _interpolated(lifted.volume, points / REACH)
        of_pooled, *others = first[0].split([pooled.shape[1], volume.shape[2], len(_NEAR), 3], 1)
        x = _mix(of_pooled, pooled)
        for weight, values in zip(others, (volume, _near(hull)[None], points), strict=True):
            x += _mix(weight, values.transpose(1, 2))
        x = _mix(second[0], F.relu_(x.add_(first[1][:, None]))).add_(second[1][:, None])
        out = _mix(last[0], F.relu_(x)).add_(last[1][:, None])
        return out[:, 0], torch.sigmoid(out[:, 1:].transpose(1, 2))


def _cells(n: int, like: Tensor) -> Tensor:
    """Centres of n x n x n cells, [n, n, n, 3], x first."""
    axis = ((torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n * 2 - 1) * REACH
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)


def _to_depth(x: Tensor) -> Tensor:
    """[batch, channels, 2n, 2n, 2n] to [batch, 8 channels, n, n, n]."""
    batch, channels, n = x.shape[0], x.shape[1], x.shape[2] // 2
    x = x.reshape(batch, channels, n, 2, n, 2, n, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(batch, 8 * channels, n, n, n)


def _project(views: Views, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where points [batch, points, 3] lie in every view: [batch, views, points, 2] from -1 to 1, depth and
    distance to the silhouette's cone [batch, views, points]."""
    projection = views.projection
    p = torch.einsum("bvij,bpj->bvpi", projection[..., :3], points) + projection[..., None, :, 3]
    depth = p[..., 2]
    at = p[..., :2] / depth.clamp(min=1e-3)[..., None] * 2 - 1
    cones = [
        F.grid_sample(distance, at[:, view, None], padding_mode="border", align_corners=False)[:, 0, 0]
        for view, distance in enumerate(views.distances)
    ]
    return at, depth, torch.where(depth > 1e-3, torch.stack(cones, 1) * depth, -1.0)


def _seen(views: Views, maps: Tensor, at: Tensor, depth: Tensor, cones: Tensor) -> Tensor:
    """What every view shows at points: [batch, views, points, features + 4 + len(_NEAR) + 3].

    Colours stand beside features: views that agree on the colour of a point are the oldest sign of a surface
    (Kutulakos and Seitz, "A theory of shape by space carving", IJCV 2000).
    """
    middle = views.projection[..., 2, 3]  # the depth of the object's centre
    about = [
        _near(cones),
        (depth - middle[..., None])[..., None],
        views.directions[:, :, None].expand(-1, -1, depth.shape[2], -1),
        _sampled(views.pictures[:, :, :3].flatten(0, 1), at),
    ]
    return torch.cat([_sampled(maps.flatten(0, 1), at), *about], -1)


def _mix(weight: Tensor, x: Tensor) -> Tensor:
    """Channels of x [batch, in, points] mixed by one weight [out, in]."""
    return torch.bmm(weight.expand(len(x), -1, -1), x)


def _sampled(maps: Tensor, at: Tensor) -> Tensor:
    """Maps [batch views, channels, height, width] at places of every view: [batch, views, points, channels]."""
    values = F.grid_sample(maps, at.flatten(0, 1)[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    return values.unflatten(0, at.shape[:2]).transpose(2, 3)


def _interpolated(volume: Tensor, at: Tensor) -> Tensor:
    """A volume [batch, channels, x, y, z] at places [batch, points, 3] from -1 to 1: [batch, points, channels].

    The same as `grid_sample` with "border", which fetches every channel of a corner from another line of memory.
    """
    batch, channels, *shape = volume.shape
    last = torch.tensor(shape, device=at.device) - 1
    where = ((at + 1) / 2 * (last + 1) - 0.5).clamp(min=0).minimum(last.to(at.dtype))
    low = where.floor()
    beyond = where - low
    low = low.long()
    steps = torch.tensor([shape[1] * shape[2], shape[2], 1], device=at.device)
    rows = torch.stack([low, (low + 1).minimum(last)], -1) * steps[:, None]  # [batch, points, 3, 2]
    shares = torch.stack([1 - beyond, beyond], -1)
    rows[:, :, 0] += torch.arange(batch, device=at.device)[:, None, None] * (shape[0] * shape[1] * shape[2])
    row = rows[:, :, 0, :, None, None] + rows[:, :, 1, None, :, None] + rows[:, :, 2, None, None, :]
    share = shares[:, :, 0, :, None, None] * shares[:, :, 1, None, :, None] * shares[:, :, 2, None, None, :]
    table = volume.permute(0, 2, 3, 4, 1).reshape(-1, channels)
    found = F.embedding_bag(row.reshape(-1, 8), table, per_sample_weights=share.reshape(-1, 8), mode="sum")
    return found.unflatten(0, (batch, -1))


def _near(distance: Tensor) -> Tensor:
    """Distances [...] as shares of every reach, from -1 to 1: [..., len(_NEAR)]."""
    return torch.stack([(distance / reach).clamp(-1, 1) for reach in _NEAR], -1)


def _pool(x: Tensor) -> Tensor:
    """Views as one, in no order: mean, greatest and spread over [batch, views, points, channels]."""
    return torch.cat([x.mean(1), x.amax(1), _spread(x)], -1)


def _spread(x: Tensor) -> Tensor:
    """How far views differ: [batch, views, ...] to [batch, ...]."""
    return (((x - x.mean(1, keepdim=True)) ** 2).mean(1) + 1e-4).sqrt()


def best_level(logits: NDArray[np.float32]) -> tuple[float, float]:
    """The level above which points should count as inside for the greatest expected IoU, and that IoU.

    If the network's chances are true, no other level scores better on average (Nowozin, "Optimal decisions from
    probabilistic models: the intersection-over-union case", CVPR 2014). The less sure they are, the lower it lies.

    Args:
        logits: [n], of points drawn evenly from the hull.
    """
    falling = np.sort(logits.astype(np.float64))[::-1]
    chances = 1 / (1 + np.exp(-falling))
    caught = np.cumsum(chances)
    expected = caught / (np.arange(1, len(chances) + 1) + caught[-1] - caught)
    best = int(expected.argmax())
    below = falling[best + 1] if best + 1 < len(falling) else falling[best] - 1
    return float(falling[best] + below) / 2, float(expected[best])


def expected_iou(logits: NDArray[np.float32], filled: NDArray[np.bool_]) -> float:
    """The IoU [0, 1] to expect of a shape that fills points [n], by the network's logits [n] there."""
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    caught = chances[filled].sum()
    return float(caught / max(filled.sum() + chances.sum() - caught, 1e-9))


@dataclass
class Inputs:
    """One object's views as the network wants them; see `Views` for what stands where.

    Attributes:
        turn: float32 [3, 3]; points of the world (row vectors) @ turn are in the network's frame.
    """

    pictures: NDArray[np.float32]
    projection: NDArray[np.float32]
    directions: NDArray[np.float32]
    distances: NDArray[np.float32]
    turn: NDArray[np.float32]


def collate(objects: list[Inputs], device: torch.device) -> Views:
    """A batch of objects with the same number of views."""

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in objects])).to(device)

    distances = tensor("distances")
    return Views(
        tensor("pictures"), tensor("projection"), tensor("directions"),
        [distances[:, view, None] for view in range(distances.shape[1])],
    )  # fmt: skip


def upright(camera: Camera) -> NDArray[np.float64]:
    """The turn [3, 3] about the vertical that brings a camera to azimuth 0: points (row vectors) @ turn."""
    x, y = camera.position[:2]
    length = float(np.hypot(x, y))
    cosine, sine = (x / length, y / length) if length > 1e-6 else (1.0, 0.0)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def inputs(
    pictures: NDArray[np.float32], distances: NDArray[np.float32], cameras: list[Camera], turn: NDArray[np.float64]
) -> Inputs:
    """What the network reads.

    Args:
        pictures: float32 [views, height, width, 4], 0 to 1, straight alpha.
        distances: float32 [views, height, width], to the silhouettes' edges in pixels, positive inside.
        turn: the network's frame, see `upright`.
    """
    planes = np.concatenate(
        [pictures[..., :3] * pictures[..., 3:], pictures[..., 3:],
         np.clip(distances / (pictures.shape[2] / 16), -1, 1)[..., None]], -1,
    )  # fmt: skip
    projection, directions = [], []
    for camera in cameras:
        inverse = np.linalg.inv(camera.camera_to_world[:3, :3])
        lens = np.array(
            [[camera.fl_x / camera.width, 0, -camera.cx / camera.width],
             [0, -camera.fl_y / camera.height, -camera.cy / camera.height], [0, 0, -1]]
        )  # fmt: skip
        # Points of the network's frame are turned back into the world first.
        projection.append(lens @ np.hstack([inverse @ turn, (-inverse @ camera.position)[:, None]]))
        directions.append(camera.position @ turn / np.linalg.norm(camera.position))
    focal = np.array([[(camera.fl_x + camera.fl_y) / 2] for camera in cameras])[..., None]
    return Inputs(
        np.ascontiguousarray(planes.transpose(0, 3, 1, 2), dtype=np.float32),
        np.stack(projection).astype(np.float32),
        np.stack(directions).astype(np.float32),
        np.ascontiguousarray(distances / focal, dtype=np.float32),
        turn.astype(np.float32),
    )
