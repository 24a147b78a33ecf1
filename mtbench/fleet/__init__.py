"""The hosts of a cluster and their queues."""
