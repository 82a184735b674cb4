"""The commands of `sealscore-node`, one file each; `sealscore.clients.cli` puts them together."""
