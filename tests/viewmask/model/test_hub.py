"""The hub, with a client that answers here: which files are fetched, and what is said when none are."""

import sys
from types import SimpleNamespace

import pytest

from viewmask.errors import ViewmaskError
from viewmask.model import hub


@pytest.fixture
def client(monkeypatch, tmp_path):
    """A stand-in of `huggingface_hub`: `asked` holds what it was asked for."""
    asked = {}

    def snapshot_download(repository, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(tmp_path / "snapshot")

    def hf_hub_download(repository, file, revision):
        asked.update(repository=repository, file=file, revision=revision)
        return str(tmp_path / file)

    stub = SimpleNamespace(files=[], snapshot_download=snapshot_download, hf_hub_download=hf_hub_download, asked=asked)
    stub.HfApi = lambda: SimpleNamespace(list_repo_files=lambda repository, revision: stub.files)
    monkeypatch.setitem(sys.modules, "huggingface_hub", stub)
    monkeypatch.setattr(hub, "find_spec", lambda name: True)
    monkeypatch.chdir(tmp_path)
    return stub


def test_a_path_is_a_path(client, tmp_path):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert hub.place("owner/name") == hub.Path("owner/name")
    assert client.asked == {}


def test_safetensors_come_before_pickles(client, tmp_path):
    client.files = ["config.json", "pytorch_model.bin", "model.safetensors", "original/x.safetensors", "code.py"]
    assert hub.place("owner/name@v2") == tmp_path / "snapshot"
    assert client.asked == {"repository": "owner/name", "revision": "v2", "patterns": ["*.json", "model.safetensors"]}
    client.files = ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "model.safetensors.index.json"]
    hub.place("owner/name")
    assert client.asked["patterns"][1:] == client.files[:2]
    client.files = ["config.json", "pytorch_model.bin"]
    hub.place("owner/name")
    assert client.asked["patterns"] == ["*.json", "pytorch_model.bin"]


def test_one_file_of_several_is_named(client, tmp_path):
    client.files = ["imagenet_256_L.ckpt", "imagenet_128_L.ckpt"]
    with pytest.raises(ViewmaskError, match="several models: name one, such as owner/name/imagenet_256_L"):
        hub.place("owner/name")
    assert hub.place("owner/name/imagenet_256_L.ckpt") == tmp_path / "imagenet_256_L.ckpt"
    assert client.asked["file"] == "imagenet_256_L.ckpt"
    client.files = ["README.md"]
    with pytest.raises(ViewmaskError, match="no weights at its top"):
        hub.place("owner/name")


def test_what_the_hub_says_is_one_line(client):
    def refuse():
        raise ConnectionError("no route\nto the hub")

    client.HfApi = refuse
    with pytest.raises(ViewmaskError, match="cannot fetch owner/name from the hub: no route to the hub; copy it"):
        hub.place("owner/name")


def test_without_its_client_nothing_is_fetched(client, monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(ViewmaskError, match="pip install huggingface_hub"):
        hub.place("owner/name")


@pytest.mark.parametrize("name", ["weights", "./owner/name", "/owner/name", "~/name", "owner/name with spaces"])
def test_what_is_no_name_is_a_missing_path(client, name):
    with pytest.raises(ViewmaskError, match="name a file, a folder, or weights of the hub"):
        hub.place(name)
