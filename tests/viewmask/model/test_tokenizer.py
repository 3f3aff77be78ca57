"""The tokenizer: codes, the empty code, shapes, and every term of its training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

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
