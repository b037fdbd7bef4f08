"""SeaweedFS as the demo's S3 server, one process with everything in it."""

import json
import shutil
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from atnet.errors import ConfigurationError, StoreError
from pipelines.team_demo.settings import ARTIFACT_BUCKET, DATA_BUCKET, LOCAL, Demo, write_private

START_SECONDS = 60
ALREADY_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def server_command(demo: Demo) -> list[str]:
    """Return the command that runs the server in the foreground, and write its configuration.

    Raises:
        ConfigurationError: if it is not installed.
    """
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise ConfigurationError("SeaweedFS is not installed. Run `make install TEAM=1`.")
    data, configuration = demo.folder / "seaweedfs", demo.folder / "s3.json"
    data.mkdir(mode=0o700, exist_ok=True)
    write_private(configuration, json.dumps({"identities": _identities(demo)}, indent=2))
    first = demo.ports.s3
    options = {
        "dir": data,
        "ip": LOCAL,
        "ip.bind": LOCAL,
        "master.telemetry": "false",
        "master.port": first + 1,
        "master.port.grpc": first + 2,
        "master.volumeSizeLimitMB": 1024,
        "volume.port": first + 3,
        "volume.port.grpc": first + 4,
        "volume.max": 0,
        "filer.port": first + 5,
        "filer.port.grpc": first + 6,
        "filer.localSocket": f"/tmp/seaweedfs-{first}.sock",
        "s3.port": first,
        "s3.port.grpc": first + 7,
        "s3.config": configuration,
    }
    return [
        program,
        "-logtostderr=true",
        "server",
        "-filer",
        "-s3",
        *(f"-{key}={value}" for key, value in options.items()),
    ]


def create_buckets(demo: Demo, *, seconds: float = START_SECONDS) -> None:
    """Create the buckets that are missing, once the server answers.

    Raises:
        StoreError: if it does not answer in time.
    """
    end = time.monotonic() + seconds
    for bucket, identity in ((ARTIFACT_BUCKET, "mlflow"), (DATA_BUCKET, "team")):
        while (problem := _create_bucket(demo, bucket, identity)) is not None:
            if time.monotonic() > end:
                raise StoreError(f"SeaweedFS did not start: see {demo.folder / 'seaweedfs.log'} ({problem})")
            time.sleep(0.5)


def _create_bucket(demo: Demo, bucket: str, identity: str) -> str | None:
    """Create a bucket; return what is wrong, or None."""
    variables = demo.s3_environment(identity)
    client = boto3.client(
        "s3",
        endpoint_url=demo.s3_url,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
    )
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return None if code in ALREADY_THERE else code
    except BotoCoreError as error:
        return str(error)
    return None


def _identities(demo: Demo) -> list[dict[str, object]]:
    """Return who may do what: MLflow's server its bucket, the team's machines DVC's bucket."""
    return [
        {
            "name": identity,
            "credentials": [
                {"accessKey": demo.passwords[f"s3_{identity}_id"], "secretKey": demo.passwords[f"s3_{identity}_key"]}
            ],
            "actions": [f"{action}:{bucket}" for action in ("Admin", "Read", "Write", "List", "Tagging")],
        }
        for identity, bucket in (("mlflow", ARTIFACT_BUCKET), ("team", DATA_BUCKET))
    ]
