# The runtime on a CPU: what an edge box beside the line runs.
#   docker build -t p-wae .
#   docker run --read-only --tmpfs /tmp -v ./station:/station p-wae /station/inspection.yaml
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY training training
COPY export export
COPY runtime runtime
RUN python -m venv /opt/p-wae && /opt/p-wae/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/p-wae /opt/p-wae
RUN useradd --system --uid 10001 --home-dir /station --create-home pwae
USER pwae
WORKDIR /station
ENV PATH=/opt/p-wae/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["run-inspection"]
CMD ["/station/inspection.yaml"]
