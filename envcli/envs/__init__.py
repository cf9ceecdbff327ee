"""An env as its user sees it: TensorDicts outside, rows inside, one step or many."""
