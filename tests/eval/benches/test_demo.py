"""The demo bench."""

import numpy as np
import pytest

from eval.benches import open_bench


def test_demo_needs_no_data() -> None:
    bench = open_bench("demo", limit=2)
    assert len(bench.subjects) == 2
    for subject in bench.subjects:
        assert subject.caption
        assert subject.mesh is not None
        assert np.ptp(np.asarray(subject.mesh().vertices), axis=0).max() == pytest.approx(1, abs=1e-5)
        assert all((image[..., 3] > 127).mean() > 0.03 for image in subject.views(2).images)
    assert [a.sha256 for a in bench.subjects] == [b.sha256 for b in open_bench("demo", limit=2).subjects]
