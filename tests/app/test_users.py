from __future__ import annotations

import uuid

import pytest
from flask.testing import FlaskClient


def unused_email() -> str:
    """Unique, since the database may hold real users."""
    return f"{uuid.uuid4().hex}@example.org"


def test_health_asks_the_database(client: FlaskClient) -> None:
    assert client.get("/health").get_json() == {"status": "ok"}


def test_a_created_user_can_be_read_again(client: FlaskClient) -> None:
    email = unused_email()
    created = client.post("/users", json={"name": "Ada", "email": email, "years_old": 36})
    assert created.status_code == 201
    user = created.get_json()
    assert user == {"id": user["id"], "name": "Ada", "email": email, "years_old": 36}
    assert client.get(f"/users/{user['id']}").get_json() == user
    assert client.get(f"/users?after={user['id'] - 1}&limit=1").get_json() == [user]


def test_age_is_optional(client: FlaskClient) -> None:
    created = client.post("/users", json={"name": "Ada", "email": unused_email()})
    assert created.status_code == 201
    assert created.get_json()["years_old"] is None


def test_a_taken_email_is_a_conflict_and_harms_nothing(client: FlaskClient) -> None:
    email = unused_email()
    first = client.post("/users", json={"name": "Ada", "email": email})
    second = client.post("/users", json={"name": "Eve", "email": email})
    assert second.status_code == 409
    assert second.get_json() == {"error": f"The email {email} is taken."}
    assert client.get(f"/users/{first.get_json()['id']}").get_json()["name"] == "Ada"


def test_the_longest_values_fit(client: FlaskClient) -> None:
    email = uuid.uuid4().hex + "@" + "e" * 87
    assert client.post("/users", json={"name": "ä" * 100, "email": email}).status_code == 201


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "Send a JSON object with name and email."),
        ([], "Send a JSON object with name and email."),
        ({"email": "a@b"}, "name is required."),
        ({"name": " ", "email": "a@b"}, "name is required."),
        ({"name": 7, "email": "a@b"}, "name is required."),
        ({"name": "Ada"}, "email is required."),
        ({"name": "Ada", "email": "nowhere"}, "email must be an email address."),
        ({"name": "x" * 101, "email": "a@b"}, "name must not be longer than 100 characters."),
        ({"name": "Ada", "email": "a@" + "b" * 119}, "email must not be longer than 120 characters."),
        ({"name": "A\x00da", "email": "a@b"}, "name must not contain control characters."),
        ({"name": "Ada", "email": "a@b", "years_old": "36"}, "years_old must be a whole number from 0 to 150."),
        ({"name": "Ada", "email": "a@b", "years_old": True}, "years_old must be a whole number from 0 to 150."),
        ({"name": "Ada", "email": "a@b", "years_old": 10**12}, "years_old must be a whole number from 0 to 150."),
        ({"name": "Ada", "email": "a@b", "admin": True}, "Unknown field: admin."),
    ],
)
def test_bad_input_gets_400_and_a_sentence(client: FlaskClient, body: object, sentence: str) -> None:
    answer = client.post("/users", json=body)
    assert answer.status_code == 400
    assert answer.get_json() == {"error": sentence}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", "after=²", "after=99999999999999"])
def test_a_list_that_cannot_be_gets_400(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/users?{query}")
    assert answer.status_code == 400
    assert "must be a whole number" in answer.get_json()["error"]


def test_broken_json_gets_400(client: FlaskClient) -> None:
    answer = client.post("/users", data="{", content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize("user_id", [0, 2**31 - 1, 2**31, 10**30])
def test_an_unknown_user_is_not_found(client: FlaskClient, user_id: int) -> None:
    assert client.get(f"/users/{user_id}").status_code == 404


def test_a_path_that_does_not_exist_answers_json(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "error" in answer.get_json()
