"""What is PettingZoo's: its tasks, how its agents take turns, and their groups as specs and rows."""
