"""Conversion against the peers' own networks, in both directions: tokens, pixels and logits; and what is refused."""

import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.viewmask.model import peer_networks as peer
from tests.viewmask.model.test_open_magvit2 import CONFIG as OPEN_CONFIG
from tests.viewmask.model.test_open_magvit2 import module, theirs
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model import conversion, peers, sequence, vocabulary
from viewmask.model.code import bits
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import Vocabulary


def pictures(count=2, size=32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(4))


def tokenizer(folder):
    return checkpoint.load(folder, Tokenizer, TokenizerConfig)[0]


def transformer(folder, dtype=torch.float32):
    return checkpoint.load(folder, Transformer, TransformerConfig, dtype)[0]


def coarse(model):
    """The same network over views of 2 x 2 tokens: its positions have no tensors."""
    other = Transformer(replace(model.config, grid=2)).eval()
    other.load_state_dict(model.state_dict())
    return other


def tensors_of(folder):
    """All tensors of a peer's folder, whatever its files."""
    found = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors":
            found |= load_file(file)
        elif file.suffix in (".bin", ".ckpt"):
            record = torch.load(file, weights_only=True)
            found |= record.get("state_dict", record)
    return found


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert tensor.shape == second[name].shape, name
        assert torch.equal(tensor.view(-1).view(torch.uint8), second[name].contiguous().view(-1).view(torch.uint8)), (
            name
        )


# -- tokenizers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def showlab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("showlab")
    tensors = peer.showlab()
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"_class_name": "MAGVITv2", "_version": "1"}))
    conversion.arrival(folder).write(folder / "ours")
    return folder, tensors


def test_showlab_s_tokens_and_pixels_are_ours(showlab):
    folder, tensors = showlab
    ours = tokenizer(folder / "ours")
    assert ours.config.bits == 13
    with torch.inference_mode():
        expected = peer.showlab_tokens(tensors, 2 * pictures() - 1)
        tokens = ours.encode(pictures())
        assert torch.equal(tokens, expected)
        assert len(tokens.unique()) > 100
        pixels = (peer.showlab_pixels(tensors, expected) + 1) / 2
        torch.testing.assert_close(ours.decode(tokens), pixels, atol=1e-5, rtol=0)
        assert pixels.std() > 0.1


def test_showlab_comes_back_to_the_bit(showlab, tmp_path):
    folder, tensors = showlab
    files = conversion.departure(folder / "ours").write(tmp_path / "back")
    assert [file.name for file in files] == ["config.json", "pytorch_model.bin"]
    same(tensors_of(tmp_path / "back"), tensors)
    assert json.loads((tmp_path / "back" / "config.json").read_text())["_class_name"] == "MAGVITv2"


def test_our_tokenizer_in_showlab_s_layout_makes_its_tokens(tmp_path):
    torch.manual_seed(3)
    config = TokenizerConfig(size=32, channels=3, bits=13, stem=1, widths=(32, 32, 64), blocks=(1, 1, 2), mid_blocks=2,
                             empty_code=False, decoder_stem=1, decoder_widths=(32, 64, 64), decoder_blocks=(1, 2, 1),
                             form="show-o")  # fmt: skip
    ours = Tokenizer(config).eval()
    checkpoint.save(tmp_path / "ours", ours, config, {})
    conversion.departure(tmp_path / "ours").write(tmp_path / "theirs")
    tensors = tensors_of(tmp_path / "theirs")
    with torch.inference_mode():
        tokens = ours.encode(pictures())
        assert torch.equal(peer.showlab_tokens(tensors, 2 * pictures() - 1), tokens)
        pixels = (peer.showlab_pixels(tensors, tokens) + 1) / 2
        torch.testing.assert_close(ours.decode(tokens), pixels, atol=1e-5, rtol=0)


class Loss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.discriminator = torch.nn.Linear(2, 2)


class Callback:  # what Lightning keeps beside the weights, of a class that is not torch's
    def __init__(self):
        self.best = {"path": OrderedDict(a=1)}


def lightning(tmp_path, average=True):
    """A `.ckpt` as Lightning writes it for Open-MAGVIT2: plain weights, their moving average, loss, callbacks."""
    torch.manual_seed(5)
    whole = torch.nn.Module()
    whole.encoder, whole.decoder = (part.eval() for part in theirs(OPEN_CONFIG))
    whole.loss = Loss()
    if average:
        whole.model_ema = module("ema.py").LitEma(whole)
        for name, tensor in whole.model_ema.named_buffers():
            if tensor.is_floating_point() and tensor.ndim:
                setattr(whole.model_ema, name, tensor + 0.02 * torch.randn_like(tensor))
    record = {
        "state_dict": whole.state_dict(),
        "callbacks": {"checkpoint": Callback()},
        "optimizer_states": [{"state": {0: {"step": 3}}}],
        "epoch": 4,
    }
    file = tmp_path / "open.ckpt"
    torch.save(record, file)
    if average:
        whole.model_ema.copy_to(whole)
    return file, whole


