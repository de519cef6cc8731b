"""The story of each row of Table 2: that there is one, and how it is found."""

import pytest

from experiments.errors import ConfigError
from experiments.registry import METHODS
from fsrun.report.paper import TABLE2
from fsrun.report.stories import PROTOCOL, STORIES, story


def test_every_row_has_a_story_of_a_few_lines_that_ends_with_what_all_share() -> None:
    assert {row.method for row in TABLE2} <= STORIES.keys() <= METHODS.keys()
    for method in STORIES:
        *paragraphs, last = story(method)
        assert 2 <= len(paragraphs) <= 5
        assert last == " ".join(PROTOCOL.split())
        assert not any("\n" in paragraph or "  " in paragraph for paragraph in paragraphs)


def test_a_row_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'protonet'"):
        story("prototnet")
