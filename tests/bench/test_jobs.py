"""The bench of batches gives the command line what it reads."""

import typer

from bench import jobs
from viewmask_cli.batch import pictures, sentences
from viewmask_cli.main import app


def test_eight_pictures_and_eight_sentences(tmp_path):
    batches = jobs.inputs(tmp_path)
    assert list(batches) == ["8 pictures", "8 sentences"]
    generate = typer.main.get_command(app).commands["generate"]
    image, text = (generate.make_context("generate", words).params for words in batches.values())
    assert len(pictures(image["image"])) == 8
    assert len(set(sentences(text["text_file"]))) == 8
