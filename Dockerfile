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
ENV PATH=/opt/grid-inference/bin:$PATH GRID_INFERENCE_CACHE=/var/lib/grid-inference PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
# A first member's life: it brings the jar where it is not there yet, makes Java's cache for quick starts, and shows that
# the image works.
RUN python -c "from grid_inference.grid.member import Member; Member.start().stop()"
EXPOSE 5701
ENTRYPOINT ["grid-inference"]
CMD ["node", "--host", "0.0.0.0", "--port", "5701", "--public"]
