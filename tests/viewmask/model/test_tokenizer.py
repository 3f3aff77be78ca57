"""The tokenizer: codes, the empty code, shapes, and every term of its training."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from viewmask.errors import ViewmaskError
from viewmask.model.tokenizer import OPEN_MAGVIT2, Tokenizer, TokenizerConfig, pack, unpack

TINY = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)
FINER = replace(TINY, decoder_stem=4, decoder_widths=(8, 12, 16), decoder_blocks=(1, 1, 1))


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return Tokenizer(TINY).eval()


@pytest.fixture
def pictures():
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    images[:, :16, :16] = 0
    return images


def test_sixteen_pixels_a_token_and_a_vocabulary_of_two_to_the_eighteen():
    for config in (TINY, OPEN_MAGVIT2, TokenizerConfig()):
        assert config.patch == 16
        assert config.vocabulary == 2**18


def test_bits_and_tokens_are_each_other_s_inverse(tokenizer):
    tokens = torch.tensor([1, 5, 2**17, 2**18 - 1])
    bits = tokenizer.bits_of(tokens)
    assert bits[2].tolist() == [-1.0] * 17 + [1.0]  # lowest bit first, as Open-MAGVIT2
    z = bits.T[None, :, :, None]
    assert tokenizer.tokens_of(z, torch.zeros(1, 4, 1, dtype=torch.bool))[0, :, 0].tolist() == tokens.tolist()


def test_only_patches_without_alpha_get_the_empty_code(tokenizer, pictures):
    tokens = tokenizer.encode(pack(pictures))
    assert (tokens[:, 0, 0] == 0).all()
    assert (tokens.flatten(1)[:, 1:] != 0).all()


def test_a_patch_that_lands_on_the_empty_code_moves_over(tokenizer):
    z = -torch.ones(1, 18, 1, 1)
    z[0, 7] = -0.1
    assert tokenizer.tokens_of(z, torch.zeros(1, 1, 1, dtype=torch.bool)).item() == 2**7


def test_empty_codes_decode_to_nothing(tokenizer, pictures):
    decoded = tokenizer.decode(tokenizer.encode(pack(pictures)))
    assert decoded.shape == (3, 4, 32, 32)
    assert (decoded[:, :, :16, :16] == 0).all()
    assert (decoded[:, :3] <= decoded[:, 3:]).all()


def test_soft_bits_that_are_the_codes_decode_alike(tokenizer, pictures):
    tokens = tokenizer.encode(pack(pictures))
    torch.testing.assert_close(tokenizer.decode(tokens), tokenizer.decode(tokens, tokenizer.bits_of(tokens)))


def test_a_decoder_of_another_shape_reads_the_same_codes(pictures):
    other = Tokenizer(FINER).eval()
    assert len(other.decoder.up) == 3
    assert len(other.encoder.down) == 2
    tokens = other.encode(pack(pictures))
    decoded = other.decode(tokens)
    assert decoded.shape == (3, 4, 32, 32)
    assert (decoded[:, :, :16, :16] == 0).all()


@pytest.mark.parametrize("size", [0, 1, 8, 40])
def test_pictures_that_are_not_cut_into_codes_are_refused(size):
    with pytest.raises(ViewmaskError, match=f"pictures of {size} pixels a side"):
        Tokenizer(replace(TINY, size=size))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decoder_stem": 8}, "the decoder makes 32"),
        ({"decoder_blocks": (1, 1)}, "as many entries"),
        ({"widths": (8, 16, 16)}, "as many entries"),
    ],
)
def test_a_decoder_that_fits_no_codes_is_refused(changes, reason):
    with pytest.raises(ViewmaskError, match=reason):
        Tokenizer(replace(FINER, **changes))


def test_packing_comes_back(pictures):
    pictures[..., 3] = np.where(pictures[..., 3] < 40, 255, pictures[..., 3])  # no haze
    back = np.stack(unpack(pack(pictures)))
    np.testing.assert_array_equal(back[..., 3], pictures[..., 3])
    assert np.abs(back.astype(int) - pictures.astype(int)).max() <= 1
    colour, alpha = pictures[0, 20, 20, :3] / 255, pictures[0, 20, 20, 3] / 255
    np.testing.assert_allclose(pack(pictures, 3)[0, :, 20, 20], colour * alpha + 1 - alpha, rtol=1e-5)


def test_haze_is_cleared():
    alpha = torch.linspace(0, 1, 256).expand(4, 256).reshape(1, 4, 16, 16)
    seen = unpack(alpha)[0][..., 3].ravel()
    assert (seen[:13] == 0).all()
    assert (seen[39:] == np.arange(39, 256)).all()
    assert (np.diff(seen.astype(int)) >= 0).all()


def test_open_magvit2_has_its_parameters():
    # Counted from the public architecture: 2^18 codes need no embedding table.
    with torch.device("meta"):
        model = Tokenizer(OPEN_MAGVIT2)
    names = set(model.state_dict())
    assert {"encoder.down.4.block.3.conv2.weight", "encoder.down.2.block.0.nin_shortcut.weight",
            "encoder.down.3.downsample.bias", "encoder.mid_block.3.norm2.bias", "decoder.adaptive.0.gamma.weight",
            "decoder.up.1.upsample.conv1.weight", "decoder.conv_in.bias"} <= names  # fmt: skip
    assert "decoder.up.0.upsample.conv1.weight" not in names
    assert model.state_dict()["encoder.conv_out.weight"].shape == (18, 512, 1, 1)


# -- the networks against plain functions of their weights ------------------------------------------------------

ODD = TokenizerConfig(size=16, bits=6, stem=2, widths=(8, 12, 16), blocks=(1, 2, 1), mid_blocks=2,
                      decoder_stem=4, decoder_widths=(20, 12), decoder_blocks=(2, 1))  # fmt: skip


@pytest.fixture(scope="module")
def odd():
    torch.manual_seed(1)
    model = Tokenizer(ODD).eval()
    for parameter in model.parameters():  # nothing stays 0 or 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def conv(x, state, name, **more):
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **more)


def norm(x, scale, shift):
    """Group norm with as many groups as 32 and the channels have for a common divisor."""
    groups = x.unflatten(1, (math.gcd(32, x.shape[1]), -1))
    mean = groups.mean((2, 3, 4), keepdim=True)
    variance = ((groups - mean) ** 2).mean((2, 3, 4), keepdim=True)
    plain = ((groups - mean) / (variance + 1e-6).sqrt()).flatten(1, 2)
    return plain * scale[..., :, None, None] + shift[..., :, None, None]


def activated(x, state, name):
    x = norm(x, state[f"{name}.weight"], state[f"{name}.bias"])
    return x * x.sigmoid()


def residual(x, state, name):
    y = conv(activated(x, state, f"{name}.norm1"), state, f"{name}.conv1", padding=1)
    y = conv(activated(y, state, f"{name}.norm2"), state, f"{name}.conv2", padding=1)
    short = f"{name}.nin_shortcut"
    return y + (conv(x, state, short) if f"{short}.weight" in state else x)


def test_the_encoder_against_plain_functions(odd):
    state = odd.encoder.state_dict()
    pictures = torch.rand(2, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    blocks = pictures.reshape(2, 4, 8, 2, 12, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 16, 8, 12)
    x = conv(2 * blocks - 1, state, "conv_in", padding=1)
    for level, count in enumerate(ODD.blocks):
        for block in range(count):
            x = residual(x, state, f"down.{level}.block.{block}")
        if level < 2:
            x = conv(x, state, f"down.{level}.downsample", padding=1, stride=2)
    for block in range(2):
        x = residual(x, state, f"mid_block.{block}")
    x = conv(activated(x, state, "norm_out"), state, "conv_out")
    torch.testing.assert_close(odd.encoder(pictures), x)
    assert x.shape == (2, 6, 2, 3)


def test_the_decoder_against_plain_functions(odd):
    state = odd.decoder.state_dict()
    code = torch.randn(2, 6, 2, 3, generator=torch.Generator().manual_seed(0))
    x = conv(code, state, "conv_in", padding=1)
    for block in range(2):
        x = residual(x, state, f"mid_block.{block}")
    deviation, mean = (code.flatten(2).var(dim=2) + 1e-6).sqrt(), code.flatten(2).mean(2)
    for level, count in ((1, 1), (0, 2)):
        name = f"adaptive.{level}"
        scale = deviation @ state[f"{name}.gamma.weight"].T + state[f"{name}.gamma.bias"]
        shift = mean @ state[f"{name}.beta.weight"].T + state[f"{name}.beta.bias"]
        x = norm(x, scale, shift)
        for block in range(count):
            x = residual(x, state, f"up.{level}.block.{block}")
        if level:
            y = conv(x, state, "up.1.upsample.conv1", padding=1)
            x = torch.empty(2, 12, 4, 6)
            for row in range(2):
                for column in range(2):
                    x[:, :, row::2, column::2] = y[:, 12 * (2 * row + column) :][:, :12]
    x = conv(activated(x, state, "norm_out"), state, "conv_out", padding=1)
    x = x.reshape(2, 4, 4, 4, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(2, 4, 16, 24)
    torch.testing.assert_close(odd.decoder(code), (x + 1) / 2)


def test_without_a_stem_pixels_go_in_and_come_out_as_they_are():
    plain = Tokenizer(replace(TINY, stem=1, bits=3)).eval()
    assert plain.encoder.conv_in.weight.shape == (8, 4, 3, 3)
    assert plain.decoder.conv_out.weight.shape == (4, 8, 3, 3)
    assert plain.encoder(torch.rand(1, 4, 4, 4)).shape == (1, 3, 2, 2)
    assert plain.decoder(torch.rand(1, 3, 2, 2)).shape == (1, 4, 4, 4)


# -- sizes ------------------------------------------------------------------------------------------------------


def test_sizes_that_are_not_named():
    assert TokenizerConfig() == TokenizerConfig(128, 4, 18, 4, (64, 128, 256), (1, 1, 1), 1, True, 0, (), ())
    assert (TokenizerConfig().grid, OPEN_MAGVIT2.grid, replace(OPEN_MAGVIT2, bits=3).vocabulary) == (8, 16, 8)
    assert replace(OPEN_MAGVIT2, size=0) == TokenizerConfig(
        0, 3, 18, 1, (128, 128, 256, 256, 512), (4, 4, 4, 4, 4), 4, False
    )
    assert TINY.decoding is TINY
    assert FINER.decoding == replace(TINY, stem=4, widths=(8, 12, 16), blocks=(1, 1, 1), decoder_stem=4,
                                     decoder_blocks=(1, 1, 1))  # fmt: skip


# -- codes ------------------------------------------------------------------------------------------------------


def test_a_code_is_the_signs_and_code_0_is_free_where_it_means_nothing():
    z = torch.tensor([[0.5, -1.0, 2.0], [-1.0, -0.5, -2.0], [0.0, -1.0, -1.0]]).T[None, :, None]
    no = torch.zeros(1, 1, 3, dtype=torch.bool)
    kept, free = (Tokenizer(replace(TINY, bits=3, empty_code=rule)) for rule in (True, False))
    assert free.tokens_of(z, no).tolist() == [[[5, 0, 0]]]
    assert kept.tokens_of(z, no).tolist() == [[[5, 2, 1]]]
    assert kept.tokens_of(z, ~no).tolist() == [[[0, 0, 0]]]
    assert free.tokens_of(z, ~no).tolist() == [[[5, 0, 0]]]
    assert kept.bits_of(torch.tensor([[5]])).tolist() == [[[1, -1, 1]]]


def test_half_a_step_of_alpha_is_empty():
    tokenizer = Tokenizer(TINY)
    pictures = torch.zeros(1, 4, 32, 48)
    pictures[0, 3, 5, 20], pictures[0, 3, 31, 47] = 0.49 / 255, 0.51 / 255
    pictures[0, 0, 20, 5] = 1
    assert tokenizer.empty(pictures).tolist() == [[[True, True, True], [True, True, False]]]
    free = Tokenizer(replace(TINY, empty_code=False)).empty(pictures)
    assert free.tolist() == [[[False] * 3] * 2]


def test_decoding_by_hand(odd):
    tokens, soft = torch.tensor([[[5, 0, 63]]]), torch.rand(1, 1, 3, 6)
    for given, bits in ((None, odd.bits_of(tokens)), (soft, soft)):
        bits = torch.where((tokens == 0)[..., None], -1.0, bits)
        raw = odd.decoder(bits.permute(0, 3, 1, 2))
        torch.testing.assert_close(odd.decode(tokens, given), odd.finish(raw, tokens == 0))
    free = Tokenizer(replace(ODD, empty_code=False)).eval()
    raw = free.decoder(free.bits_of(tokens).permute(0, 3, 1, 2))
    torch.testing.assert_close(free.decode(tokens), free.finish(raw, tokens > 99))


def test_pictures_are_finished_by_hand():
    raw = torch.tensor([0.5, -0.2, 1.5, 0.9])[None, :, None, None].expand(1, 4, 32, 32).clone()
    raw[..., 16:] = torch.tensor([0.5, -0.2, 1.5, 1.9])[:, None, None]
    empty = torch.tensor([[[False, False], [True, False]]])
    done = Tokenizer(TINY).finish(raw, empty)
    assert done[0, :, 0, 0].tolist() == pytest.approx([0.5, 0, 0.9, 0.9])
    assert done[0, :, 15, 16].tolist() == done[0, :, 31, 31].tolist() == [0.5, 0, 1, 1]
    assert (done[0, :, 16:, :16] == 0).all()
    assert (done[0, 3, :16] > 0).all()
    free = Tokenizer(replace(TINY, empty_code=False)).finish(raw, empty)
    assert free[0, :, 31, 0].tolist() == pytest.approx([0.5, 0, 0.9, 0.9])
    colours = Tokenizer(replace(TINY, channels=3)).finish(raw[:, :3], empty)
    assert colours[0, :, 31, 0].tolist() == [0.5, 0, 1]


def test_packing_by_hand():
    images = np.array([[[[51, 102, 255, 51]], [[0, 255, 0, 255]]]], np.uint8)
    assert pack(images)[0, :, :, 0].T.numpy() == pytest.approx(np.array([[0.04, 0.08, 0.2, 0.2], [0, 1, 0, 1]]))
    assert pack(images, 3)[0, :, :, 0].T.numpy() == pytest.approx(np.array([[0.84, 0.88, 1], [0, 1, 0]]))
    assert pack(list(images)).shape == (1, 4, 2, 1)
    assert pack(images[0]).shape == (4, 2, 1)


def test_unpacking_by_hand():
    def unpacked(*values):
        (picture,) = unpack(torch.tensor(values)[None, :, None, None])
        return picture[0, 0].tolist()

    assert unpacked(0.2, 0.4, 1.0, 1.0) == [51, 102, 255, 255]
    assert unpacked(0.2, 0.1, 0.6, 0.5) == [102, 51, 255, 128]  # more colour than alpha allows is clipped
    assert unpacked(0.05, 0.0, 0.0, 0.1) == [128, 0, 0, 13]  # half way out of the haze
    assert unpacked(0.01, 0.02, 0.0, 0.05) == [51, 102, 0, 0]
    assert unpacked(0.0019, 0.0, 0.0, 0.0019) == [0, 0, 0, 0]  # too clear to have a colour
    assert unpacked(0.002, 0.0, 0.0, 0.002) == [255, 0, 0, 0]
    assert unpacked(0.2, 0.4, 1.0) == [51, 102, 255, 255]
    assert unpack(torch.zeros(2, 4, 3, 5))[1].shape == (3, 5, 4)


def test_everything_is_made_where_its_inputs_are():
    rules = [Tokenizer(replace(TINY, empty_code=rule)) for rule in (True, False)]
    pictures = torch.ones(1, 4, 32, 32)
    with torch.device("meta"):  # where tensors go that name no device
        for tokenizer in rules:
            tokens = tokenizer.encode(pictures)
            assert tokens.device.type == tokenizer.decode(tokens).device.type == "cpu"
