"""The review desk: a small web application where people decide which pictures may be used."""
