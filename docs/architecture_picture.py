"""Draw the picture of README.md in both languages: `python docs/architecture_picture.py`.

Writes figures/architecture.svg and figures/architecture.zh.svg beside this file: what each party has, and what crosses.
"""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FIGURES = Path(__file__).with_name("figures")
WIDTH, HEIGHT = 960, 570
FONT = "system-ui, 'Noto Sans', 'Noto Sans CJK SC', 'Noto Serif CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
INK, SOFT, PAPER = "#1f2933", "#52606d", "#ffffff"
LENDER, SERVER, PLATFORM, REVIEW = "#e3eefa", "#eceef1", "#fbeedd", "#e4f3e8"

# Left, top, width, height, colour, key of its words: the first line is a title.
ROOMS = (
    (20, 60, 270, 300, LENDER, "lender"),
    (360, 60, 240, 300, SERVER, "server"),
    (670, 60, 270, 300, PLATFORM, "platform"),
    (20, 420, 270, 90, LENDER, "officer"),
    (360, 420, 240, 90, REVIEW, "reviewer"),
    (670, 420, 270, 90, PLATFORM, "creator"),
)
# From and to (x, y), key of its words, place of the words (x, y), their anchor.
ARROWS = (
    ((290, 130), (360, 130), "sums", (325, 120), "middle"),
    ((360, 190), (290, 190), "model", (325, 180), "middle"),
    ((670, 130), (600, 130), "sums", (635, 120), "middle"),
    ((600, 190), (670, 190), "model", (635, 180), "middle"),
    ((110, 360), (110, 420), "score", (122, 395), "start"),
    ((480, 360), (480, 420), "receipts", (492, 395), "start"),
    ((850, 420), (850, 360), "consent", (838, 395), "end"),
)
# Sealed from node to node, carried by the server: through the lower part of its room.
CARRIED = ((290, 315), (670, 315))
# What a creator takes to the lender, below the rooms of the second row.
TOKEN_FROM, TOKEN_TO, TOKEN_Y = 805, 155, 540

WORDS = {
    "en": {
        "title": "What each party has, and what crosses",
        "lender": (
            "Lender's node",
            "loans, repayments: never leave",
            "keys, privacy ledger (append-only)",
            "trains with noise of its own (DP)",
            "approves each plan by hand",
            "",
            "scorer, decisions, watch:",
            "a process and user of their own",
        ),
        "server": (
            "Server (Flower)",
            "carries what it cannot open",
            "reads sums of cohorts alone,",
            "with noise in them",
        ),
        "platform": (
            "Platform's node",
            "views, comments, shop: never leave",
            "keys, privacy ledger (append-only)",
            "trains with noise of its own (DP)",
            "approves each plan by hand",
            "",
            "API for creators: consent,",
            "withdrawal, what was told of me",
        ),
        "officer": ("Loan officer's system", "asks for a score with reasons", "and a proposal; a person may review"),
        "reviewer": ("Reviewer", "verifies every ledger offline:", "what was disclosed to whom"),
        "creator": ("Creator", "consents lender by lender,", "and may withdraw at any time"),
        "sums": ("noisy,", "masked", "sums"),
        "model": ("model",),
        "score": ("score, decision",),
        "receipts": ("receipts; ledgers of all parties",),
        "consent": ("consent",),
        "carried": ("sealed: private matching,", "noisy labels, levels of a few bits"),
        "token": "a token carries the creator's level to the lender",
    },
    "zh": {
        "title": "各方持有什么，什么会传出",
        "lender": (
            "贷款机构节点",
            "贷款与还款记录：从不离开",
            "密钥、隐私账本（只可追加）",
            "训练时自行加入噪声（差分隐私）",
            "每份计划由人工批准",
            "",
            "评分、决策与监测：",
            "独立的进程与系统用户",
        ),
        "server": ("协调服务器（Flower）", "转送其无法打开的密封消息", "只能读到各方合计，", "且合计中已含噪声"),
        "platform": (
            "平台节点",
            "播放、评论、店铺数据：从不离开",
            "密钥、隐私账本（只可追加）",
            "训练时自行加入噪声（差分隐私）",
            "每份计划由人工批准",
            "",
            "面向创作者的接口：同意、",
            "撤回、查询“披露了我的什么”",
        ),
        "officer": ("信贷员系统", "请求评分、理由与审批建议；", "可由人工复核"),
        "reviewer": ("合规审查人员", "离线验证每本账本：", "向谁披露了什么"),
        "creator": ("创作者", "针对一家机构、一个目的单独同意，", "可随时撤回"),
        "sums": ("加噪、", "掩码的", "合计"),
        "model": ("模型",),
        "score": ("评分、决策",),
        "receipts": ("回执；各方的账本",),
        "consent": ("同意",),
        "carried": ("密封：隐私求交、", "加噪标签、几比特的等级"),
        "token": "创作者凭令牌把自己的等级带给贷款机构",
    },
}


def drawn(language: str) -> str:
    """The picture as SVG, without script and without anything from elsewhere."""
    words = WORDS[language]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}" font-size="14" fill="{INK}" role="img" aria-labelledby="title" xml:lang="{language}">',
        f'<title id="title">{escape(str(words["title"]))}</title>',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{SOFT}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        _text(WIDTH / 2, 34, str(words["title"]), "middle", 'font-size="18" font-weight="600"'),
    ]
    for left, top, width, height, colour, key in ROOMS:
        parts.append(
            f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" fill="{colour}" stroke="{SOFT}"/>'
        )
        for number, line in enumerate(words[key]):
            weight = 'font-weight="600" font-size="15"' if number == 0 else ""
            parts.append(_text(left + width / 2, top + 28 + 23 * number, line, "middle", weight))
    for start, end, key, (x, y), anchor in ARROWS:
        parts.append(_arrow(start, end))
        lines = words[key]
        for number, line in enumerate(lines):
            parts.append(_text(x, y - 16 * (len(lines) - 1 - number), line, anchor, f'font-size="12" fill="{SOFT}"'))
    parts.append(_arrow(*CARRIED, "both"))
    for number, line in enumerate(words["carried"]):
        parts.append(
            _text(WIDTH / 2, CARRIED[0][1] - 28 + 18 * number, line, "middle", f'font-size="13" fill="{SOFT}"')
        )
    bottom = ROOMS[-1][1] + ROOMS[-1][3]
    parts.append(
        f'<path d="M{TOKEN_FROM} {bottom}V{TOKEN_Y}H{TOKEN_TO}V{bottom}" stroke="{SOFT}" stroke-width="1.6" '
        'fill="none" marker-end="url(#head)"/>'
    )
    parts.append(_text(WIDTH / 2, TOKEN_Y + 18, str(words["token"]), "middle", f'font-size="13" fill="{SOFT}"'))
    return "\n".join(part for part in parts if part) + "\n</svg>\n"


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {more}>{escape(words)}</text>' if words else ""


def _arrow(start: tuple[float, float], end: tuple[float, float], heads: str = "end") -> str:
    first = ' marker-start="url(#head)"' if heads == "both" else ""
    dash = ' stroke-dasharray="6 4"' if heads == "both" else ""
    return (
        f'<path d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}" stroke="{SOFT}" stroke-width="1.6" fill="none"'
        f'{dash}{first} marker-end="url(#head)"/>'
    )


if __name__ == "__main__":
    for language, name in (("en", "architecture.svg"), ("zh", "architecture.zh.svg")):
        (FIGURES / name).write_text(drawn(language), encoding="utf-8")
