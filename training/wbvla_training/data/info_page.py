"""A dataset on one HTML page that needs nothing else: summary, episodes with thumbnails, histograms."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from wbvla_training.data.dataset_index import DatasetIndex, EpisodeEntry
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.info import Histogram, histograms, lines, summarise

_THUMBNAILS = 6
_THUMB_WIDTH = 160
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #3b7dd8; --quiet: #888; --bad: #c33; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .6rem .25rem 0;
border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--quiet); font-weight: 500; }
.strip { white-space: nowrap; } .strip img { width: 84px; border-radius: 3px; margin-right: 3px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: .7rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 5px; padding: .4rem; }
figcaption { font-size: 11px; overflow-wrap: anywhere; } .range { color: var(--quiet); font-size: 11px;
display: flex; justify-content: space-between; } svg { width: 100%; height: 44px; display: block; }
.note { color: var(--bad); font-size: 12px; } .num { font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def write_page(index: DatasetIndex, path: Path, episodes: int = 50) -> None:
    """Write the page; pictures of at most ``episodes`` episodes. Raises DataError when one is unreadable."""
    summary = summarise(index)
    rows = "".join(f"<tr><th>{escape(what)}</th><td>{escape(value)}</td></tr>" for what, value in lines(summary))
    shown = index.episodes[:episodes]
    more = len(index.episodes) - len(shown)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(index.root.name)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(index.root.name)}</h1><table>{rows}</table>",
        "<h2>Episodes</h2><table><tr><th>#</th><th>length</th><th>task</th><th>outcome</th><th>pictures</th></tr>",
        *(_episode(index, episode) for episode in shown),
        "</table>",
        f"<p class='range'>and {more} more</p>" if more else "",
    ]
    for feature in index.features:
        if feature in ("action", "observation.state"):
            parts.append(f"<h2>{escape(feature)}</h2><div class='grid'>")
            parts += [_histogram(one) for one in histograms(index, feature)]
            parts.append("</div>")
    parts.append("</body></html>")
    path.write_text("\n".join(parts), encoding="utf-8")


def _episode(index: DatasetIndex, episode: EpisodeEntry) -> str:
    account = index.provenance[episode.number] if episode.number < len(index.provenance) else {}
    outcome = {True: "succeeded", False: "failed", None: "unknown"}[account.get("task_succeeded")]
    notes = "".join(f"<div class='note'>{escape(text)}</div>" for text in account.get("warnings", ()))
    strips = "".join(f"<div class='strip'>{_strip(index, episode, camera)}</div>" for camera in index.cameras)
    bag = escape(account.get("bag", ""))
    return (
        f"<tr><td class='num'>{episode.number}</td>"
        f"<td class='num'>{episode.length / index.fps:.1f} s<br>{episode.length} frames</td>"
        f"<td>{escape(', '.join(episode.tasks))}<div class='range'>{bag}</div>{notes}</td>"
        f"<td>{outcome}<div class='range'>{escape(account.get('operator', ''))}</div></td><td>{strips}</td></tr>"
    )


def _strip(index: DatasetIndex, episode: EpisodeEntry, camera: str) -> str:
    from PIL import Image

    path, first = episode.videos[camera]
    frames = VideoFrames(path, index.fps)
    count = min(_THUMBNAILS, episode.length)
    tags = []
    try:
        for i in range(count):
            number = round(i * (episode.length - 1) / max(1, count - 1))
            picture = Image.fromarray(frames.read(first + number))
            picture.thumbnail((_THUMB_WIDTH, _THUMB_WIDTH))
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=75)
            data = base64.b64encode(stream.getvalue()).decode()
            tags.append(f"<img alt='frame {number}' title='{number / index.fps:.2f} s' src='data:image/jpeg;base64,{data}'>")
    finally:
        frames.close()
    return "".join(tags)


def _histogram(one: Histogram) -> str:
    top = max(one.counts) or 1
    bars = "".join(
        f"<rect x='{i}' y='{40 - 40 * count / top:.1f}' width='.9' height='{40 * count / top:.1f}' fill='var(--bar)'/>"
        for i, count in enumerate(one.counts)
        if count
    )
    return (
        f"<figure><figcaption>{escape(one.name)}</figcaption>"
        f"<svg viewBox='0 0 {len(one.counts)} 40' preserveAspectRatio='none'>{bars}</svg>"
        f"<div class='range'><span>{one.low:.3g}</span><span>{one.high:.3g}</span></div></figure>"
    )
