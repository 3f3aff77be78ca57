"""How well views fit a sentence: what it adds to their likelihood, by the model itself.

A model that fills in hidden tokens bounds the likelihood of all of them: hide a share at random, add up the cross
entropy of what was hidden, divide by the share. Asked with the sentence and without, the difference tells how much
the views owe to it, and ranks samples of one sentence (Li et al., "Your Diffusion Model is Secretly a Zero-Shot
Classifier", ICCV 2023; the pointwise mutual information of a sentence and its views).
"""

from __future__ import annotations

import torch
from torch import Tensor

from viewmask import text
from viewmask.denoising import code_loss
from viewmask.sequence import Layout, text_slice, words
from viewmask.transformer import Transformer

SHARES = (1.0, 0.9, 0.7, 0.5)  # hidden; with few, the views that are left tell more than any sentence


@torch.inference_mode()
def fit(model: Transformer, layout: Layout, captions: Tensor, tokens: Tensor) -> float:
    """Nats that a sentence adds to the likelihood of views; more is better, 0 is none.

    The same tokens are hidden each time, so that samples of one sentence can be compared.

    Args:
        model: in evaluation mode.
        layout: an arrangement with text in which all views are made.
        captions: word ids of the text field, int64 [1, layout.text].
        tokens: int64 [1, views, grid, grid].
    """
    asked = words(layout, captions)
    blank = asked.clone()
    blank[:, text_slice(layout)] = text.PAD
    random = torch.Generator().manual_seed(0)
    gained = []
    for share in SHARES:
        hidden = (torch.rand(tokens.shape, generator=random) < share).to(tokens.device)
        hidden |= ~hidden.any()  # a tiny grid may hide nothing
        costs = []
        for said in (blank, asked):
            prediction = model.predict(model(layout, said, tokens, hidden)[1][hidden])
            costs.append(float(code_loss(model.config, prediction.empty, prediction.codes, tokens[hidden])[0]))
        gained.append((costs[0] - costs[1]) * int(hidden.sum()) / share)
    return sum(gained) / len(gained)
