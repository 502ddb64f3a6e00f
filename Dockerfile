# An image that runs train.py, on a CPU or, with `docker run --gpus all`, on NVIDIA GPUs:
#
#   docker build -t fer_lightning .
#   mkdir -p data outputs
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/outputs:/app/outputs" fer_lightning experiment=quickstart
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/fer2013.csv:/fer2013.csv:ro" \
#       --entrypoint python fer_lightning -m fer_lightning.data.ingest /fer2013.csv
#
# There is no git inside, so that summary.json says "commit": null.
FROM python:3.11-slim

# Where torch comes from; empty: pip's default, whose Linux wheels carry CUDA and run on a CPU as well.
# With the address that pytorch.org gives for "pip, CPU" the image is several GB smaller.
ARG TORCH_INDEX=""
# The user who will own what is written to the mounted folders: --build-arg UID="$(id -u)"
ARG UID=1000

WORKDIR /app
COPY requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision; fi \
    && pip install --no-cache-dir -r requirements.txt
RUN useradd --uid "$UID" --create-home fer \
    && mkdir data outputs \
    && chown fer data outputs

COPY train.py LICENSE ./
COPY fer_lightning fer_lightning
COPY conf conf
USER fer
VOLUME ["/app/data", "/app/outputs"]
ENTRYPOINT ["python", "train.py"]
CMD ["--help"]
