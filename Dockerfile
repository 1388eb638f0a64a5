# gco-agent with its locked packages. A run is a git branch, so mount a repository at /work, and your
# git configuration, which names the author:
#   docker build -t gco-agent .
#   docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD:/work" \
#     -v "$HOME/.gitconfig:/tmp/.gitconfig:ro" gco-agent run pong
FROM python:3.11-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/gco-agent
COPY . .
RUN scripts/install

ENV PATH=/opt/gco-agent/.venv/bin:$PATH HOME=/tmp
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["gco-agent"]
CMD ["doctor"]
