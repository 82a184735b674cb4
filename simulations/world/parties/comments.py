"""The sample of comments that a platform keeps, in tone with quality, service and the state of the business."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.parties.channel import Channels, Videos
from sealscore.simulations.world.parties.texts import COMPLAINT, GOOD, NEUTRAL, POOR, SPAM, write_texts
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import logit, sigmoid, stream
from sealscore.simulations.world.tables import text_ids, times

POOR_BELOW, NEUTRAL_TO = -0.8, 0.3


def comment_rows(agents: Agents, channels: Channels, videos: Videos, expected: float) -> pl.DataFrame:
    """Comments of a platform, about `expected`: of each video a number that grows with the log of what it counts."""
    config = agents.config
    knobs = config.comments
    random = stream(config, f"comments {channels.party}")
    logs = np.log1p(videos.comments)
    kept = np.minimum(videos.comments, random.poisson(_rate(videos.comments, logs, expected) * logs))
    video = np.repeat(np.arange(len(kept)), kept)
    place = videos.place[video]
    who = channels.who[place]
    creators, n = agents.creators, len(video)
    tone = (
        knobs.tone
        + knobs.tone_quality * creators.quality[who]
        + knobs.tone_service * creators.service[who]
        + knobs.tone_state * agents.business.state[who, videos.month[video]]
        + random.standard_normal(n)
    )
    anger = logit(knobs.complaint_share) - knobs.complaint_service * creators.service[who]
    complains = random.random(n) < sigmoid(anger)
    kind = np.where(tone > NEUTRAL_TO, GOOD, np.where(tone < POOR_BELOW, np.where(complains, COMPLAINT, POOR), NEUTRAL))
    filler = (videos.bought[video] > 0) & (random.random(n) < config.fraud.filler_comments)
    kind = np.where(filler, SPAM, kind)
    chinese = random.random(n) < knobs.chinese_share
    after = (random.exponential(2 * 86_400.0, n) + 20).astype("timedelta64[s]")
    return pl.DataFrame(
        {
            "comment_id": text_ids(f"M{channels.party[-1]}", np.arange(n), 9),
            "video_id": videos.ids.gather(video.astype(np.uint32)),
            "creator_id": channels.ids.gather(place.astype(np.uint32)),
            "posted_at": times(videos.published[video] + after),
            "text": write_texts(kind, chinese, stream(config, f"texts {channels.party}")),
        }
    )


def _rate(counts: np.ndarray, logs: np.ndarray, expected: float) -> float:
    """The factor on the logs with which, cut at the counts, about the expected number is kept."""
    low, high = 0.0, 64.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(counts, middle * logs).sum() < expected else (low, middle)
    return high
