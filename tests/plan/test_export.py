# SPDX-License-Identifier: Apache-2.0
"""The whole program in other tools: linopy and an MPS file give the objective that the search proved."""

from __future__ import annotations

import highspy
import pytest

from plan.tiny_plans import two_hubs
from serai.plan.neutrality import Neutrality
from serai.plan.plan import plan

RULES = [
    (0.4, Neutrality(max_share={"bloc": 0.65, "transit": 0.75}, since=2)),
    (0.2, Neutrality(max_loss=0.75, since=2)),
    (0.0, Neutrality(survive="any one element", cover=0.5, since=1)),
]


@pytest.mark.parametrize(("risk", "rule"), RULES)
def test_linopy_and_mps_give_the_same_objective(tmp_path, risk, rule):
    """Three builders of one program: the cuts of the search, linopy's expressions, HiGHS reading a file."""
    pytest.importorskip("linopy")
    found = plan(two_hubs(), neutrality=rule, risk=risk, tail=0.4, futures=3, seed=3, gap=1e-6, seconds=300.0)
    model = found.to_linopy()
    model.solve("highs", io_api="direct", mip_rel_gap=1e-8, output_flag=False)
    assert model.objective.value == pytest.approx(found.value, rel=2e-6)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(found.to_mps(tmp_path / "plan.mps")))
    highs.setOptionValue("mip_rel_gap", 1e-8)
    highs.run()
    assert highs.getInfo().objective_function_value == pytest.approx(found.value, rel=2e-6)


def test_decisions_keep_their_names_in_the_file(tmp_path):
    found = plan(two_hubs(), futures=1, gap=1e-3, seconds=20.0)
    text = found.to_mps(tmp_path / "plan.mps").read_text(encoding="utf-8")
    assert "built_" in text
    assert "signed_New" in text
    assert "booked_West_" in text
