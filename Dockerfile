# An image that runs train.py, on NVIDIA GPUs (`docker run --gpus all`) and on a CPU, with the locked versions:
#
#   make docker                                       # or, several GB smaller: make docker TORCH_INDEX=address
#   mkdir -p data outputs
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/outputs:/app/outputs" fer_lightning experiment=quickstart
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/fer2013.csv:/fer2013.csv:ro" \
#       --entrypoint python fer_lightning -m fer_lightning.data.ingest /fer2013.csv
#
# For a cluster there is containers/fer_lightning.def.
FROM python:3.11-slim-bookworm

# Empty: PyTorch with CUDA, to the hash. For a CPU alone: the address that pytorch.org gives for "pip, CPU"; its builds
# have the same versions and other hashes.
ARG TORCH_INDEX=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

WORKDIR /app
# PyTorch is nine tenths of the image and changes least: a layer of its own.
COPY requirements-torch.lock ./
RUN if [ -z "$TORCH_INDEX" ]; then \
        pip install --no-deps --require-hashes -r requirements-torch.lock; \
    else \
        grep -oE '^torch(vision)?==[^ ]+' requirements-torch.lock > torch.txt && \
        pip install --no-deps --index-url "$TORCH_INDEX" -r torch.txt; \
    fi
COPY requirements.lock ./
RUN pip install --no-deps --require-hashes -r requirements.lock && pip check

# The user who will own what is written to the mounted folders.
ARG UID=1000
RUN useradd --uid "$UID" --create-home fer \
    && mkdir data outputs \
    && chown fer data outputs

COPY LICENSE train.py ./
COPY hydra_plugins hydra_plugins
COPY fer_lightning fer_lightning
COPY conf conf

# What summary.json names as the commit, there being no git inside; `-dirty` at its end: with changes.
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
