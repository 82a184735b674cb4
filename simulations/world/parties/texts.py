"""Texts of comments: an opening, a middle and an end drawn apart, by tone and by language.

They serve to fill a table. Whoever learns the tone of comments must not learn it from these.
"""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

GOOD, NEUTRAL, POOR, COMPLAINT, SPAM = range(5)
TONES = ("good", "neutral", "poor", "complaint", "spam")


@dataclass(frozen=True)
class Pool:
    """The parts of the texts of one tone in one language; an empty part is a part."""

    opening: tuple[str, ...]
    middle: tuple[str, ...]
    end: tuple[str, ...]


_ZH_OPEN = ("", "", "", "刚看完，", "说实话，", "老粉了，", "第一次来，", "路过，", "回来评论，", "朋友推荐的，")
_ZH_END = ("", "", "", "。", "！", "～", "！！", "👍", "😄", "❤️")
_ZH_SAD = ("", "", "", "。", "！", "……", "😡", "😞", "，唉", "，失望")
_EN_OPEN = ("", "", "", "Honestly, ", "ok so ", "First time here, ", "Back again, ", "To be fair, ", "btw ", "Well, ")
_EN_END = ("", "", "", ".", "!", "!!", " 👍", " :)", " ❤️", " haha")
_EN_SAD = ("", "", "", ".", "!", "...", " 😡", " :(", " smh", " ugh")

CHINESE: tuple[Pool, ...] = (
    Pool(
        _ZH_OPEN,
        (
            "拍得真好",
            "质量很不错，会回购",
            "收到货了，很满意",
            "讲得清楚，学到了",
            "太好看了吧",
            "性价比真高",
            "客服很耐心，点赞",
            "发货快，包装也好",
            "越来越喜欢你的视频",
            "全家都爱吃",
            "主播推荐的果然靠谱",
            "用了一个月，效果很好",
            "每期都有惊喜",
            "笑死我了，太有才",
            "衣服很合身，面料舒服",
            "良心店铺，值得信赖",
            "已经买了三次，一直很好",
            "更新真勤快，支持",
            "实物比图片还漂亮",
            "物流给力，第二天就到",
        ),
        _ZH_END,
    ),
    Pool(
        _ZH_OPEN,
        (
            "这个在哪里买",
            "多少钱一件",
            "还有别的颜色吗",
            "几点开播",
            "这是哪个城市",
            "背景音乐叫什么",
            "适合什么年纪的人用",
            "下一期讲什么",
            "有没有小号的",
            "昨天的链接还在吗",
            "先收藏了",
            "打卡",
            "来了来了",
            "可以发西藏吗",
            "这款和上一款有什么区别",
            "求同款",
            "已关注",
            "第几天了",
        ),
        ("", "", "", "？", "。", "～", "呢", "呀", "，谢谢", "，在线等"),
    ),
    Pool(
        _ZH_OPEN,
        (
            "质量太差了",
            "跟描述的完全不一样",
            "内容越来越没意思",
            "穿一次就坏了",
            "味道很奇怪，吃不下",
            "广告太多，取关了",
            "假的吧，别买",
            "价格虚高，不值",
            "用了过敏，不推荐",
            "抄别人的视频，没劲",
            "色差很大，后悔买了",
            "讲得乱七八糟，听不懂",
            "一股怪味，直接扔了",
            "做工粗糙，到处是线头",
            "标题党，浪费时间",
            "夸得太过，实际一般般",
        ),
        _ZH_SAD,
    ),
    Pool(
        _ZH_OPEN,
        (
            "客服一直不回消息",
            "等了半个月还没发货",
            "退款拖了好久不给退",
            "发错货还不认账",
            "售后态度太恶劣",
            "快递单号是假的",
            "申请退货被拒绝",
            "漏发了两件，没人管",
            "说好的赠品没有给",
            "投诉了三次都没处理",
            "包裹破了也不赔",
            "付了钱店家就消失了",
            "换货换了一个月",
            "打电话没有人接",
            "催了好几次还是不发",
        ),
        _ZH_SAD,
    ),
    Pool(("",), ("好", "支持", "666", "顶", "不错", "赞", "厉害", "加油"), ("", "", "！", "👍")),
)
ENGLISH: tuple[Pool, ...] = (
    Pool(
        _EN_OPEN,
        (
            "love this video",
            "great quality, will buy again",
            "arrived quickly and works perfectly",
            "you explain it so well",
            "this looks amazing",
            "really good value for the price",
            "support was friendly and helpful",
            "my favourite channel by far",
            "fits well and feels nice",
            "best purchase this year",
            "so happy with my order",
            "always a pleasure to watch",
            "the whole family enjoys it",
            "learned a lot, thank you",
            "beautiful work, keep going",
            "tastes wonderful",
        ),
        _EN_END,
    ),
    Pool(
        _EN_OPEN,
        (
            "where can I get this",
            "how much is it",
            "any other colours",
            "what time is the next live",
            "which city is this",
            "what is the song called",
            "do you ship abroad",
            "saved for later",
            "is the link from yesterday still there",
            "what size should I take",
            "what comes next",
            "following now",
        ),
        ("", "", "", "?", ".", "??", " please", " anyone", " thx", " :)"),
    ),
    Pool(
        _EN_OPEN,
        (
            "poor quality, do not buy",
            "nothing like the description",
            "getting boring lately",
            "broke after one day",
            "tastes awful",
            "too many ads, unfollowed",
            "looks fake to me",
            "overpriced rubbish",
            "bad smell, threw it away",
            "colour is completely wrong",
            "waste of time and money",
            "terrible fit, regret it",
            "copied from somebody else, lame",
        ),
        _EN_SAD,
    ),
    Pool(
        _EN_OPEN,
        (
            "support never answers",
            "two weeks and still not shipped",
            "they refuse my refund",
            "sent the wrong item and will not admit it",
            "rude customer service",
            "fake tracking number",
            "my return was rejected",
            "half of my order is missing",
            "complained three times, no reply",
            "parcel came broken and nobody cares",
            "took my money and disappeared",
            "still waiting for the refund",
        ),
        _EN_SAD,
    ),
    Pool(("",), ("good", "nice", "wow", "cool", "great", "support"), ("", "", "!", " 👍")),
)


def _flat(part: str) -> tuple[pl.Series, np.ndarray, np.ndarray]:
    """All parts of all pools in one series, with where each pool begins and how many it has, int64 [pools]."""
    lists = [getattr(pool, part) for pool in (*CHINESE, *ENGLISH)]
    sizes = np.array([len(entries) for entries in lists])
    series = pl.Series([entry for entries in lists for entry in entries], dtype=pl.String)
    return series, np.cumsum(sizes) - sizes, sizes


def write_texts(tone: np.ndarray, chinese: np.ndarray, random: np.random.Generator) -> pl.Series:
    """Texts [n] for tones [n] (GOOD to SPAM) in Chinese where the bool [n] says so, else in English."""
    pool = tone + len(TONES) * ~chinese
    columns = {}
    for part in ("opening", "middle", "end"):
        series, first, sizes = _flat(part)
        at = first[pool] + np.floor(random.random(len(pool)) * sizes[pool]).astype(np.int64)
        columns[part] = series.gather(at.astype(np.uint32))
    return pl.DataFrame(columns).select(pl.concat_str("opening", "middle", "end")).to_series()
