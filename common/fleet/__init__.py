"""Models in containers: what both planes and the lifecycle workers know of them. docs/decisions/0011-fleet.md."""
