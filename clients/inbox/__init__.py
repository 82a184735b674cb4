"""What the server brings to a node beside requests of a run: releases for the operator, and parcels of partners."""
