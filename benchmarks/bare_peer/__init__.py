"""What we measure against: the FastAPI + Celery chord with results in Redis that a tutorial gives.

It accepts a comparison, fans it out as a chord and answers polls from the result backend. It keeps no
record beyond the broker, so `FLUSHALL` or a killed worker loses work: the price of its simplicity, and the
reason why ours may not be slower while it keeps everything.
"""
