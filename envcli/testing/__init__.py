"""The contract that every env keeps, and toy envs to test against."""

from envcli.testing.contract import EnvContract, Finding, check_env, check_env_specs

__all__ = ["EnvContract", "Finding", "check_env", "check_env_specs"]
