"""Ways to do a workload that can be measured side by side: one file for each, chosen by name."""
