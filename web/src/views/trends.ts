// Trends: any values side by side on one time axis; a dragged range holds for all; two moments can be compared.
import { html, nothing, type TemplateResult } from "lit-html";
import { Directive, directive, PartType, type ElementPart, type PartInfo } from "lit-html/directive.js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { ask } from "../api";
import { range } from "../figures/chart";
import type { Point } from "../figures/draw";
import { asTable, empty, panel, unit } from "../parts";
import { csv } from "../sheet";
import type { Room, View } from "../room";
import type { Series, Trend } from "../shapes";
import { clock, date, num, signed, t, w } from "../words";
import { quantityName } from "../names";

const SPANS: [number, string][] = [[1, w("1 h")], [6, w("6 h")], [24, w("24 h")], [168, w("7 d")]];
const MOST = 6; // series at a time: more cannot be read on one screen
let shown: Series[] = [], loadedFor = "", loadedAt = -1e9, busy = false, find = "";
let compared: [number, number] | null = null; // two moments [ms], as the address says

export const trends: View = {
  draw(room) {
    compared = moments(room);
    chosenMoment = (two) => compare(room, two);
    const chosen = names(room), there = chosen.filter((n) => known(room, n)), q = room.query, hours = Number(q.get("h") ?? 6), from = q.get("from"), to = q.get("to");
    const key = `${there.join("|")} ${hours} ${from} ${to}`;
    if (!busy && (key !== loadedFor || (!to && performance.now() - loadedAt > 15_000))) void load(room, key, there, hours, from, to);
    return html`<div class="bar" role="toolbar" aria-label=${t("Trends")}>
        ${chosen.map((n) => html`<span class="chip"><span class="el" title=${label(n)}>${label(n)}</span><button aria-label=${t("Remove {name}", { name: label(n) })} @click=${() => put(room, { s: chosen.filter((x) => x !== n).join("|") })}>×</button></span>`)}
        ${chosen.length < MOST ? html`<input class="field" list="values" placeholder=${t("Add a value")} aria-label=${t("Add a value")} .value=${find} @input=${(e: Event) => { find = (e.target as HTMLInputElement).value; }} @change=${(e: Event) => add(room, (e.target as HTMLInputElement).value)}><datalist id="values">${room.live.layout.values.map((v) => html`<option value=${label(`${v.quantity}:${v.where}`)}></option>`)}</datalist>` : nothing}
        <span class="grow"></span>
        <span class="seg" role="group" aria-label=${t("Time range")}>${SPANS.map(([h, words]) => html`<button aria-pressed=${!from && h === hours ? "true" : "false"} @click=${() => put(room, { h: String(h), from: "", to: "" })}>${t(words)}</button>`)}</span>
        ${from ? html`<button class="btn" @click=${() => put(room, { from: "", to: "" })}>${t("Back to now")}</button>` : nothing}
        <button class="btn" aria-pressed=${compared ? "true" : "false"} ?disabled=${shown.length === 0} @click=${() => compare(room, compared ? null : ends())}>${t("Compare two moments")}</button>
      </div>
      <div class="stack">${chosen.length === 0 ? panel(t("Trends"), empty(t("Add a value above: a pressure, a flow, a voltage."))) : nothing}
        ${compared && shown.length ? comparison(room) : nothing}
        ${shown.map((s, k) => one(room, s, k))}
        ${chosen.filter((n) => !known(room, n)).map((n) => panel(label(n), empty(t("No history of this yet."))))}</div>`;
  },
  keys: { arrowleft: (room) => move(room, -0.5, 1), arrowright: (room) => move(room, 0.5, 1), "+": (room) => move(room, 0, 0.5), "=": (room) => move(room, 0, 0.5), "-": (room) => move(room, 0, 2) },
  csv: () => csv([["time", "quantity", "where", "unit", "measured", "estimate", "sigma"], ...shown.flatMap((s) => s.time.map((x, i) => [x, s.quantity, s.where, s.unit, s.measured[i] ?? "", s.estimate[i] ?? "", s.sigma[i] ?? ""]))]),
  link: (room) => { const [a, b] = span(room); return { from: iso(a), to: iso(b), h: "" }; },
};
const iso = (ms: number): string => new Date(Math.round(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
/** The range that is shown [ms]. */
function span(room: Room): [number, number] {
  const q = room.query, end = +new Date(q.get("to") ?? room.live.snapshot?.time ?? Date.now());
  return [q.get("from") ? +new Date(q.get("from")!) : end - Number(q.get("h") ?? 6) * 3.6e6, end];
}
/** Move the range by a part of itself, and stretch it; never past now. */
function move(room: Room, by: number, stretch: number): void {
  const [a, b] = span(room), now = +new Date(room.live.snapshot?.time ?? Date.now()), long = Math.max(60_000, (b - a) * stretch), to = Math.min(now, (a + b) / 2 + by * (b - a) + long / 2);
  put(room, { from: iso(to - long), to: iso(to) });
}
function moments(room: Room): [number, number] | null {
  const a = +new Date(room.query.get("a") ?? ""), b = +new Date(room.query.get("b") ?? "");
  return Number.isFinite(a) && Number.isFinite(b) ? [a, b] : null;
}
function compare(room: Room, two: [number, number] | null): void {
  room.keep({ a: two ? iso(two[0]) : "", b: two ? iso(two[1]) : "" });
  room.draw();
}
function names(room: Room): string[] {
  const said = room.query.get("s");
  return said ? said.split("|").filter(Boolean).slice(0, MOST) : [];
}
/** An address may name what this network does not have: the rest is shown all the same. */
const known = (room: Room, n: string): boolean => room.live.layout.values.some((v) => `${v.quantity}:${v.where}` === n);
const label = (n: string): string => { const [q = "", ...w] = n.split(":"); return `${quantityName(q)} · ${w.join(":")}`; };
function add(room: Room, text: string): void {
  const v = room.live.layout.values.find((x) => label(`${x.quantity}:${x.where}`) === text);
  if (!v) return;
  find = "";
  put(room, { s: [...names(room), `${v.quantity}:${v.where}`].join("|") });
}
function put(room: Room, change: Record<string, string>): void {
  const all = { ...Object.fromEntries(room.query), ...change };
  room.go("trends", "", Object.fromEntries(Object.entries(all).filter(([, v]) => v)));
}
async function load(room: Room, key: string, chosen: string[], hours: number, from: string | null, to: string | null): Promise<void> {
  loadedFor = key;
  loadedAt = performance.now();
  if (chosen.length === 0) { shown = []; return; }
  busy = true;
  const end = to ?? room.live.snapshot?.time ?? new Date().toISOString(), start = from ?? new Date(+new Date(end) - hours * 3.6e6).toISOString();
  try {
    shown = (await ask<Trend>(`trend?${chosen.map((n) => `series=${encodeURIComponent(n)}`).join("&")}&start=${start}&end=${end}&points=600`)).series;
  } catch (error) {
    shown = [];
    room.say(error instanceof Error ? error.message : String(error));
  }
  busy = false;
  room.draw();
}
function one(room: Room, s: Series, k: number): TemplateResult {
  const told = `${quantityName(s.quantity)} ${s.where}`, every = Math.max(1, Math.floor(s.time.length / 24));
  if ([...s.estimate, ...s.measured].every((v) => v === null)) return panel(told, empty(t("No history of this yet.")));
  return panel(told, html`<div class="fig" role="img" aria-label=${told} ${plots(s, k, (a, b) => put(room, { from: new Date(a * 1000).toISOString(), to: new Date(b * 1000).toISOString() }))}></div>
    ${asTable(told, [t("Time"), t("Measured"), t("Estimate")], s.time.filter((_, i) => i % every === 0).map((x, i) => [clock(x), s.measured[i * every] ?? null, s.estimate[i * every] ?? null]))}`, { quiet: `${unit(s.unit)} · ${s.time.length ? date(s.time[0]!) : ""}` });
}
const ends = (): [number, number] => { const x = shown[0]?.time ?? []; return [+new Date(x[0] ?? 0), +new Date(x.at(-1) ?? 0)]; };
function comparison(room: Room): TemplateResult {
  const near = (s: Series, at: number): number | null => { let best: number | null = null, d = Infinity; s.time.forEach((x, i) => { const e = Math.abs(+new Date(x) - at); const v = s.estimate[i] ?? s.measured[i] ?? null; if (v !== null && e < d) { d = e; best = v; } }); return best; };
  const two = compared!, [from, to] = ends(), stamp = (x: number): string => `${date(x)} ${clock(x)}`;
  const slide = (k: 0 | 1): TemplateResult => html`<label class="row"><b>${"AB"[k]}</b><input type="range" min=${from} max=${to} step=${Math.max(1000, Math.round((to - from) / 200))} .value=${String(two[k])} aria-valuetext=${stamp(two[k])} aria-label=${k ? t("Second moment") : t("First moment")} @input=${(e: Event) => { const x = Number((e.target as HTMLInputElement).value); compare(room, k ? [two[0], x] : [x, two[1]]); }}></label>`;
  return panel(t("Two moments"), html`<table class="inset"><thead><tr><th title=${t("Value")}>${t("Value")}</th><th class="n">A ${stamp(two[0])}</th><th class="n">B ${stamp(two[1])}</th><th class="n" title=${t("Change")}>${t("Change")}</th><th title=${t("Unit")}>${t("Unit")}</th></tr></thead><tbody>${shown.map((s) => { const x = near(s, two[0]), y = near(s, two[1]); return html`<tr><td>${quantityName(s.quantity)} <span class="q">${s.where}</span></td><td class="n">${num(x, 2)}</td><td class="n">${num(y, 2)}</td><td class="n b">${x === null || y === null ? "–" : signed(y - x, 2)}</td><td class="q">${unit(s.unit)}</td></tr>`; })}</tbody></table>`, { quiet: t("or Shift and a click in a trend"), actions: html`<span class="row">${slide(0)}${slide(1)}</span>`, body: "flush scroll", kind: "moments" });
}

// ------------------------------------------------------------------------ uPlot in a panel, redrawn only when needed
const sync = uPlot.sync("trends");
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const made = new WeakMap<Element, { plot: uPlot; theme: string; series: Series; marks: string }>();
const resized = new ResizeObserver((entries) => { for (const { target, contentRect: r } of entries) made.get(target)?.plot.setSize({ width: r.width, height: r.height }); });

function columns(s: Series): uPlot.AlignedData {
  const low = s.estimate.map((y, i) => { const sd = s.sigma[i]; return y === null || sd == null ? null : y - 2 * sd; }), high = s.estimate.map((y, i) => { const sd = s.sigma[i]; return y === null || sd == null ? null : y + 2 * sd; });
  return [s.time.map((x) => +new Date(x) / 1000), s.estimate, s.measured, low, high];
}
function reach(s: Series): [number, number] {
  const [, , dots, low, high] = columns(s) as (number | null)[][], at = (v: number | null | undefined): { at: number; label: string } | null => (v == null ? null : { at: v, label: "" });
  const line = (ys: (number | null)[]): { points: Point[] } => ({ points: ys.map((y, i) => [i, y]) });
  return range({ lines: [line(s.estimate), line(dots!)], bands: [low!.map((y, i) => ({ x: i, low: y, high: high![i]! }))], low: at(s.limits?.low), high: at(s.limits?.high) });
}
function make(box: HTMLElement, s: Series, zoomed: (a: number, b: number) => void): uPlot {
  const ink = colour("--ink"), quiet = colour("--ink3"), hair = colour("--hair"), font = "11px Inter, sans-serif";
  const axis = { stroke: quiet, font, grid: { stroke: hair, width: 1 }, ticks: { stroke: hair, width: 1, size: 4 } };
  const limits: uPlot.Plugin = { hooks: { drawAxes: (u) => { const { ctx } = u; ctx.save(); ctx.strokeStyle = colour("--ink2"); ctx.lineWidth = devicePixelRatio; for (const v of [s.limits?.low, s.limits?.high]) if (v != null) { const y = Math.round(u.valToPos(v, "y", true)); if (y > u.bbox.top && y < u.bbox.top + u.bbox.height) { ctx.beginPath(); ctx.moveTo(u.bbox.left, y); ctx.lineTo(u.bbox.left + u.bbox.width, y); ctx.stroke(); } } ctx.fillStyle = colour("--ink"); ctx.font = `600 ${11 * devicePixelRatio}px Inter, sans-serif`; (compared ?? []).forEach((at, k) => { const x = Math.round(u.valToPos(at / 1000, "x", true)); if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return; ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]); ctx.beginPath(); ctx.moveTo(x, u.bbox.top); ctx.lineTo(x, u.bbox.top + u.bbox.height); ctx.stroke(); ctx.setLineDash([]); ctx.textAlign = x > u.bbox.left + u.bbox.width - 20 * devicePixelRatio ? "right" : "left"; ctx.fillText("AB"[k]!, x + (ctx.textAlign === "left" ? 4 : -4) * devicePixelRatio, u.bbox.top + 11 * devicePixelRatio); }); ctx.restore(); } } };
  const plot = new uPlot({
    width: box.clientWidth, height: box.clientHeight, padding: [8, 14, 0, 0], legend: { show: false }, plugins: [limits],
    cursor: { sync: { key: sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    hooks: { setSelect: [(u) => { if (u.select.width > 4) { const a = u.posToVal(u.select.left, "x"), b = u.posToVal(u.select.left + u.select.width, "x"); u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false); zoomed(a, b); } }] },
    scales: { y: { range: () => reach(made.get(box)?.series ?? s) } },
    axes: [{ ...axis, size: 26, values: (_u, all) => all.map((x) => clock(x * 1000, false)) }, { ...axis, size: 58, values: (_u, all) => { const d = all.length > 1 ? Math.max(0, -Math.floor(Math.log10(Math.abs(all[1]! - all[0]!)) + 1e-9)) : 1; return all.map((y) => num(y, d)); } }],
    series: [{}, { stroke: ink, width: 1.6, points: { show: false } }, { stroke: ink, width: 0, points: { show: true, size: 4, fill: ink, stroke: ink } }, { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } }],
    bands: [{ series: [4, 3], fill: colour("--band") }],
  }, columns(s), box);
  plot.over.addEventListener("click", (e) => {
    if (!e.shiftKey || plot.cursor.left == null) return;
    const at = plot.posToVal(plot.cursor.left, "x") * 1000;
    chosenMoment(compared ? [compared[1], at] : [at, at]);
  });
  return plot;
}
let chosenMoment: (two: [number, number]) => void = () => {};

class Plots extends Directive {
  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("a plot is drawn into an element");
  }
  override update(part: ElementPart, [s, , zoomed]: [Series, number, (a: number, b: number) => void]): void {
    const box = part.element as HTMLElement, old = made.get(box), theme = document.documentElement.dataset["theme"] ?? "";
    const marks = String(compared);
    if (old?.series === s && old.theme === theme && old.marks !== marks) { old.marks = marks; old.plot.redraw(false); }
    if (old?.series === s && old.theme === theme) return;
    requestAnimationFrame(() => {
      if (!box.isConnected || box.clientWidth < 10) return;
      if (old && old.theme === theme && old.series.where === s.where && old.series.quantity === s.quantity) { old.series = s; old.plot.setData(columns(s)); return; }
      old?.plot.destroy();
      if (!old) resized.observe(box);
      made.set(box, { plot: make(box, s, zoomed), theme, series: s, marks });
    });
  }
  render(_s: Series, _k: number, _zoomed: (a: number, b: number) => void): void {}
}
const plots = directive(Plots);
