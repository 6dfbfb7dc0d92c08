# The image: `docker run --gpus all -v "$PWD/slides:/in" -v "$PWD/out:/out" renaltool`.
# What changes rarely comes first, so that a change of the code rebuilds the last, small layers alone.

# A hospital that mirrors images gives its own by digest: --build-arg BASE=registry/debian@sha256:...
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 tini \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*


# What gloinone needs, in a stage of its own: only when this list changes are the libraries fetched again.
FROM python AS needs
WORKDIR /build
COPY pyproject.toml ./
RUN python3.11 -c "import tomllib; \
print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt


# The libraries, in the very stage that the program is built on: were they copied out of one of their own, some
# builders would read all of the gigabytes anew with each change of the code. So one layer installs and cleans up.
# Nobody needs at run time: pip, triton (half a gigabyte with a compiler, for torch.compile alone), headers, static
# libraries, the packages' own tests with their data.
FROM python AS libraries
COPY --from=needs /build/requirements.txt /opt/venv/
COPY constraints.txt /opt/venv/
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11-venv \
 && python3.11 -m venv /opt/pip \
 && python3.11 -m venv --without-pip /opt/venv \
 && pip() { /opt/pip/bin/pip --python /opt/venv/bin/python --no-cache-dir --disable-pip-version-check "$@"; } \
 && pip install --no-compile --constraint /opt/venv/constraints.txt --requirement /opt/venv/requirements.txt \
 && pip uninstall --yes triton setuptools \
 && rm -r /opt/pip \
 && find /opt/venv/lib -type d \( -name tests -o -name test -o -name include \) -prune -exec rm -rf {} + \
 && find /opt/venv/lib -name '*.a' -delete \
 && rm -f /opt/venv/lib/python3.11/site-packages/torch/bin/protoc* \
 && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
 && apt-get purge -y --auto-remove python3.11-venv \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*
# gloinone itself is found through the .pth file, and so is not part of this large layer.
RUN echo /opt/gloinone > /opt/venv/lib/python3.11/site-packages/gloinone.pth \
 && printf '%s\n' '#!/opt/venv/bin/python' 'from gloinone.cli.main import main' 'main()' > /opt/venv/bin/gloinone \
 && chmod 755 /opt/venv/bin/gloinone


# The bill of materials and the licences of what is inside: Debian's packages, then Python's.
FROM libraries AS bill
WORKDIR /bill
RUN { echo '{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": ['; \
      dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' | awk '{ purl = $2; gsub(/[+]/, "%2B", purl); \
        printf "%s{\"type\": \"library\", \"name\": \"%s\", \"version\": \"%s\", \"purl\": \"pkg:deb/debian/%s@%s?arch=%s\"}\n", \
        (NR > 1 ? "," : ""), $1, $2, $1, purl, $3 }'; \
      echo ']}'; } > debian.cdx.json \
 && for text in /usr/share/doc/*/copyright; do printf '\n\n===== %s\n\n' "$text"; cat "$text"; done > debian.txt
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11-venv \
 && python3.11 -m venv /opt/bill
COPY constraints.txt constraints-image.txt /opt/bill/
RUN /opt/bill/bin/pip install --no-cache-dir --constraint /opt/bill/constraints.txt \
    --constraint /opt/bill/constraints-image.txt cyclonedx-bom
COPY pyproject.toml ./
RUN /opt/bill/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file python.cdx.json \
    /opt/venv/bin/python \
 && find /opt/venv/lib -path '*.dist-info/*' -type f \
    \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -path '*/licenses/*' \) | sort \
    | while read -r text; do printf '\n\n===== %s\n\n' "${text#*site-packages/}"; cat "$text"; done > python.txt \
 && rm pyproject.toml
COPY LICENSE ./
COPY models ./models
RUN { echo "What is inside, and its terms: gloinone, its weights, Python packages, Debian packages."; \
      printf '\n\n===== gloinone\n\n'; cat LICENSE; \
      grep -H '"licence"' models/*/card.json | sed 's/^\(.*\)card.json: *"licence": /\n\n===== \1\n\n/'; \
      cat python.txt debian.txt; } > LICENSES.txt \
 && rm -r LICENSE models python.txt debian.txt


FROM libraries
RUN mkdir -m 1777 /in /out
COPY --from=bill /bill /usr/share/doc/renaltool

# Nothing is written outside /out and /tmp, whatever the user; no bytecode, caches or settings of the caller's home.
# USER, since torch asks for a name when it is imported, and most uids have none here.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    MPLCONFIGDIR=/tmp/.cache/matplotlib \
    TORCH_HOME=/tmp/.cache/torch \
    TORCHINDUCTOR_CACHE_DIR=/tmp/.cache/torchinductor \
    USER=renaltool \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

COPY models /opt/gloinone/models
COPY LICENSE README.md /opt/gloinone/
COPY entrypoint.sh /usr/local/bin/renaltool
COPY gloinone /opt/gloinone/gloinone
# Before the RUN: of arguments, buildah's cache looks at those of RUN alone, and would keep the name of an older commit.
ARG COMMIT=unknown
# Bytecode for what changes most, and the check, as a user without a name, that libraries load and every hash is its
# card's.
# A checkout made under a strict umask would be closed to the user of the container.
RUN chmod 755 /usr/local/bin/renaltool \
 && find /opt/gloinone ! -perm -a=r -exec chmod a+rX {} + \
 && python3.11 -m compileall -q --invalidation-mode unchecked-hash /opt/gloinone/gloinone \
 && setpriv --reuid 10001 --regid 10001 --clear-groups gloinone doctor --device cpu \
 && rm -rf /tmp/..?* /tmp/.[!.]* /tmp/*

ENV GLOINONE_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="renaltool" \
      org.opencontainers.image.description="Finds, names, outlines and counts every glomerulus in kidney whole-slide images. Research use only." \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-SA-4.0 AND LicenseRef-see-LICENSES.txt" \
      org.opencontainers.image.revision="${COMMIT}"
HEALTHCHECK NONE
WORKDIR /tmp
# tini is the first process: it passes signals on, also to a program that has not yet said what it does with them.
# -s for Apptainer, where another process is the first.
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "/usr/local/bin/renaltool"]
