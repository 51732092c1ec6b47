# One image for backend, migrate, worker and flower: the same code, another command.
# Free of BuildKit-only syntax, so that Debian's engine (20.10, classic builder) builds it too.
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements/ requirements/
# The venv has no pip: pip belongs to the build, not to what runs. setuptools, which only the next
# step needs, is taken with its hash from the development lock.
RUN python -m venv --without-pip /opt/ultra \
 && sed -n '/^setuptools==/,/[^\\]$/p' requirements/dev.lock >build.lock \
 && pip --python /opt/ultra/bin/python install --no-cache-dir --require-hashes \
      -r requirements/runtime.lock -r build.lock
COPY . .
# Editable, so that config/ and migrations/ lie beside the code as they do in a clone.
RUN pip --python /opt/ultra/bin/python install --no-cache-dir --no-deps --no-build-isolation --editable . \
 && pip --python /opt/ultra/bin/python uninstall --yes setuptools \
 && /opt/ultra/bin/python -m compileall -q . \
 && rm -rf build.lock requirements *.egg-info

FROM python:3.11-slim
RUN groupadd --gid 10001 ultra \
 && useradd --uid 10001 --gid ultra --no-create-home --home-dir /app --shell /usr/sbin/nologin ultra
COPY --from=build /opt/ultra /opt/ultra
COPY --from=build /app /app
# ULTRA_HOST is the address the API is reached at. A bare `docker run -p` publishes to the world, so
# the image asks for keys; docker-compose.yml, which publishes on loopback, says so and needs none.
ENV PATH=/opt/ultra/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ULTRA_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["ultra", "serve", "--host", "0.0.0.0", "--port", "8000"]
