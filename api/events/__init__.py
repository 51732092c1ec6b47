"""Events of jobs, from Redis and Postgres to any number of watchers.

One reader a process follows the streams of all watched jobs. Each event is rendered once and kept in the
job's channel; a watcher is a position in it.
"""
