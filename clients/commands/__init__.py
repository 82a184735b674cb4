"""The commands of `sealscore-node`, one file each; `clients.cli` puts them together."""
