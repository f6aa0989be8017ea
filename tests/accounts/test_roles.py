# SPDX-License-Identifier: Apache-2.0
"""The table of roles grants what it lists and nothing else."""

import pytest

from serai.accounts import bundled, read_roles
from serai.errors import AccessRefused, CaseError

# the permissions of each role, written down a second time: a change of the table must be meant
EXPECTED = {
    "viewer": {"view"},
    "operator": {"view", "handle-alarms", "command", "write-log"},
    "engineer": {"view", "handle-alarms", "configure-alarms", "write-log"},
    "security administrator": {"view", "manage-accounts", "read-audit"},
    "security auditor": {"view", "read-audit"},
}


def test_bundled_table_is_the_one_that_was_meant():
    assert {role: set(bundled().allowed([role])) for role in bundled()} == EXPECTED


def test_what_no_role_grants_is_refused():
    assert bundled().allowed([]) == frozenset()
    assert bundled().allowed(["root", "OPERATOR", "operator "]) == frozenset()


def test_roles_add_up():
    assert bundled().allowed(["operator", "engineer"]) == EXPECTED["operator"] | EXPECTED["engineer"]


def test_checked_roles_stand_in_the_table_s_order_once():
    assert bundled().check(["engineer", "viewer", "engineer"]) == ("viewer", "engineer")


@pytest.mark.parametrize(
    ("roles", "kind"),
    [
        (["operator", "superuser"], "unknown-role"),
        ([], "no-role"),
        (["security administrator", "security auditor"], "roles-apart"),
        (["operator", "viewer", "security administrator"], "roles-apart"),
    ],
)
def test_refused_roles(roles, kind):
    with pytest.raises(AccessRefused) as refused:
        bundled().check(roles)
    assert refused.value.kind == kind


def test_a_table_with_mistakes_names_them_all(tmp_path):
    path = tmp_path / "roles.toml"
    path.write_text('[permissions]\nview = "see"\n[roles.viewer]\npermissions = ["veiw"]\n[[apart]]\nroles = ["a"]\n')
    with pytest.raises(CaseError) as error:
        read_roles(path)
    assert [m.text for m in error.value.mistakes] == [
        "there is no permission 'veiw'",
        "there is no role 'a'",
        "'security administrator' is missing",
    ]
