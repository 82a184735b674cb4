"""What tests of one applicant share."""

from __future__ import annotations

import pytest

from sealscore.clients.features.sentiment import Sentiment


@pytest.fixture(scope="session")
def sentiment() -> Sentiment:
    return Sentiment.shipped()
