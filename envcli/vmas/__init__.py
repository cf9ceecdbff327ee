"""What is VMAS's: its scenarios, where its random numbers come from, and its agents as specs and tensors."""
