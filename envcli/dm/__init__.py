"""DeepMind's side of things: dm_env's specs, the tasks of the Control suite, and a camera on their physics."""
