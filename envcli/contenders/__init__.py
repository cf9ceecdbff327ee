"""Ways to do a workload that can be measured side by side, one file each; chosen by name, imported by nobody."""
