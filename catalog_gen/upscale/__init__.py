"""Small pictures made large: the network, its training, and its use in the job."""
