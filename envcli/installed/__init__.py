"""What is installed here: the libraries envcli may use, what packages add to it, and of which version all are."""
