"""Judging what controllers say: a labelled set, the rules and a judge model measured against it, and a run judged."""
