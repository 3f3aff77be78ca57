"""Shards: what is written piece by piece is what the library reads, and the other way round."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from viewmask.errors import ViewmaskError
from viewmask.learning import shards
from viewmask.learning.shards import Entry

TENSORS = {
    "b": torch.arange(7, dtype=torch.bfloat16), "a": torch.randn(5, 3), "scalar": torch.tensor(2.5),
    "i": torch.arange(6).view(2, 3), "t": torch.tensor([True, False, True]), "none": torch.zeros(0, 4),
}  # fmt: skip


def entries(tensors):
    return {name: Entry(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


def pieces(name):
    """A tensor in pieces of any size."""
    tensor = TENSORS[name].flatten()
    sizes = random.Random(name)
    while len(tensor):
        count = sizes.randint(1, len(tensor))
        yield tensor[:count]
        tensor = tensor[count:]


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name]), name


def test_the_library_reads_what_was_written_in_pieces(tmp_path):
    counts = []
    shards.write(tmp_path / "x.safetensors", entries(TENSORS), pieces, counts.append)
    same(load_file(tmp_path / "x.safetensors"), TENSORS)
    assert sum(counts) == sum(entry.size for entry in entries(TENSORS).values())
    header = json.loads((tmp_path / "x.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")
    for name, tensor in TENSORS.items():  # every number at a multiple of its size
        assert header[name]["data_offsets"][0] % tensor.element_size() == 0


def test_rows_are_read_as_the_library_wrote_them(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors")
    found = shards.find(tmp_path)
    assert found.entries == entries(TENSORS)
    same({name: found.whole(name) for name in TENSORS}, TENSORS)
    assert torch.equal(found.read("a", 1, 4), TENSORS["a"][1:4])
    assert found.read("none", 0, 0).shape == (0, 4)
    assert str(found.entries["a"]) == "F32 5x3"
    assert str(found.entries["scalar"]) == "F32 scalar"


def test_several_files_are_one(tmp_path):
    for number, names in enumerate((["a", "b"], ["i", "scalar", "t", "none"])):
        save_file({name: TENSORS[name] for name in names}, tmp_path / f"{number}.safetensors")
    where = {name: "0.safetensors" if name in "ab" else "1.safetensors" for name in TENSORS}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    found = shards.find(tmp_path)
    same({name: found.whole(name) for name in TENSORS}, TENSORS)
    assert {file.name for file in found.files} == {index.name, "0.safetensors", "1.safetensors"}
    index.write_text(json.dumps({"weight_map": where | {"gone": "0.safetensors"}}))
    with pytest.raises(ViewmaskError, match="promises gone in 0"):
        shards.find(tmp_path)
    index.write_text("[]")
    with pytest.raises(ViewmaskError, match="is damaged"):
        shards.find(tmp_path)


def test_pickles_are_read_in_either_nesting(tmp_path):
    for content in (TENSORS, {"state_dict": TENSORS, "epoch": 3}):
        torch.save(content, tmp_path / "x.ckpt")
        found = shards.find(tmp_path / "x.ckpt")
        same({name: found.whole(name) for name in TENSORS}, TENSORS)
        assert torch.equal(found.read("a", 1, 4), TENSORS["a"][1:4])


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": 1}}, {}, torch.zeros(3)])
def test_pickles_without_named_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ViewmaskError, match="no tensors by name"):
        shards.find(tmp_path / "x.pt")


def test_places_without_one_model_are_refused(tmp_path):
    with pytest.raises(ViewmaskError, match="holds no weights"):
        shards.find(tmp_path)
    (tmp_path / "readme.txt").write_text("words")
    with pytest.raises(ViewmaskError, match="no file of weights"):
        shards.find(tmp_path / "readme.txt")
    for name in "ab":
        save_file(TENSORS, tmp_path / f"{name}.safetensors")
    with pytest.raises(ViewmaskError, match="2 files of weights"):
        shards.find(tmp_path)


def test_pieces_that_do_not_add_up_are_refused(tmp_path):
    with pytest.raises(ViewmaskError, match="should have 60 bytes and got 48"):
        shards.write(tmp_path / "x", entries({"a": TENSORS["a"]}), lambda name: [TENSORS["a"][:4]])
    with pytest.raises(ViewmaskError, match="a piece of it"):
        shards.write(tmp_path / "x", entries({"a": TENSORS["a"]}), lambda name: [TENSORS["a"].double()])


def test_files_are_no_larger_than_asked_unless_a_tensor_is():
    sizes = [30, 30, 50, 120, 10, 90]
    files = shards.split({str(i): Entry((size,), torch.uint8) for i, size in enumerate(sizes)}, 100)
    assert [list(file) for file in files] == [["0", "1"], ["2"], ["3"], ["4", "5"]]
