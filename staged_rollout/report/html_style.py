"""The look of the HTML report: light and dark, wide and narrow, and on paper."""

from __future__ import annotations

from staged_rollout.report.charts import BLUE, GREEN, GREY, INK, MUTED, ORANGE, PALE, SKY, VERMILLION

COLOURS = {
    INK: ("ink", "#e6edf3"),
    MUTED: ("muted", "#9da7b1"),
    GREY: ("grey", "#6e7681"),
    PALE: ("line", "#30363d"),
    "#ffffff": ("paper", "#0d1117"),
    "#f6f8fa": ("card", "#161b22"),
    BLUE: ("blue", "#58b0f0"),
    VERMILLION: ("vermillion", "#ff9752"),
    GREEN: ("green", "#3ddbab"),
    ORANGE: ("orange", "#f0b429"),
    SKY: ("sky", "#8ccbf5"),
}
"""Each colour on white: its name on the page, and what it is on a dark screen."""

_LIGHT = ";".join(f"--{name}:{light}" for light, (name, _) in COLOURS.items())
_DARK = ";".join(f"--{name}:{dark}" for name, dark in COLOURS.values())

STYLE = f""":root{{color-scheme:light dark;{_LIGHT}}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
html{{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}}
body{{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}}
h1{{font-size:1.9rem;line-height:1.2;margin:.2rem 0 .6rem}}
h2{{font-size:1.3rem;margin:0 0 .8rem}}
h3{{font-size:1.05rem;margin:1.4rem 0 .4rem}}
p{{margin:.5rem 0;max-width:48rem}}
a{{color:var(--blue)}}
section{{border-top:1px solid var(--line);padding:1.6rem 0 1rem}}
.eyebrow,.note,figcaption,footer{{color:var(--muted)}}
.eyebrow{{margin:0}}
.note,footer{{font-size:.9rem}}
.verdict{{border-left:5px solid var(--blue);background:var(--card);border-radius:6px;padding:1rem 1.2rem;margin:1rem 0}}
.verdict.good{{border-color:var(--green)}}.verdict.bad{{border-color:var(--vermillion)}}
.verdict p:first-child{{font-size:1.25rem;font-weight:600;margin-top:0}}
.alarm{{color:var(--vermillion);font-weight:600}}
nav ul{{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem 1.1rem;padding:0;margin:1rem 0}}
dl{{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.8rem;margin:1rem 0}}
dl>div{{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem}}
dt{{font-size:.85rem;color:var(--muted)}}
dd{{margin:0;font-size:1.12rem;font-weight:600;font-variant-numeric:tabular-nums}}
dd small{{display:block;font-weight:400;font-size:.82rem;color:var(--muted)}}
pre{{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;margin:.5rem 0;
white-space:pre-wrap;font:.88rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
code{{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(30rem,100%),1fr));gap:1.2rem;align-items:start}}
figure{{margin:.6rem 0;min-width:0;max-width:38rem}}
figure svg{{display:block;width:100%;height:auto}}
figure svg *{{stroke-linejoin:round;stroke-linecap:butt}}
figcaption{{font-size:.92rem;margin:.4rem 0}}
summary{{cursor:pointer;color:var(--blue);padding:.3rem 0}}
.scroll{{overflow-x:auto;margin:.4rem 0;max-width:100%}}
table{{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}}
th,td{{padding:.35rem .7rem;border-bottom:1px solid var(--line);vertical-align:top;text-align:right;
overflow-wrap:normal}}
th{{color:var(--muted);font-weight:600;vertical-align:bottom}}
td.number{{white-space:nowrap}}
th.text,td.text{{text-align:left}}
td.text{{overflow-wrap:anywhere;min-width:7.5rem}}
#timeline td.text:nth-child(3){{min-width:11rem}}#timeline td.text:first-child{{min-width:0}}
#timeline td.text:nth-child(2){{min-width:10rem}}
#timeline td:last-child,#moves td:last-child{{min-width:17rem}}
tr:target{{background:var(--card);outline:2px solid var(--blue)}}
.told td{{font-weight:600}}
footer{{border-top:1px solid var(--line);padding:1rem 0}}
@media(max-width:40rem){{body{{padding:1rem}}h1{{font-size:1.5rem}}section{{padding:1.2rem 0 .6rem}}
dl{{grid-template-columns:1fr 1fr}}th,td{{padding:.3rem .5rem}}}}
@media print{{@page{{margin:14mm}}body{{padding:0;max-width:none;font-size:10.5pt}}nav{{display:none}}
section{{padding:.8rem 0}}h2,h3,summary{{break-after:avoid}}figure,dl>div,tr,pre,.verdict{{break-inside:avoid}}
.scroll{{overflow:visible}}table{{font-size:7.5pt;width:100%}}th,td{{padding:.15rem .3rem}}
td.text,#timeline td,#moves td{{min-width:0!important}}td.number{{white-space:normal}}
a{{color:inherit;text-decoration:none}}
.charts{{grid-template-columns:1fr 1fr}}details>summary{{display:none}}
details::details-content{{content-visibility:visible;display:block;block-size:auto}}
figure{{max-width:none}}.verdict,pre,dl>div{{border:1px solid #b1bac4}}}}
"""
