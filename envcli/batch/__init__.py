"""Many envs as one."""
