"""The contract that every party approves by its hash: its keys, its bounds, and what is wrong with one."""
