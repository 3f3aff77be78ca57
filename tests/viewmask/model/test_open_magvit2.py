"""The tokenizer against Open-MAGVIT2's own modules (package `open-magvit2`): names, codes and decoded pixels."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from viewmask.model.tokenizer import OPEN_MAGVIT2, Tokenizer, TokenizerConfig

CONFIG = TokenizerConfig(
    size=64, channels=3, stem=1, widths=(32, 32, 64, 64, 128), blocks=(2,) * 5, mid_blocks=2, empty_code=False
)


def module(path: str) -> ModuleType:
    """One file of the package, read alone: importing the package itself would ask for its training stack."""
    spec = importlib.util.find_spec("open_magvit2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package open-magvit2: pip install --no-deps open-magvit2==1.1, and einops")
    pytest.importorskip("einops")
    file = Path(next(iter(spec.submodule_search_locations))) / "taming" / "modules" / path
    name = f"open_magvit2_{file.stem}"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, file)
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def theirs(config: TokenizerConfig) -> tuple[torch.nn.Module, torch.nn.Module]:
    model = module("diffusionmodules/improved_model.py")
    options = {
        "ch": config.widths[0], "in_channels": 3, "num_res_blocks": config.blocks[0], "z_channels": config.bits,
        "ch_mult": tuple(width // config.widths[0] for width in config.widths), "resolution": config.size,
    }  # fmt: skip
    return model.Encoder(**options, out_ch=3), model.Decoder(**options, out_ch=3)


def test_codes_and_pixels_are_theirs() -> None:
    torch.manual_seed(0)
    encoder, decoder = (part.eval() for part in theirs(CONFIG))
    ours = Tokenizer(CONFIG).eval()
    ours.encoder.load_state_dict(encoder.state_dict())  # strict: every name and shape
    ours.decoder.load_state_dict(decoder.state_dict())
    quantizer = module("vqvae/lookup_free_quantize.py").LFQ(dim=CONFIG.bits, codebook_size=CONFIG.vocabulary).eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        z = encoder(2 * pictures - 1)
        assert ours.encoder(pictures) == pytest.approx(z, abs=1e-5)
        quantized, *_ = quantizer(z)
        indices = (quantized > 0).long().movedim(1, -1) @ quantizer.mask.long()
        tokens = ours.encode(pictures)
        assert torch.equal(tokens, indices)
        assert len(tokens.unique()) > 10
        decoded = (decoder(quantized) + 1) / 2
        assert ours.decode(tokens) == pytest.approx(decoded.clamp(0, 1), abs=1e-5)


def test_the_released_size_has_their_names_and_shapes() -> None:
    with torch.device("meta"):
        encoder, decoder = theirs(OPEN_MAGVIT2)
        ours = Tokenizer(OPEN_MAGVIT2)
    for mine, other in ((ours.encoder, encoder), (ours.decoder, decoder)):
        shapes = [{name: tensor.shape for name, tensor in part.state_dict().items()} for part in (mine, other)]
        assert shapes[0] == shapes[1]
