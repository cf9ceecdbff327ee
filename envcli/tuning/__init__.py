"""A bounded search for the best setting of a workload."""
