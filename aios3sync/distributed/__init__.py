"""One sync on several machines: cut into key ranges, compared in parallel, deleted after one decision.

A *shard* is a :class:`~aios3sync.sync.request.SyncRequest` with a key range. Shards hold their deletes until
the guards have accepted the sum of all plans.
"""
