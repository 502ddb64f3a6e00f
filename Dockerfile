# Image that runs train.py on NVIDIA GPUs (`docker run --gpus all`) or on a CPU, with the locked versions:
#
#   make docker                                       # several GB smaller: make docker TORCH_INDEX=URL
#   mkdir -p data outputs
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/outputs:/app/outputs" fer_lightning experiment=quickstart
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/fer2013.csv:/fer2013.csv:ro" \
#       --entrypoint python fer_lightning -m fer_lightning.data.ingest source=/fer2013.csv
#
# For a cluster, use containers/fer_lightning.def.
# Python 3.11.16; the digest pins the image. containers/fer_lightning.def has the same one.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# URL of the index for PyTorch; empty: PyTorch with CUDA. For a CPU, use the URL that pytorch.org gives for "pip, CPU".
# Those builds have other hashes: `make docker` writes them to requirements-torch-cpu.lock if that file is missing.
ARG TORCH_INDEX=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

# compile=true needs a C and a C++ compiler, for a GPU too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
# PyTorch has its own layer, because it is nine tenths of the image and changes least.
COPY requirements-torch*.lock ./
RUN if [ -z "$TORCH_INDEX" ]; then \
        pip install --no-deps --require-hashes -r requirements-torch.lock; \
    else \
        pip install --no-deps --require-hashes --index-url "$TORCH_INDEX" -r requirements-torch-cpu.lock; \
    fi
COPY requirements.lock ./
RUN pip install --no-deps --require-hashes -r requirements.lock && pip check

# Id of the user who owns the files written to the mounted folders.
ARG UID=1000
RUN useradd --uid "$UID" --create-home fer \
    && mkdir data outputs \
    && chown fer data outputs

COPY LICENSE train.py ./
COPY hydra_plugins hydra_plugins
COPY fer_lightning fer_lightning
COPY conf conf

# Commit in summary.json, because the image has no git; it ends in `-dirty` if there were uncommitted changes.
ARG COMMIT=""
ENV FER_COMMIT="$COMMIT"
LABEL org.opencontainers.image.title="fer_lightning" \
      org.opencontainers.image.description="Experiments in facial emotion recognition" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$COMMIT"

USER $UID
VOLUME ["/app/data", "/app/outputs"]
ENTRYPOINT ["python", "train.py"]
CMD ["--help"]
