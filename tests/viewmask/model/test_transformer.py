"""The transformer: shapes, masks, positions, and the paper-sized configuration."""

import math
from dataclasses import replace

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.model import sequence
from viewmask.model.transformer import PAPER, Kept, RMSNorm, Transformer, TransformerConfig, angles, attend

TINY = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=64, grid=2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Transformer(TINY).eval()


def inputs(layout, grid=2, batch=2):
    random = torch.Generator().manual_seed(0)
    captions = torch.randint(8, 64, (batch, layout.text), generator=random)
    tokens = torch.randint(0, 2**18, (batch, layout.views, grid, grid), generator=random)
    masked = torch.rand(tokens.shape, generator=random) < 0.5
    return sequence.words(layout, captions), tokens, masked


@pytest.mark.parametrize(
    "layout", [sequence.t2i(), sequence.mmu(), sequence.i2mv(), sequence.t2mv(sequence.azimuths(8))]
)
def test_shapes(model, layout):
    words, tokens, masked = inputs(layout)
    of_words, of_tokens = model(layout, words, tokens, masked)
    assert of_words.shape == (2, layout.words, 64)
    assert of_tokens.shape == (*tokens.shape, 64)
    prediction = model.predict(of_tokens[masked])
    assert prediction.codes.shape == (int(masked.sum()), 2, 512)
    assert prediction.empty.shape == (int(masked.sum()),)


def test_masked_tokens_are_not_seen(model):
    layout = sequence.i2mv()
    words, tokens, masked = inputs(layout)
    other = torch.where(masked, 7, tokens)
    torch.testing.assert_close(model(layout, words, tokens, masked), model(layout, words, other, masked))


def test_every_known_element_is_seen_by_every_other(model):
    layout = sequence.t2mv()
    words, tokens, _ = inputs(layout, batch=1)
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    before = model(layout, words, tokens, nothing)[1]
    tokens[0, 3, 1, 1] ^= 1
    assert ((model(layout, words, tokens, nothing)[1] - before).abs().amax(dim=-1) > 0).all()
    words[0, 1] = 20
    assert (
        model(layout, words, tokens, nothing)[0] != model(layout, inputs(layout, batch=1)[0], tokens, nothing)[0]
    ).any()


def test_a_full_orbit_comes_back_to_itself():
    near, far = sequence.i2mv((0.0, 0.0)), sequence.i2mv((0.0, 360.0))
    first, second = (angles(TINY, sequence.places(layout, 2)) for layout in (near, far))
    torch.testing.assert_close(first.cos(), second.cos(), atol=1e-4, rtol=0)
    torch.testing.assert_close(first.sin(), second.sin(), atol=1e-4, rtol=0)


def test_plain_table_and_plain_positions():
    config = TransformerConfig(width=32, layers=1, heads=2, hidden=32, words=64, grid=2, bits=6, codes="table",
                               positions="sequence", query_norm=False)  # fmt: skip
    model = Transformer(config).eval()
    layout = sequence.i2mv()
    words, tokens, masked = inputs(layout)
    prediction = model.predict(model(layout, words, tokens % 64, masked)[1][masked])
    assert prediction.empty is None
    assert prediction.codes.shape[1:] == (1, 64)


def test_the_paper_s_size():
    with torch.device("meta"):
        model = Transformer(PAPER)
    # LLaDA-8B has 8,015,581,184 parameters; 2^18 untied codes add 2 x 2^18 x 4096, the mask one row.
    assert model.parameters_count() == 8_015_581_184 + 2 * 2**18 * 4096 + 4096
    assert "blocks.31.ff_out.weight" in model.state_dict()


def test_a_small_model_has_no_rows_for_codes():
    assert Transformer(TransformerConfig()).parameters_count() < 5_000_000


# -- the network against plain functions of its weights ---------------------------------------------------------

AXIAL = TransformerConfig(width=96, layers=2, heads=2, hidden=40, words=64, grid=3, bits=6, groups=3, theta=50.0)
TABLE = replace(AXIAL, bits=5, groups=1, codes="table", positions="sequence", query_norm=False)
THREE = sequence.Layout(sequence.i2mv().task, (0.0, 100.0, 200.0), given=1, text=4)


