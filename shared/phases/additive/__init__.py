"""The phases of `training = "auto"`."""
