# SPDX-License-Identifier: Apache-2.0
"""Measures the boxes of all text that is seen on a page: which lie over each other, which are cut without a tooltip."""

from __future__ import annotations

# every text node that is seen: its box as drawn, cut by whatever clips it
SEEN = """() => {
  const found = []; let number = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const text = node.data.trim(), on = node.parentElement;
    if (!text || !on || on.closest('[data-flag], .sr, script, style, noscript, title, option')) continue;
    if (on.closest('dialog:not([open])')) continue;
    const style = getComputedStyle(on);
    if (style.visibility === 'hidden' || style.display === 'none') continue;
    number += 1;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects()) {
      let box = {left: r.left, top: r.top, right: r.right, bottom: r.bottom};
      for (let up = on; up && up !== document.body; up = up.parentElement) {
        const s = getComputedStyle(up);
        if (s.overflowX !== 'visible' || s.overflowY !== 'visible' || up.tagName === 'svg') {
          const c = up.getBoundingClientRect();
          box = {left: Math.max(box.left, c.left), top: Math.max(box.top, c.top),
                 right: Math.min(box.right, c.right), bottom: Math.min(box.bottom, c.bottom)};
        }
      }
      if (box.right - box.left < 2 || box.bottom - box.top < 4) continue;
      const sticky = !!on.closest('th, #ban'), card = !!on.closest('.card, .zoom');
      found.push({number, text: text.slice(0, 60), sticky, card, ...box});
    }
  }
  for (const flag of document.querySelectorAll('[data-flag]')) {  // a badge on a map: all of it, not only its number
    const {left, top, right, bottom} = flag.querySelector('.badge').getBoundingClientRect();
    const text = `badge of ${flag.dataset.flag}`;
    found.push({number: ++number, text, sticky: false, card: false, left, top, right, bottom});
  }
  return found;
}"""

CUT = """() => [...document.querySelectorAll('#room *')].filter(e => {
  const s = getComputedStyle(e);
  if (s.overflowX !== 'hidden' || s.textOverflow !== 'ellipsis' || e.closest('.sr')) return false;
  if (e.scrollWidth <= e.clientWidth + 1 || !e.clientWidth || !e.innerText.trim()) return false;
  return !e.closest('[title]') || !e.closest('[title]').title;
}).map(e => e.innerText.slice(0, 60))"""

# no change of the page for so long, once its letters are there: what was asked of the server has come and is drawn
STILL = """ms => document.fonts.ready.then(() => new Promise(done => {
  let timer;
  const changed = () => { clearTimeout(timer); timer = setTimeout(() => { watch.disconnect(); done(); }, ms); };
  const watch = new MutationObserver(changed);
  watch.observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
  changed();
}))"""


def settled(page, ms: int = 250) -> None:
    """Wait until nothing has changed on a page for `ms`."""
    page.evaluate(STILL, ms)


def overlapping(page, slack: float = 2.0) -> list[str]:
    """Return pairs of texts whose boxes lie over each other by more than `slack` px both ways."""
    boxes = page.evaluate(SEEN)
    found = []
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            over = min(a["right"], b["right"]) - max(a["left"], b["left"])
            down = min(a["bottom"], b["bottom"]) - max(a["top"], b["top"])
            if over <= slack or down <= slack + 2.0:  # a line's box is taller than its letters
                continue
            if a["number"] == b["number"]:
                continue
            if a["sticky"] != b["sticky"] or a["card"] != b["card"]:  # rows pass under a head; cards lie on the map
                continue
            found.append(f"{a['text']!r} over {b['text']!r}")
    return found


def clipped(page) -> list[str]:
    """Return texts that are cut with an ellipsis and have no tooltip."""
    return [f"{text!r} is cut" for text in page.evaluate(CUT)]
