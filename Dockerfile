# One node: a grid member and its workers. `docker compose up --build` fetches packages and jar; on a machine without an
# image registry, scripts/base-image.sh and scripts/build-image.sh build the same image without network.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
COPY . /src
WORKDIR /src
# With a wheelhouse nothing is fetched. The versions and hashes are those of the lock either way.
RUN set -eu; wheels=.cache/image/wheelhouse; package=.; set --; \
    if [ -d "$wheels" ]; then set -- --no-index --find-links "$wheels"; package=$(echo "$wheels"/grid_inference-*.whl); fi; \
    python3 -m venv /opt/grid-inference; \
    /opt/grid-inference/bin/pip install --quiet --no-cache-dir "$@" --require-hashes -r requirements-runtime.lock; \
    /opt/grid-inference/bin/pip install --quiet --no-cache-dir "$@" --no-deps "$package"; \
    /opt/grid-inference/bin/pip uninstall --quiet --yes pip; \
    mkdir -p /var/lib/grid-inference; \
    if [ -d .cache/image/jars ]; then cp .cache/image/jars/*.jar /var/lib/grid-inference/; fi

FROM ${BASE_IMAGE}
COPY --from=build /opt/grid-inference /opt/grid-inference
COPY --from=build --chown=10001:10001 /var/lib/grid-inference /var/lib/grid-inference
# A user with a name, as Java wants one; and the folder of keys, of which a new volume takes its owner.
RUN echo "grid:x:10001:10001::/tmp:/bin/false" >> /etc/passwd && mkdir -p /keys/trusted && chown -R 10001:10001 /keys
ENV PATH=/opt/grid-inference/bin:$PATH GRID_INFERENCE_CACHE=/var/lib/grid-inference GRID_INFERENCE_KEYS=/keys \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001:10001
# A first member's life: it brings the jar where it is not there yet, makes Java's cache for quick starts, and shows that
# the image works; and the kernels are compiled, for processors as this one. From here on nothing is written but below
# /tmp, and keys.
RUN python -c "from grid_inference.grid.member import Member; Member.start().stop()" && \
    python -c "from grid_inference.wire import kernels; assert kernels.load()"
EXPOSE 5701 6701
# Ready, that is: the member is in its cluster, a worker speaks, every deployment runs here.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:6701/readyz', timeout=4)"]
ENTRYPOINT ["grid-inference"]
CMD ["node", "--host", "0.0.0.0", "--port", "5701", "--public", "--health-host", "0.0.0.0", "--health-port", "6701"]