def shaken(config):
    """A model in which nothing is 0 or 1."""
    torch.manual_seed(2)
    model = Transformer(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def plain_angles(config, where):
    """Rotary angles, pair by pair."""
    pairs = config.width // config.heads // 2
    eighth = pairs // 8
    share = (pairs - 2 * eighth) // 2
    rows = []
    for place in range(len(where.index)):
        index, row, column = (int(values[place]) for values in (where.index, where.row, where.column))
        turn = [config.theta ** (-k / eighth) * (0 if where.in_view[place] else index) for k in range(eighth)]
        turn += [math.radians(float(where.azimuth[place])) * (k + 1) for k in range(eighth)]
        turn += [row * config.theta ** (-k / share) for k in range(share)]
        rest = pairs - 2 * eighth - share
        turn += [column * config.theta ** (-k / rest) for k in range(rest)]
        if config.positions == "sequence":
            turn = [index * config.theta ** (-k / pairs) for k in range(pairs)]
        rows.append(turn)
    return torch.tensor(rows)


def plain_norm(x, weight):
    return weight * x / ((x**2).mean(-1, keepdim=True) + 1e-5).sqrt()


def plain_forward(model, layout, words, tokens, masked):
    """The residual stream after every block, sequence by sequence, head by head."""
    config, state = model.config, model.state_dict()
    where = sequence.places(layout, config.grid)
    angle = plain_angles(config, where)
    streams = []
    for line in range(len(words)):
        known, hidden, rows = tokens[line].flatten().tolist(), masked[line].flatten().tolist(), []
        said = iter(words[line].tolist())
        for place, visual in enumerate(where.visual.tolist()):
            if visual:
                code, unseen = known.pop(0), hidden.pop(0)
                if config.codes == "table":
                    row = state["code.weight"][code]
                else:
                    row = state["code.weight"] @ torch.tensor([2.0 * (code >> k & 1) - 1 for k in range(config.bits)])
                    row = state["void"] if code == 0 else row
                row = state["mask"] if unseen else row
            else:
                row = state["word.weight"][next(said)]
            if config.positions == "axial":
                row = (
                    row + state["row.weight"][int(where.row[place])] + state["column.weight"][int(where.column[place])]
                )
                if where.in_view[place]:
                    turn = math.radians(float(where.azimuth[place]))
                    circle = [math.cos(turn), math.sin(turn), math.cos(2 * turn), math.sin(2 * turn)]
                    row = row + state["azimuth.weight"] @ torch.tensor(circle)
            rows.append(row)
        x, stream = torch.stack(rows), []
        stream.append(x)
        for layer in range(config.layers):
            own = {name.split(".", 2)[2]: value for name, value in state.items() if name.startswith(f"blocks.{layer}.")}
            y, heads, size = plain_norm(x, own["attn_norm.weight"]), [], config.width // config.heads
            for head in range(config.heads):
                here = slice(head * size, (head + 1) * size)
                q, k, v = (y @ own[f"{name}_proj.weight"][here].T for name in "qkv")
                if config.query_norm:
                    q, k = plain_norm(q, own["q_norm.weight"]), plain_norm(k, own["k_norm.weight"])
                q, k = (
                    torch.view_as_real(torch.complex(*z.chunk(2, 1)) * torch.polar(torch.ones_like(angle), angle))
                    .movedim(-1, 1).flatten(1) for z in (q, k)
                )  # fmt: skip
                heads.append((q @ k.T / math.sqrt(size)).softmax(-1) @ v)
            x = x + torch.cat(heads, 1) @ own["attn_out.weight"].T
            y = plain_norm(x, own["ff_norm.weight"])
            gate = y @ own["ff_proj.weight"].T
            x = x + (gate * gate.sigmoid() * (y @ own["up_proj.weight"].T)) @ own["ff_out.weight"].T
            stream.append(x)
        streams.append(torch.stack(stream))
    return torch.stack(streams, 1)


@pytest.mark.parametrize("config", [AXIAL, TABLE])
def test_the_network_against_plain_functions(config):
    model = shaken(config)
    words, tokens, masked = inputs(THREE, grid=3)
    tokens = tokens % 2**config.bits
    tokens[0, 1, 0], masked[0, 1, 0] = 0, False  # some empty ones are seen
    with torch.inference_mode():
        stream = torch.stack(list(model.stream(THREE, words, tokens, masked)))
        expected = plain_forward(model, THREE, words, tokens, masked)
        torch.testing.assert_close(stream, expected, atol=1e-4, rtol=1e-4)
        of_words, of_tokens = model(THREE, words, tokens, masked)
        last = plain_norm(expected[-1], model.norm.weight)
        visual = sequence.places(THREE, 3).visual
        torch.testing.assert_close(of_words, last[:, ~visual], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(of_tokens.flatten(1, 3), last[:, visual], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [AXIAL, TABLE])
def test_features_of_some_tokens_are_those_of_all(config):
    model = shaken(config)
    words, tokens, masked = inputs(THREE, grid=3)
    tokens = tokens % 2**config.bits
    places = torch.tensor([[0, 26, 5, 13], [9, 3, 4, 20]])[: len(words)]
    with torch.inference_mode():
        every = model(THREE, words, tokens, masked)[1].flatten(1, 3)
        some = model.features(THREE, words, tokens, masked, places)
        expected = torch.stack([row[place] for row, place in zip(every, places, strict=True)])
    torch.testing.assert_close(some, expected)


@pytest.mark.parametrize("config", [AXIAL, TABLE])
def test_a_pass_over_some_positions_sees_the_others_as_they_were(config):
    # One block: keys and values do not depend on what stands elsewhere, so those kept are right, but for what changed.
    model = shaken(replace(config, layers=1))
    words, tokens, masked = inputs(THREE, grid=3)
    tokens = tokens % 2**config.bits
    places, also, rest = (torch.tensor([each] * len(words)) for each in ([4, 20], [7, 1], [2]))
    changed = tokens.clone()
    changed.flatten(1).scatter_(1, torch.cat([places, also], 1), 5)
    with torch.inference_mode():
        memory = [Kept()]
        model.features(THREE, words, tokens, masked, places, memory)
        some = model.features(THREE, words, changed, masked, places, memory, also)
        torch.testing.assert_close(some, model.features(THREE, words, changed, masked, places))
        changed.flatten(1).scatter_(1, rest, 9)  # not computed: nothing shows it
        again = model.features(THREE, words, changed, masked & False, places, memory, also)
        before = model.features(THREE, words, changed.flatten(1).scatter(1, rest, 3).view_as(tokens), masked & False,
                                places, memory, also)  # fmt: skip
        torch.testing.assert_close(again, before, rtol=0, atol=0)


def test_weights_laid_side_by_side_change_nothing():
    model, plain = shaken(AXIAL), shaken(AXIAL)
    words, tokens, masked = inputs(THREE, grid=3)
    cats, cat = [], torch.cat

    def outputs(model):
        cats.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "cat", lambda parts, *rest, **more: cats.append(parts) or cat(parts, *rest, **more))
            result = model(THREE, words, tokens, masked)[1]
        return result, sum(isinstance(part, torch.nn.Parameter) for parts in cats for part in parts)

    assert model.join() is model
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), plain.state_dict().values(), strict=True))
    with torch.inference_mode():
        (joined, copies), (expected, more) = outputs(model), outputs(plain)
        torch.testing.assert_close(joined, expected)
        assert (copies, more) == (0, 5 * AXIAL.layers)
        model.load_state_dict({name: 2 * tensor for name, tensor in plain.state_dict().items()})
        plain.load_state_dict(model.state_dict())
        torch.testing.assert_close(outputs(model)[0], outputs(plain)[0])  # never the old numbers
        assert outputs(model)[1] == 0
    model.double().float()  # moved
    with torch.no_grad():
        torch.testing.assert_close(outputs(model)[0], outputs(plain)[0])
        assert outputs(model)[1] == 5 * AXIAL.layers
    for each in (model.join(), plain):
        outputs(each)[0].square().sum().backward()
    gradients = [model.blocks[0].v_proj.weight.grad, plain.blocks[0].v_proj.weight.grad]
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(*gradients)


