"""The workers: Celery tasks over the job engine."""