@pytest.mark.parametrize("average", [True, False])
def test_open_magvit2_s_tokens_and_pixels_are_ours(tmp_path, average):
    file, whole = lightning(tmp_path, average)
    job = conversion.arrival(file)
    job.write(tmp_path / "ours")
    assert ("moving average of the weights is taken" in job.plan.notes[0]) == average
    assert any(name.startswith("loss.") for name in job.plan.left)
    ours = tokenizer(tmp_path / "ours")
    assert ours.config.blocks == (2,) * 5
    quantizer = module("vqvae/lookup_free_quantize.py").LFQ(dim=18, codebook_size=2**18).eval()
    with torch.inference_mode():
        quantized, *_ = quantizer(whole.encoder(2 * pictures(size=64) - 1))
        expected = (quantized > 0).long().movedim(1, -1) @ quantizer.mask.long()
        tokens = ours.encode(pictures(size=64))
        assert torch.equal(tokens, expected)
        assert len(tokens.unique()) > 10
        pixels = ((whole.decoder(quantized) + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(ours.decode(tokens), pixels, atol=1e-5, rtol=0)


def test_open_magvit2_comes_back_to_the_bit(tmp_path):
    file, whole = lightning(tmp_path)
    conversion.arrival(file).write(tmp_path / "ours")
    conversion.departure(tmp_path / "ours").write(tmp_path / "back")
    back = tensors_of(tmp_path / "back")
    came = torch.load(file, weights_only=False)["state_dict"]
    ours = {name: tensor for name, tensor in came.items() if name.startswith("model_ema.") and "loss" not in name}
    ours = {name: tensor for name, tensor in ours.items() if name not in ("model_ema.decay", "model_ema.num_updates")}
    same({name: back[name] for name in ours}, ours)
    # Their classes take it, by the plain names and by the average's.
    again = torch.nn.Module()
    again.encoder, again.decoder = (part.eval() for part in theirs(OPEN_CONFIG))
    again.model_ema = module("ema.py").LitEma(again)
    again.load_state_dict(back)
    again.model_ema.copy_to(again)
    for name, parameter in again.encoder.named_parameters():
        assert torch.equal(parameter, whole.encoder.get_parameter(name))


def test_no_code_in_a_pickle_runs(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    tensors = peer.showlab()
    torch.save({"state_dict": tensors, "trap": Trap()}, tmp_path / "x.ckpt")
    conversion.arrival(tmp_path / "x.ckpt").write(tmp_path / "ours")  # the weights are read, the trap is a husk
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "x.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists()  # it was armed


# -- transformers ---------------------------------------------------------------------------------------------

BITS = 6


@pytest.fixture(scope="module", params=["llada", "mmada"])
def language(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = peer.LLADA if request.param == "llada" else peer.MMADA
    tensors = peer.llada(config)
    peer.write_shards(folder / "theirs", tensors, config)
    conversion.arrival(folder / "theirs", BITS).write(folder / "ours")
    return folder, config, tensors


def places_of(model, layout, words, tokens, masked, offset):
    """The same sequence in the peer's ids, int64 [batch, length]."""
    moved = peers.swaps()
    visual = model.places(layout, words.device).visual
    ids = torch.empty(len(words), len(visual), dtype=torch.long)
    theirs = words.clone().apply_(lambda word: moved.get(word, word))
    ids[:, ~visual] = torch.where(theirs < offset, theirs, theirs + 2**model.config.bits)
    ids[:, visual] = torch.where(masked, peer.MASK, tokens + offset).flatten(1)
    return ids, visual


def example(model, seed=0):
    layout = sequence.Layout(vocabulary.T2MV, (0.0, 90.0), text=5)
    random = torch.Generator().manual_seed(seed)
    captions = torch.randint(8, peers.TEXT, (2, 5), generator=random)
    captions[0, 1:4] = torch.tensor([vocabulary.PAD, vocabulary.MASK, 126_084])  # a word that changes places
    captions[1, 4] = peers.WORDS - 3  # behind MMaDA's visual tokens
    grid = model.config.grid
    tokens = torch.randint(0, 2**model.config.bits, (2, 2, grid, grid), generator=random)
    return layout, sequence.words(layout, captions), tokens, torch.rand(tokens.shape, generator=random) < 0.5


def compared(model, tensors, config, offset, atol=1e-4):
    """Our logits beside the peer's, at every place and for every row."""
    layout, words, tokens, masked = example(model)
    ids, visual = places_of(model, layout, words, tokens, masked, offset)
    moved = peers.swaps()
    rows = [moved.get(word, word) for word in range(peers.WORDS)]
    rows = [row if row < offset else row + 2**model.config.bits for row in rows]
    with torch.inference_mode():
        expected = peer.llada_logits(config, tensors, ids)
        of_words, of_tokens = model(layout, words, tokens, masked)
        for features, here in ((of_words, ~visual), (of_tokens.flatten(1, 3), visual)):
            said = model.word_head(features)
            torch.testing.assert_close(said, expected[:, here][..., rows], atol=atol, rtol=0)
            codes = model.predict(features.flatten(0, 1)).codes[:, 0].unflatten(0, features.shape[:2])
            if expected.shape[-1] > peers.WORDS:
                theirs = expected[:, here][..., offset : offset + codes.shape[-1]]
                torch.testing.assert_close(codes, theirs, atol=atol, rtol=0)
    assert expected.std() > 0.1


def test_logits_are_the_peer_s(language):
    folder, config, tensors = language
    model = coarse(transformer(folder / "ours"))
    assert model.config.bits == (BITS if config is peer.LLADA else 13)
    if config is peer.MMADA:
        compared(model, tensors, config, peers.TEXT)
        return
    # LLaDA has no rows for visual tokens: give it ours.
    state = model.state_dict()
    more = dict(tensors)
    for name, code in (("wte", "code.weight"), ("ff_out", "code_head.weight")):
        more[f"model.transformer.{name}.weight"] = torch.cat([tensors[f"model.transformer.{name}.weight"], state[code]])
    compared(model, more, config, peers.WORDS)


def test_the_way_back_is_exact(language, tmp_path):
    folder, config, tensors = language
    conversion.departure(folder / "ours", words_only=config is peer.LLADA).write(tmp_path / "back")
    same(tensors_of(tmp_path / "back"), tensors)
    assert json.loads((tmp_path / "back" / "config.json").read_text()).items() >= config.items()


def test_our_transformer_in_the_peer_s_layout_has_its_logits(tmp_path):
    torch.manual_seed(6)
    for width in (BITS, 13):
        config = TransformerConfig(width=32, layers=2, heads=2, hidden=48, words=peers.WORDS, grid=2, bits=width,
                                   groups=1, codes="table", positions="sequence", theta=1000.0,
                                   query_norm=False)  # fmt: skip
        model = Transformer(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
        model.mask.data = model.word.weight.data[vocabulary.MASK].clone()
        checkpoint.save(tmp_path / f"ours{width}", model, config, {"stage": "t2mv"})
        out = tmp_path / f"theirs{width}"
        conversion.departure(tmp_path / f"ours{width}").write(out)
        settings = json.loads((out / "config.json").read_text())
        assert settings["rope_theta"] == 1000.0
        assert settings["embedding_size"] == peers.WORDS + 2**width
        compared(model, tensors_of(out), settings, peers.TEXT if width == 13 else peers.WORDS)
        back = tmp_path / f"back{width}"
        conversion.arrival(out).write(back)
        same(load_file(back / checkpoint.MODEL), load_file(tmp_path / f"ours{width}" / checkpoint.MODEL))


def test_a_mask_of_its_own_is_kept(language, tmp_path):
    folder, config, _ = language
    model = transformer(folder / "ours")
    model.mask.data += 1
    checkpoint.save(tmp_path / "trained", model, model.config, {})
    job = conversion.departure(tmp_path / "trained")
    assert "mask of their own" in job.plan.notes[0]
    job.write(tmp_path / "theirs")
    conversion.arrival(tmp_path / "theirs").write(tmp_path / "back")
    back = transformer(tmp_path / "back").state_dict()
    for name, tensor in model.state_dict().items():
        if name == "word.weight":  # the spare row holds the mask
            tensor = torch.cat([tensor[:-1], model.mask[None].detach()])
        assert torch.equal(tensor, back[name]), name
    assert config["vocab_size"] in (peers.WORDS, peers.WORDS + 2**13)


def test_numbers_stay_as_they_are_stored(tmp_path):
    tensors = peer.llada(dtype=torch.bfloat16)
    peer.write_shards(tmp_path / "theirs", tensors, peer.LLADA, files=2)
    conversion.arrival(tmp_path / "theirs", BITS).write(tmp_path / "ours")
    ours = transformer(tmp_path / "ours", dtype=None)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    conversion.departure(tmp_path / "ours", words_only=True).write(tmp_path / "back")
    same(tensors_of(tmp_path / "back"), tensors)


def test_new_codes_begin_among_the_words_and_alike_where_they_share_bits(language):
    folder, config, tensors = language
    if config is peer.MMADA:
        pytest.skip("it has codes")
    state = load_file(folder / "ours" / checkpoint.MODEL)
    for code, table in (("code.weight", "wte"), ("code_head.weight", "ff_out")):
        words, rows = tensors[f"model.transformer.{table}.weight"][: peers.TEXT], state[code]
        torch.testing.assert_close(rows.mean(0), words.mean(0), atol=1e-4, rtol=0)
        assert float((rows.std(0) / words.std(0)).mean()) == pytest.approx(1.0, abs=0.15)
        # A row is a sum over its bits: the rows of two codes that differ in one bit differ by the same everywhere.
        signs = bits(torch.arange(2**BITS), BITS)
        for bit in range(BITS):
            differ = rows[signs[:, bit] > 0] - rows[signs[:, bit] < 0]
            torch.testing.assert_close(differ, differ[:1].expand_as(differ), atol=1e-4, rtol=0)
            assert differ.std() > 0.01
    assert not torch.equal(state["code.weight"], state["code_head.weight"])
    again = load_file(folder / "ours" / checkpoint.MODEL)["code.weight"]
    other = conversion.arrival(folder / "theirs", BITS, seed=7)
    target = next(each for each in other.plan.targets if each.name == "code.weight")
    assert not torch.equal(torch.cat(list(other._pieces(target))), again)
    record = json.loads((folder / "ours" / "config.json").read_text())["about"]
    assert "random direction a bit (seed 0)" in record["fresh"][0]


def test_large_weights_leave_in_several_files(language, tmp_path, monkeypatch):
    folder, config, tensors = language
    monkeypatch.setattr(conversion, "SHARD", 17 * 10**6)
    monkeypatch.setattr(conversion, "PIECE", 2**16)
    job = conversion.departure(folder / "ours", words_only=config is peer.LLADA)
    names = [file.name for file in job.write(tmp_path / "back")]
    assert names[1].startswith("model-00001-of-0000")
    assert len(names) >= 4
    assert names[-1] == "model.safetensors.index.json"
    same(tensors_of(tmp_path / "back"), tensors)
    again = conversion.arrival(tmp_path / "back", BITS)
    assert again.plan.targets == conversion.arrival(folder / "theirs", BITS).plan.targets


# -- words ----------------------------------------------------------------------------------------------------


def test_the_vocabulary_speaks_of_the_rows_that_its_words_have_now(tmp_path):
    folder = peer.write_shards(tmp_path / "theirs", peer.llada(), peer.LLADA)
    learnt = json.loads(Vocabulary.learn(["a red chair", "a chair with a red seat"], 300).to_json())
    learnt["normalizer"] = None
    learnt["added_tokens"] = [
        {"id": 126336, "content": "<|mdm_mask|>", "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False},
    ]  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(learnt))
    conversion.arrival(folder, BITS).write(tmp_path / "ours")
    before = Vocabulary.load(folder / "tokenizer.json")
    after = Vocabulary.load(tmp_path / "ours" / vocabulary.FILE)
    assert len(after) == peers.WORDS
    assert after[vocabulary.MASK] == "<|mdm_mask|>"
    moved = peers.swaps()
    text = "a red chair"
    ids = list(before._bpe.encode(text, add_special_tokens=False).ids)
    assert [moved.get(word, word) for word in ids] == after.encode(text, len(ids))
    conversion.departure(tmp_path / "ours", words_only=True).write(tmp_path / "back")
    back = json.loads((tmp_path / "back" / "tokenizer.json").read_text())
    assert back["model"]["vocab"] | {"<|mdm_mask|>": 126336} == learnt["model"]["vocab"] | {"<|mdm_mask|>": 126336}
    assert back["added_tokens"] == learnt["added_tokens"]


def test_special_words_change_places_with_rows_of_their_own():
    moved = peers.swaps()
    assert len(moved) == 2 * len(vocabulary.SPECIALS)
    assert all(moved[moved[word]] == word for word in moved)
    assert moved[vocabulary.MASK] == 126336
    assert moved[vocabulary.SOI] == 126084
    assert moved[vocabulary.PAD] == 126093
    assert all(126080 < moved[word] < peers.TEXT for word in range(len(vocabulary.SPECIALS)))


# -- what is refused ------------------------------------------------------------------------------------------


def refused(place, reason, **options):
    with pytest.raises(ViewmaskError, match=reason) as caught:
        conversion.arrival(place, **options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def small(tmp_path):
    tensors = peer.showlab(encoder=(1,), decoder=(1,), encoder_blocks=(1,), decoder_blocks=(1,))
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path, tensors


def test_a_cut_file_is_refused(small, tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(file, "damaged or cut")
    torch.save(small[1], tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").write_bytes((tmp_path / "x.ckpt").read_bytes()[:-1000])
    refused(tmp_path / "x.ckpt", "damaged, cut")
    (tmp_path / "y.ckpt").write_text("version https://git-lfs")
    refused(tmp_path / "y.ckpt", "damaged, cut")


def test_other_weights_are_refused(small, tmp_path):
    _, tensors = small
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "no weights of Open-MAGVIT2.*1 tensors, such as a.weight")
    save_file(tensors | {"stranger": torch.zeros(1)}, tmp_path / "b.safetensors")
    refused(tmp_path / "b.safetensors", "showlab has no stranger")
    without = {name: tensor for name, tensor in tensors.items() if name != "decoder.conv_out.bias"}
    save_file(without, tmp_path / "c.safetensors")
    refused(tmp_path / "c.safetensors", "decoder.conv_out.bias is missing")
    save_file(tensors | {"decoder.conv_out.bias": torch.zeros(4)}, tmp_path / "d.safetensors")
    refused(tmp_path / "d.safetensors", "decoder.conv_out.bias is 4, and should be 3")
    refused(tmp_path, "files of weights")
    refused(tmp_path / "gone", "there is no")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight_tying": True}, "weight_tying = True"), ({"n_heads": None}, "number of heads"),
        ({"n_kv_heads": 1}, "only 1 of 2"), ({"rms_norm_eps": 1e-6}, "rms_norm_eps"), ({"alibi": True}, "alibi"),
    ],
)  # fmt: skip
def test_a_transformer_of_another_form_is_refused(tmp_path, change, reason):
    refused(peer.write_shards(tmp_path, peer.llada(), peer.LLADA | change), reason)


def test_a_missing_shard_is_refused(tmp_path):
    folder = peer.write_shards(tmp_path, peer.llada(), peer.LLADA)
    (folder / "model-00002-of-00003.safetensors").unlink()
    refused(folder, "lacks model-00002-of-00003")


def test_nothing_is_written_half_nor_over_its_source(small, tmp_path):
    job = conversion.arrival(tmp_path / "model.safetensors")
    with pytest.raises(ViewmaskError, match="holds the weights to be converted"):
        job.write(tmp_path, force=True)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(ViewmaskError, match="exists"):
        job.write(out)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])  # cut after it was looked at
    with pytest.raises(ViewmaskError, match="it ends within"):
        job.write(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "out"]
    assert (out / "mine.txt").read_text() == "precious"


def test_our_own_forms_have_no_peer(tmp_path):
    config = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)
    checkpoint.save(tmp_path / "t", Tokenizer(config), config, {})
    with pytest.raises(ViewmaskError, match="4 channels, pixels folded by 8, a code of its own for emptiness"):
        conversion.departure(tmp_path / "t")
    size = TransformerConfig(width=32, layers=1, heads=1, hidden=8, words=8)
    checkpoint.save(tmp_path / "n", Transformer(size), size, {})
    with pytest.raises(ViewmaskError, match="codes=bits"):
        conversion.departure(tmp_path / "n")
    refused(tmp_path / "t", "weights of ours already")


# -- memory ---------------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from viewmask.model import conversion
conversion.PIECE, conversion.CODES = 2**20, 256
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
conversion.arrival(sys.argv[1], 12).write(sys.argv[2])
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_weights(tmp_path):
    config = peer.LLADA | {"d_model": 128, "n_layers": 1, "n_heads": 2, "n_kv_heads": 2, "mlp_hidden_size": 64}
    tensors = peer.llada(config, torch.bfloat16)
    folder = peer.write_shards(tmp_path / "theirs", tensors, config, files=2)
    table = max(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    del tensors
    command = [sys.executable, "-c", MEASURE, str(folder), str(tmp_path / "ours")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    before, peak = (int(kilobytes) * 1024 for kilobytes in said)
    assert peak - before < table / 2, (peak - before, table)  # here in pieces of 1 MiB
