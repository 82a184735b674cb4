"""From a stranger's table to a plan that runs: every key a guess that says why, for the researcher to correct."""
