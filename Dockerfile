# The image: `docker run --gpus all -v "$PWD/slides:/in" -v "$PWD/out:/out" renaltool`.
# Two stages: the first has pip, the second only what runs. What changes rarely comes first, so that a change of
# the code rebuilds the last layers alone.

FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1
RUN python3.11 -m venv /opt/venv
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# Only what gloinone needs; gloinone itself is found through the .pth file, and so is not part of this large layer.
RUN /opt/venv/bin/python -c "import tomllib; \
print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
 && /opt/venv/bin/pip install --constraint constraints.txt --requirement requirements.txt \
 && /opt/venv/bin/pip uninstall --yes pip \
 && echo /opt/gloinone > /opt/venv/lib/python3.11/site-packages/gloinone.pth \
 && printf '%s\n' '#!/opt/venv/bin/python' 'from gloinone.cli.main import main' 'main()' > /opt/venv/bin/gloinone \
 && chmod 755 /opt/venv/bin/gloinone
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib


FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -m 1777 /in /out
COPY --from=build /opt/venv /opt/venv

# Nothing is written outside /out and /tmp, whatever the user; no bytecode, caches or settings of the caller's home.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    MPLCONFIGDIR=/tmp/.cache/matplotlib \
    TORCH_HOME=/tmp/.cache/torch \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

COPY LICENSE README.md /opt/gloinone/
COPY models /opt/gloinone/models
COPY entrypoint.sh /usr/local/bin/renaltool
COPY gloinone /opt/gloinone/gloinone
# Bytecode for what changes most, and the check that libraries load and every hash is its card's.
RUN chmod 755 /usr/local/bin/renaltool \
 && python3.11 -m compileall -q --invalidation-mode unchecked-hash /opt/gloinone/gloinone \
 && gloinone doctor

ARG COMMIT=unknown
ENV GLOINONE_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="renaltool" \
      org.opencontainers.image.description="Finds, names, outlines and counts every glomerulus in kidney whole-slide images. Research use only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}"
HEALTHCHECK NONE
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/renaltool"]
