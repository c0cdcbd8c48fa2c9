# One image for every role, each typed as in a shell:
#   docker run IMAGE                        the API on port 8000
#   docker run IMAGE python -m consumer     a consumer
#   docker run IMAGE sluice migrate         the newest schema
# docs/deployment.md has the rest. BASE_IMAGE is any Debian with Python 3.11 or newer and its venv module.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS builder
# pip's settings and a private certificate authority come as build secrets, so that no layer holds them:
#   docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf --secret id=ca.pem,src=/path/ca.pem .
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --no-log-init --no-create-home --home-dir /app \
        --shell /usr/sbin/nologin sluice \
    && python3 -m venv tools \
    && python3 -m venv --without-pip /opt/sluice
# Dependencies before code: a change of code leaves this layer as it is.
COPY requirements requirements
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    if [ -f /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi; \
    tools/bin/pip install --only-binary :all: --require-hashes --requirement requirements/build.txt \
    && tools/bin/pip --python /opt/sluice/bin/python install \
        --only-binary :all: --require-hashes --requirement requirements/runtime.txt
# .dockerignore lets in only what the wheel is made of.
COPY . .
RUN tools/bin/pip wheel --no-build-isolation --no-deps --no-index --wheel-dir dist . \
    && tools/bin/pip --python /opt/sluice/bin/python install --no-deps --no-index dist/*.whl \
    && cp deploy/healthcheck.py /opt/sluice/healthcheck.py \
    && cp -r deploy/names /opt/sluice/names \
    && echo /opt/sluice/names > "$(echo /opt/sluice/lib/python3.*/site-packages)/sluice-names.pth"

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="A durable task service: HTTP in, PostgreSQL as the truth, Redis for speed" \
      org.opencontainers.image.licenses="MIT"
# Files only, no command: what the build mounts leaves no trace here.
COPY --from=builder /etc/group /etc/passwd /etc/
COPY --from=builder /opt/sluice /opt/sluice
# PYTHONSAFEPATH: nothing in the current directory may take the name of a module of ours.
ENV PATH=/opt/sluice/bin:$PATH \
    API_HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
# Handler modules go here (mounted, or copied by an image made from this one) and are named by HANDLERS.
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "/opt/sluice/healthcheck.py"]
CMD ["sluice", "api"]
