"""The commands of `sealscore-server`, one file each; `sealscore.server.cli` puts them together."""
