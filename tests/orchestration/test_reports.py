"""Reports in the browser: what lies in the folder is served as something that can do nothing, and nothing else is."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from assets.links import links
from orchestration.guard import Guard, Rules
from orchestration.reports import WithReports
from tests.orchestration.guarded import INNER, OWN, TOKEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reports = tmp_path / "home" / "reports"
    (reports / "data_docs").mkdir(parents=True)
    (reports / "small.html").write_text("<h1>the report</h1>")
    (reports / "data_docs" / "small-prompts[base]-ab.html").write_text("<h1>expectations</h1>")
    (tmp_path / "home" / "ledger.db").write_text("secret")
    (reports / "out.html").symlink_to(tmp_path / "home" / "ledger.db")
    return reports


def client(folder: Path, rules: Rules) -> TestClient:
    return TestClient(Guard(WithReports(INNER, folder), rules), base_url="http://localhost:3000")


def test_the_link_in_the_metadata_leads_to_the_page(folder: Path) -> None:
    page = folder / "data_docs" / "small-prompts[base]-ab.html"
    shown = links("data_docs", page, folder)
    address = str(shown["data_docs"].value)
    assert address == "/stillhouse/reports/data_docs/small-prompts%5Bbase%5D-ab.html"
    assert shown["data_docs_file"].value == str(page)
    answer = client(folder, Rules()).get(address)
    assert (answer.status_code, answer.text) == (200, "<h1>expectations</h1>")
    assert links("a", Path("/elsewhere/a.html"), folder).keys() == {"a"}, "only what lies there has an address"


def test_a_page_can_run_no_script_and_load_nothing_from_elsewhere(folder: Path) -> None:
    headers = client(folder, Rules()).get("/stillhouse/reports/small.html").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and "script-src" not in policy and policy["img-src"] == "data:"
    assert "allow-scripts" not in policy["sandbox"] and "allow-same-origin" not in policy["sandbox"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "SAMEORIGIN")


@pytest.mark.parametrize(
    "path",
    [
        "/stillhouse/reports/../ledger.db", "/stillhouse/reports/%2e%2e/ledger.db",
        "/stillhouse/reports/..%2fledger.db",
        "/stillhouse/reports/data_docs/%2e%2e/%2e%2e/ledger.db", "/stillhouse/reports/out.html", "/stillhouse/reports/",
        "/stillhouse/reports", "/stillhouse/reports//etc/passwd", "/stillhouse/reports/none.html",
        "/stillhouse/reports/data_docs", "/stillhouse/reports/a%00.html",
    ],
)  # fmt: skip
def test_nothing_but_files_below_the_folder_is_served(folder: Path, path: str) -> None:
    answer = client(folder, Rules()).get(path)
    assert answer.status_code in (400, 404) or answer.text.startswith("reached"), answer.text
    assert "secret" not in answer.text and "root:" not in answer.text


def test_the_same_guard_stands_before_them(folder: Path) -> None:
    page, exposed = "/stillhouse/reports/small.html", Rules(token=TOKEN)
    assert client(folder, exposed).get(page).status_code == 401
    assert client(folder, exposed).get(page, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client(folder, Rules()).get(page, headers={"Host": "evil.example"}).status_code == 403
    assert client(folder, Rules()).post(page, headers=OWN, json={}).status_code == 405


def test_everything_else_is_the_webservers(folder: Path) -> None:
    assert client(folder, Rules()).get("/assets").text.startswith("reached")
    assert client(folder, Rules()).get("/stillhouse/reports_of_others").text.startswith("reached")


def test_a_folder_that_is_made_later_is_served_then(tmp_path: Path) -> None:
    there = client(tmp_path / "later", Rules())
    assert there.get("/stillhouse/reports/a.html").status_code == 404
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.html").write_text("a")
    assert there.get("/stillhouse/reports/a.html").text == "a"
