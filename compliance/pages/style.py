"""The style sheet of all pages, for screen and for print on A4."""

STYLE = """
:root { --ink: #1b1f24; --soft: #5a636e; --line: #d5dae0; --wash: #f4f6f8; --blue: #005a9c; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: #fff; color: var(--ink); font-size: 15px; line-height: 1.5;
  font-family: "Helvetica Neue", Arial, "Liberation Sans", "Noto Sans", "Noto Sans CJK SC", "DejaVu Sans", sans-serif;
}
main { max-width: 1020px; margin: 0 auto; padding: 24px 28px 60px; }
header { border-bottom: 3px solid var(--ink); padding-bottom: 10px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 40px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
h3 { font-size: 16px; margin: 24px 0 6px; }
.subtitle { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
p { margin: 8px 0; max-width: 78ch; overflow-wrap: anywhere; }
.lead { font-size: 16.5px; max-width: none; }
.soft { color: var(--soft); }
.note { color: var(--soft); font-size: 13.5px; max-width: 96ch; }
ul, ol { margin: 8px 0; padding-left: 22px; }
li { margin: 3px 0; max-width: 92ch; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 8px 0; font-size: 13px;
  border-bottom: 1px solid var(--line); }
a { color: var(--blue); text-decoration: none; }
a:hover { text-decoration: underline; }
aside { border: 1.5px solid var(--ink); border-left-width: 8px; padding: 8px 14px; margin: 14px 0; font-size: 14px; }
aside p, aside li { max-width: none; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin: 14px 0; }
.cards.four { grid-template-columns: repeat(4, 1fr); }
.card { border: 1px solid var(--line); border-top: 4px solid var(--blue); padding: 8px 12px 10px; background: #fff; }
.card .name { font-size: 13px; font-weight: bold; }
.card .value { font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card .means { font-size: 13px; color: var(--soft); line-height: 1.4; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.35; }
caption { caption-side: top; text-align: left; font-weight: bold; padding: 4px 0 6px; }
th, td { text-align: left; vertical-align: top; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 4px; }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
tbody th { font-weight: normal; }
td, tbody th { overflow-wrap: break-word; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .number { white-space: normal; }
table.words { width: 100%; table-layout: fixed; }
table.words th:nth-child(1), table.words th:last-child { width: 16%; }
table.words th:nth-child(2) { width: 30%; }
table.words th, table.words td { padding-right: 14px; overflow-wrap: anywhere; }
table.even { width: 100%; table-layout: fixed; }
table.even th:first-child { width: 15%; }
table.even th, table.even td { padding-right: 14px; overflow-wrap: anywhere; }
table.kinds, table.checks { width: 100%; table-layout: fixed; }
table.kinds th, table.kinds td, table.checks th, table.checks td { padding-right: 14px; overflow-wrap: anywhere; }
table.kinds th:nth-child(1) { width: 14%; }
table.kinds th:nth-child(2), table.kinds th:last-child { width: 10%; }
table.kinds th:nth-child(3) { width: 27%; }
table.checks th:first-child { width: 46%; }
dl { display: grid; grid-template-columns: minmax(120px, 22%) 1fr; gap: 5px 18px; margin: 10px 0; font-size: 14px; }
dt { font-weight: bold; overflow-wrap: anywhere; }
dd { margin: 0; max-width: 92ch; overflow-wrap: anywhere; }
.sign { display: grid; grid-template-columns: 2fr 1fr 2fr; gap: 24px; margin: 56px 0 20px; font-size: 13px; }
.sign div { border-top: 1px solid var(--ink); padding-top: 4px; color: var(--soft); }
.figures { display: grid; gap: 20px 26px; margin: 14px 0;
  grid-template-columns: repeat(auto-fill, minmax(min(430px, 100%), 1fr)); }
figure { margin: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-size: 13.5px; line-height: 1.4; margin-bottom: 6px; }
svg { display: block; width: 100%; height: auto; }
td svg { width: 170px; }
svg text { font-family: inherit; }
code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 12px; overflow-wrap: anywhere; }
@media screen and (max-width: 760px) {
  .cards, .cards.four { grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); }
}
@media screen and (max-width: 640px) {
  main { padding: 14px; }
  h1 { font-size: 22px; }
  figure { overflow-x: auto; }
  figure svg { min-width: 560px; }
  nav { max-height: 7.2em; overflow-y: auto; }
  table.words, table.even, table.kinds, table.checks { min-width: 620px; }
  .sign { grid-template-columns: 1fr; gap: 44px; }
  dl { grid-template-columns: 1fr; gap: 0 0; }
  dd { margin-bottom: 8px; }
}
@page { size: A4; margin: 14mm 13mm 15mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 9pt Arial, "Liberation Sans", sans-serif; } }
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  a { color: inherit; }
  .cards { gap: 8px; }
  .card { padding: 5px 9px 6px; border-top: 3px solid #000; }
  .card .value { font-size: 15pt; }
  .card .name, .card .means { font-size: 8.5pt; }
  .lead { font-size: 11pt; }
  .note, figcaption { font-size: 9pt; }
  aside, dl { font-size: 9.5pt; }
  table { font-size: 8.7pt; }
  table.words, table.even, table.kinds, table.checks { font-size: 8.3pt; }
  .scroll { overflow: visible; }
  h2 { font-size: 14pt; margin-top: 20pt; }
  h3 { font-size: 11.5pt; }
  h2, h3, h2 + p, caption, figcaption { break-after: avoid; }
  section:first-of-type { break-after: page; }
  figure, .card, tr, aside, p, li, dt, dd, .sign { break-inside: avoid; }
  thead { display: table-header-group; }
  .figures { grid-template-columns: 1fr 1fr; gap: 12px 16px; }
  td svg { width: 105px; }
  p { max-width: none; }
  .scroll { break-inside: avoid; }
  .scroll.long { break-inside: auto; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
