# One image for every server: the command says which (`flash global`, `flash home h1`, `flash serve`). Nothing in it is written at run time but /data.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/flash
COPY requirements/run.txt /src/requirements/
RUN /opt/flash/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /src/requirements/run.txt
COPY . /src
RUN /opt/flash/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation /src /src/clients/sdk

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/flash /opt/flash
# A named volume takes over this owner. The number is free in Debian, and the same on every host.
RUN mkdir /data && chown 10001:10001 /data
ENV PATH=/opt/flash/bin:$PATH PYTHONUNBUFFERED=1 FLASH_DATA_DIR=/data FLASH_HOST=0.0.0.0 FLASH_LOG_FORMAT=json
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
ENTRYPOINT ["flash"]
CMD ["serve"]
