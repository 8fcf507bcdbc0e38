# SPDX-License-Identifier: Apache-2.0
"""The variables of a function, by AWS's names."""

from __future__ import annotations

import importlib

from greengrass_common import env_vars

VARIABLES = {
    "AUTH_TOKEN": "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "ENCODING_TYPE": "ENCODING_TYPE",
    "GGC_MAX_INTERFACE_VERSION": "GGC_MAX_INTERFACE_VERSION",
    "GG_DAEMON_PORT": "GG_DAEMON_PORT",
    "MY_FUNCTION_ARN": "MY_FUNCTION_ARN",
    "ROUTER_FUNCTION_ARN": "ROUTER_FUNCTION_ARN",
    "SECRETS_MANAGER_FUNCTION_ARN": "SECRETS_MANAGER_FUNCTION_ARN",
    "SHADOW_FUNCTION_ARN": "SHADOW_FUNCTION_ARN",
}


def test_each_name_is_a_variable_of_the_environment(monkeypatch):
    with monkeypatch.context() as patch:
        for variable in VARIABLES.values():
            patch.setenv(variable, f"value of {variable}")
        importlib.reload(env_vars)
        for name, variable in VARIABLES.items():
            assert f"value of {variable}" == getattr(env_vars, name)
            patch.delenv(variable)
        importlib.reload(env_vars)
        assert [None] * 8 == [getattr(env_vars, name) for name in VARIABLES]
    importlib.reload(env_vars)
