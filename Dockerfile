# The engine, the sinks and the command line in one image. Two stages: the first has the tools that
# install, the second only what runs, as a user of its own, on a file system it need not write to.
# Tags are pinned; for a digest as well: docker buildx imagetools inspect python:3.12.12-slim-bookworm

FROM python:3.12.12-slim-bookworm AS build
ARG UV_VERSION=0.13.9
ENV VIRTUAL_ENV=/opt/venv UV_LINK_MODE=copy UV_NO_CACHE=1
RUN python -m pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}" \
    && uv venv --quiet "$VIRTUAL_ENV"
WORKDIR /src
# What we depend on changes less often than what we write: a layer of its own.
COPY pyproject.toml constraints.txt ./
RUN uv pip install --quiet --constraint constraints.txt --requirement pyproject.toml
COPY README.md LICENSE ./
COPY api api/
COPY cypher cypher/
COPY gnn gnn/
COPY graph graph/
COPY ingest ingest/
COPY scorer scorer/
RUN uv pip install --quiet --constraint constraints.txt --no-deps .

FROM python:3.12.12-slim-bookworm
RUN groupadd --gid 10001 ringfence \
    && useradd --uid 10001 --gid ringfence --no-create-home --home-dir /data --shell /usr/sbin/nologin ringfence \
    && install --directory --owner ringfence --group ringfence /data
COPY --from=build /opt/venv /opt/venv
COPY deploy/image/start /usr/local/bin/ringfence-start
COPY deploy/image/answers /usr/local/bin/answers
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Compiled for this machine's processor; on one of another kind they compile again at the start.
RUN NUMBA_CACHE_DIR=/opt/kernels ringfence warm && chmod -R a+rX /opt/kernels
ENV NUMBA_CACHE_DIR=/tmp/kernels RINGFENCE_DATA_DIR=/data RINGFENCE_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: an engine that recovers, or stands by, must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 CMD ["answers", "/healthz"]
ENTRYPOINT ["ringfence-start"]
CMD ["serve"]
