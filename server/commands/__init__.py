"""The commands of `sealscore-server`, one file each; `server.cli` puts them together."""