def test_predictions_are_one_logit_and_groups_of_bits():
    model = shaken(AXIAL)
    features = torch.randn(5, 96)
    said = model.predict(features)
    torch.testing.assert_close(said.empty, features @ model.empty_head.weight[0] + model.empty_head.bias)
    for group in range(3):
        torch.testing.assert_close(said.codes[:, group], features @ model.code_head.weight[4 * group :][:4].T)
    table = shaken(TABLE)
    torch.testing.assert_close(table.predict(features).codes[:, 0], features @ table.code_head.weight.T)


def test_a_new_model_begins_small():
    model = Transformer(replace(TINY, layers=8, hidden=256))
    for name, parameter in model.named_parameters():
        out = name.endswith(("attn_out.weight", "ff_out.weight"))
        if parameter.numel() > 2000:
            assert float(parameter.detach().std()) == pytest.approx(0.005 if out else 0.02, rel=0.1), name
    for row in (model.mask, model.void):
        assert 0.01 < float(row.detach().std()) < 0.03
    assert (model.norm.weight == 1).all()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.RMSNorm)]
    assert len(norms) == 8 * 4 + 1
    assert {norm.eps for norm in norms} == {1e-5}


def test_sizes_that_are_not_named():
    assert TransformerConfig() == TransformerConfig(
        192, 6, 3, 512, 4096, 8, 18, "bits", 2, "axial", 100.0, True
    )  # fmt: skip
    assert replace(PAPER, grid=1) == TransformerConfig(
        4096, 32, 32, 12288, 126464, 1, 18, "table", 2, "sequence", 500_000.0, False
    )
    assert PAPER.grid == 16


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"codes": "rows"}, "codes=rows"), ({"positions": "polar"}, "positions=polar"), ({"width": 72}, "multiple"),
        ({"heads": 5}, "multiple"), ({"groups": 4}, "multiple"), ({"width": 65, "heads": 1}, "multiple"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_divide_are_refused(changes, reason):
    with pytest.raises(ViewmaskError, match=reason):
        replace(TINY, **changes)


def test_places_are_made_once_for_each_layout():
    model = Transformer(TINY)
    cpu = torch.device("cpu")
    first, second = model.places(sequence.t2i(), cpu), model.places(THREE, cpu)
    assert model.places(sequence.t2i(), cpu) is first
    assert len(first.index) != len(second.index)
    assert first.visual.device == cpu
    assert model.places(THREE, torch.device("meta")).visual.device.type == "meta"


def test_everything_is_made_where_its_inputs_are():
    models = [Transformer(TINY), Transformer(replace(TINY, bits=5, groups=1, codes="table", positions="sequence"))]
    words, tokens, masked = inputs(THREE)
    with torch.device("meta"):  # where tensors go that name no device
        for model in models:
            of_words, of_tokens = model(THREE, words, tokens % 32, masked)
            assert of_words.device.type == of_tokens.device.type == "cpu"


def test_attention_in_bfloat16_on_a_cpu_is_the_fused_kernels():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 50, 16, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    plain, fused = attend(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert plain.dtype == torch.bfloat16
    torch.testing.assert_close(plain, fused, atol=0.02, rtol=0.02)
    gradients = [torch.autograd.grad(each.float().square().sum(), (q, k, v)) for each in (plain, fused)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=0.05, rtol=0.05)


def test_norms_keep_the_precision_of_what_they_are_given(recwarn):
    x = torch.randn(3, 16)
    norm, theirs = RMSNorm(16, eps=1e-5), torch.nn.RMSNorm(16, eps=1e-5)
    assert torch.equal(norm(x), theirs(x))
    assert norm(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(norm(x.bfloat16()).float(), theirs(x), atol=0.02, rtol=0.02)
    assert not recwarn.list


def test_checkpointing_changes_no_gradient():
    config = TransformerConfig(width=32, layers=2, heads=2, hidden=48, words=32, grid=2)
    torch.manual_seed(0)
    model, layout = Transformer(config).train(), sequence.i2mv()
    tokens = torch.randint(0, 2**18, (2, 4, 2, 2))
    words = sequence.words(layout, torch.zeros(2, layout.text, dtype=torch.long))
    seen = []
    for checkpointing in (False, True):
        model.checkpointing = checkpointing
        model.zero_grad()
        kept: list[int] = []

        def keep(tensor, kept=kept):
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(layout, words, tokens, tokens % 2 == 0)[1].square().mean()
        loss.backward()
        seen.append(([p.grad.clone() for p in model.blocks.parameters()], sum(kept)))
    for one, two in zip(seen[0][0], seen[1][0], strict=True):
        torch.testing.assert_close(one, two)
    assert seen[1][1] < 0.7 * seen[0][1]  # and less is kept for the way back
