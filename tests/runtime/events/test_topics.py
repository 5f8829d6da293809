"""The topic tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.events.topics import FORBIDDEN, Topics, expand


def test_no_topic_is_the_parent_of_another() -> None:
    topics = Topics("p")
    every = [topics.status, topics.model, topics.result("a"), topics.last("a"), topics.counters("a")]
    every += [topics.job("a"), topics.camera_status("a"), topics.trigger_refused("a")]
    assert len(set(every)) == len(every)
    assert not any(other.startswith(f"{topic}/") for topic in every for other in every)


@given(st.text(max_size=20))
def test_what_is_accepted_is_a_topic_for_everyone(template: str) -> None:
    try:
        prefix = expand(template, {"site": "s"})
    except ValueError:
        return
    assert prefix
    assert not FORBIDDEN & set(prefix)
    assert all(prefix.split("/"))


def test_a_positional_field_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown field"):
        expand("a/{}", {"site": "s"})
