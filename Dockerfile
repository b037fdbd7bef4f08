# The service: `docker build -t atnet-serve .`, then
# docker run -p 8000:8000 -e MLFLOW_TRACKING_URI=http://mlflow:5000 -e ATNET_API_KEYS=app=… -v atnet-state:/project/.atnet atnet-serve
FROM python:3.11-slim AS packages
COPY requirements-serving.lock /service/requirements-serving.lock
RUN python -m venv --without-pip /service/venv
RUN python -m pip --python /service/venv/bin/python install --no-cache-dir --require-hashes -r /service/requirements-serving.lock
COPY src /service/src
RUN /service/venv/bin/python -m compileall -q /service/src/atnet

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home service && install -d -o service /project /project/.atnet /project/data
COPY --from=packages /service /service
COPY params.yaml /project/params.yaml
WORKDIR /project
# PYTHONDONTWRITEBYTECODE: the code is compiled and belongs to another user.
ENV PYTHONPATH=/service/src PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER service
# Downloaded models and the prediction log outlive the container here.
VOLUME ["/project/.atnet", "/project/data"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/service/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["/service/venv/bin/python", "-m", "atnet.cli", "serve", "--host", "0.0.0.0"]
