"""How the middleware reaches other processes: one Fast DDS profile for this host alone, one for the local network."""
