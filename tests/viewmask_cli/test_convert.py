"""`viewmask convert`: the plan, both directions, and what is said of wrong input."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.viewmask.model import peer_networks as peer


@pytest.fixture
def released(tmp_path):
    tensors = peer.showlab(encoder=(1,), decoder=(1,), encoder_blocks=(1,), decoder_blocks=(1,))
    (tmp_path / "in").mkdir()
    save_file(tensors, tmp_path / "in" / "released.safetensors")
    return tmp_path / "in" / "released.safetensors", tensors


def test_there_and_back(shell, released, tmp_path):
    file, tensors = released
    done = shell("convert", file, "--to", tmp_path / "ours")
    assert done.code == 0
    assert done.out.startswith(f"wrote {tmp_path / 'ours'} (showlab, ")
    assert "the order of the bits is turned round" in done.err
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["kind"] == "Tokenizer"
    done = shell("convert", tmp_path / "ours", "--to", tmp_path / "back", "--to-peer", "--json")
    record = json.loads(done.out)
    assert record["peer"] == "showlab"
    assert [name.rsplit("/", 1)[1] for name in record["files"]] == ["config.json", "pytorch_model.bin"]
    back = torch.load(tmp_path / "back" / "pytorch_model.bin", weights_only=True)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_the_plan_lists_every_tensor_and_writes_nothing(shell, released, tmp_path):
    file, tensors = released
    done = shell("convert", file, "--to", tmp_path / "ours", "--plan")
    lines = done.out.splitlines()
    assert "encoder.conv_in.weight  F32 32x3x3x3  <-  encoder.conv_in.weight[0:32]" in lines
    assert "encoder.quant_conv.bias  F32 13  <-  encoder.quant_conv.bias[0:13] reversed" in lines
    assert "quantize.power_vals  ->  nowhere" in lines
    named = {line.split("  ")[0] for line in lines if not line.startswith("#")}
    assert named == tensors.keys()
    assert lines[-1].endswith("nothing was written")
    assert not (tmp_path / "ours").exists()
    record = json.loads(shell("convert", file, "--plan", "--json").out)
    assert record["tensors"].keys() | set(record["left out"]) == tensors.keys()
    assert record["bytes"] == sum(t.numel() * 4 for name, t in tensors.items() if name in record["tensors"])


def test_nothing_of_anybody_s_is_replaced(shell, released, tmp_path):
    file, _ = released
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "letter.txt").write_text("dear")
    assert "pass --force" in shell("convert", file, "--to", tmp_path / "ours").error
    assert (tmp_path / "ours" / "letter.txt").exists()
    assert shell("convert", file, "--to", tmp_path / "ours", "--force").code == 0
    assert not (tmp_path / "ours" / "letter.txt").exists()
    assert len(load_file(tmp_path / "ours" / "model.safetensors")) > 40
    assert "holds the weights to be converted" in shell("convert", file, "--to", file.parent, "--force").error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x.ckpt"], "--to DIR"), (["x.ckpt", "--to", "y"], "there is no x.ckpt"),
        (["x.ckpt", "--to", "y", "--words-only"], "belongs to --to-peer"),
        (["x", "--to", "y", "--to-peer"], "no folder of our weights"),
    ],
)  # fmt: skip
def test_wrong_words_are_one_line(shell, words, says):
    assert says in shell("convert", *words).error
