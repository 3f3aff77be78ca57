# viewmask in a container: on the CPU (the default) or on CUDA GPUs.
#
#   docker build --target cpu --tag viewmask .
#   docker run --rm --volume "$PWD:/results" viewmask generate --text "a red chair" --mesh
#
#   docker build --target cuda --tag viewmask:cuda .
#   docker run --rm --gpus all --volume "$PWD:/results" viewmask:cuda generate --text "a red chair" --mesh
#
# --user "$(id -u):$(id -g)" lets the results belong to you.

FROM python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 XDG_STATE_HOME=/tmp/state
# What torch and ray casting load beside Python's own libraries.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 viewmask
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE CREDITS.md ./
COPY viewmask viewmask
COPY render render
COPY recon recon
COPY eval eval
COPY viewmask_cli viewmask_cli

FROM base AS cuda
# The index of your pip decides the build: as it comes, torch for Linux carries CUDA.
RUN pip install --constraint constraints.txt torch==2.13.0 \
    && pip install --constraint constraints.txt torch==2.13.0 ".[video,cutout]"
USER 1000
WORKDIR /results
ENTRYPOINT ["viewmask"]
CMD ["--help"]

FROM base AS cpu
# A build of torch without CUDA is a quarter of the size: name an index that has it.
ARG TORCH_INDEX=""
RUN pip install --constraint constraints.txt torch==2.13.0 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    && pip install --constraint constraints.txt torch==2.13.0 ".[video,cutout]"
USER 1000
WORKDIR /results
ENTRYPOINT ["viewmask"]
CMD ["--help"]
