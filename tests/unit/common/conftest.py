from hypothesis import settings

# No time limit an example: what a busy machine takes is no property of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
