// Trends: any values side by side on one time axis; a dragged range holds for all; two moments can be compared.
import { html, nothing, type TemplateResult } from "lit-html";
import { Directive, directive, PartType, type ElementPart, type PartInfo } from "lit-html/directive.js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { ask } from "../api";
import { asTable, empty, panel, unit } from "../parts";
import type { Room, View } from "../room";
import type { Series, Trend } from "../shapes";
import { clock, date, num, t, when, w } from "../words";
import { quantityName } from "../names";

const SPANS: [number, string][] = [[1, w("1 h")], [6, w("6 h")], [24, w("24 h")], [168, w("7 d")]];
const MOST = 6; // series at a time: more cannot be read on one screen
let shown: Series[] = [], loadedFor = "", loadedAt = -1e9, busy = false, find = "";
let compared: [number, number] | null = null; // two moments [ms]

export const trends: View = {
  draw(room) {
    const chosen = names(room), q = room.query, hours = Number(q.get("h") ?? 6), from = q.get("from"), to = q.get("to");
    const key = `${chosen.join("|")} ${hours} ${from} ${to}`;
    if (!busy && (key !== loadedFor || (!to && performance.now() - loadedAt > 15_000))) void load(room, key, chosen, hours, from, to);
    return html`<div class="bar" role="toolbar" aria-label=${t("Trends")}>
        ${chosen.map((n) => html`<span class="chip"><span class="el" title=${label(n)}>${label(n)}</span><button aria-label=${t("Remove {name}", { name: label(n) })} @click=${() => put(room, { s: chosen.filter((x) => x !== n).join("|") })}>×</button></span>`)}
        ${chosen.length < MOST ? html`<input class="field" list="values" placeholder=${t("Add a value")} aria-label=${t("Add a value")} .value=${find} @input=${(e: Event) => { find = (e.target as HTMLInputElement).value; }} @change=${(e: Event) => add(room, (e.target as HTMLInputElement).value)}><datalist id="values">${room.live.layout.values.map((v) => html`<option value=${label(`${v.quantity}:${v.where}`)}></option>`)}</datalist>` : nothing}
        <span class="grow"></span>
        <span class="seg" role="group" aria-label=${t("Time range")}>${SPANS.map(([h, words]) => html`<button aria-pressed=${!from && h === hours ? "true" : "false"} @click=${() => put(room, { h: String(h), from: "", to: "" })}>${t(words)}</button>`)}</span>
        ${from ? html`<button class="btn" @click=${() => put(room, { from: "", to: "" })}>${t("Back to now")}</button>` : nothing}
        <button class="btn" aria-pressed=${compared ? "true" : "false"} @click=${() => { compared = compared ? null : ends(); room.draw(); }}>${t("Compare two moments")}</button>
        <button class="btn" @click=${() => download(room)}>${t("Export CSV")}</button><button class="btn" @click=${() => print()}>${t("Print")}</button>
      </div>
      <div class="stack">${chosen.length === 0 ? panel(t("Trends"), empty(t("Add a value above: a pressure, a flow, a voltage."))) : nothing}
        ${compared ? comparison() : nothing}
        ${shown.map((s, k) => one(room, s, k))}</div>`;
  },
};
function names(room: Room): string[] {
  const said = room.query.get("s");
  return said ? said.split("|").filter(Boolean).slice(0, MOST) : [];
}
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
  return panel(told, html`<div class="fig" role="img" aria-label=${told} ${plots(s, k, (a, b) => put(room, { from: new Date(a * 1000).toISOString(), to: new Date(b * 1000).toISOString() }))}></div>
    ${asTable(told, [t("Time"), t("Measured"), t("Estimate")], s.time.filter((_, i) => i % every === 0).map((x, i) => [clock(x), s.measured[i * every] ?? null, s.estimate[i * every] ?? null]))}`, { quiet: `${unit(s.unit)} · ${s.time.length ? date(s.time[0]!) : ""}` });
}
const ends = (): [number, number] => { const x = shown[0]?.time ?? []; return [+new Date(x[0] ?? 0), +new Date(x.at(-1) ?? 0)]; };
function comparison(): TemplateResult {
  const near = (s: Series, at: number): number | null => { let best: number | null = null, d = Infinity; s.time.forEach((x, i) => { const e = Math.abs(+new Date(x) - at); const v = s.estimate[i] ?? s.measured[i] ?? null; if (v !== null && e < d) { d = e; best = v; } }); return best; };
  const [a, b] = compared!;
  return panel(t("Two moments"), html`<table class="inset"><thead><tr><th title=${t("Value")}>${t("Value")}</th><th class="n">${when(new Date(a).toISOString(), 0)}</th><th class="n">${when(new Date(b).toISOString(), 0)}</th><th class="n" title=${t("Change")}>${t("Change")}</th><th title=${t("Unit")}>${t("Unit")}</th></tr></thead><tbody>${shown.map((s) => { const x = near(s, a), y = near(s, b); return html`<tr><td>${quantityName(s.quantity)} <span class="q">${s.where}</span></td><td class="n">${num(x, 2)}</td><td class="n">${num(y, 2)}</td><td class="n">${x === null || y === null ? "–" : num(y - x, 2)}</td><td class="q">${unit(s.unit)}</td></tr>`; })}</tbody></table>`, { quiet: t("hold Shift and click twice in a trend to choose them"), body: "flush scroll" });
}
function download(room: Room): void {
  const rows = ["time,quantity,where,unit,measured,estimate,sigma"];
  const quote = (x: string): string => (/[",\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : x);
  for (const s of shown) s.time.forEach((x, i) => rows.push([x, s.quantity, quote(s.where), quote(s.unit), s.measured[i] ?? "", s.estimate[i] ?? "", s.sigma[i] ?? ""].join(",")));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${rows.join("\n")}\n`], { type: "text/csv" }));
  link.download = `${room.live.case.name}-trends.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

// ------------------------------------------------------------------------ uPlot in a panel, redrawn only when needed
const sync = uPlot.sync("trends");
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const made = new WeakMap<Element, { plot: uPlot; theme: string; series: Series }>();
const resized = new ResizeObserver((entries) => { for (const { target, contentRect: r } of entries) made.get(target)?.plot.setSize({ width: r.width, height: r.height }); });

function columns(s: Series): uPlot.AlignedData {
  const low = s.estimate.map((y, i) => { const sd = s.sigma[i]; return y === null || sd == null ? null : y - 2 * sd; }), high = s.estimate.map((y, i) => { const sd = s.sigma[i]; return y === null || sd == null ? null : y + 2 * sd; });
  return [s.time.map((x) => +new Date(x) / 1000), s.estimate, s.measured, low, high];
}
function make(box: HTMLElement, s: Series, zoomed: (a: number, b: number) => void): uPlot {
  const ink = colour("--ink"), quiet = colour("--ink3"), hair = colour("--hair"), font = "11px Inter, sans-serif";
  const axis = { stroke: quiet, font, grid: { stroke: hair, width: 1 }, ticks: { stroke: hair, width: 1, size: 4 } };
  const limits: uPlot.Plugin = { hooks: { drawAxes: (u) => { const { ctx } = u; ctx.save(); ctx.strokeStyle = colour("--ink2"); ctx.lineWidth = devicePixelRatio; for (const v of [s.limits?.low, s.limits?.high]) if (v != null) { const y = Math.round(u.valToPos(v, "y", true)); if (y > u.bbox.top && y < u.bbox.top + u.bbox.height) { ctx.beginPath(); ctx.moveTo(u.bbox.left, y); ctx.lineTo(u.bbox.left + u.bbox.width, y); ctx.stroke(); } } ctx.restore(); } } };
  const plot = new uPlot({
    width: box.clientWidth, height: box.clientHeight, padding: [8, 14, 0, 0], legend: { show: false }, plugins: [limits],
    cursor: { sync: { key: sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    hooks: { setSelect: [(u) => { if (u.select.width > 4) { const a = u.posToVal(u.select.left, "x"), b = u.posToVal(u.select.left + u.select.width, "x"); u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false); zoomed(a, b); } }] },
    axes: [{ ...axis, values: (_u, all) => all.map((x) => clock(x * 1000, false)) }, { ...axis, size: 58, values: (_u, all) => { const d = all.length > 1 ? Math.max(0, -Math.floor(Math.log10(Math.abs(all[1]! - all[0]!)) + 1e-9)) : 1; return all.map((y) => num(y, d)); } }],
    series: [{}, { stroke: ink, width: 1.6, points: { show: false } }, { stroke: ink, width: 0, points: { show: true, size: 4, fill: ink, stroke: ink } }, { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } }],
    bands: [{ series: [4, 3], fill: colour("--band") }],
  }, columns(s), box);
  plot.over.addEventListener("click", (e) => {
    if (!e.shiftKey || plot.cursor.left == null) return;
    const at = plot.posToVal(plot.cursor.left, "x") * 1000;
    compared = compared ? [compared[1], at] : [at, at];
    redraw();
  });
  return plot;
}
let redraw: () => void = () => {};
export const onCompare = (draw: () => void): void => void (redraw = draw);

class Plots extends Directive {
  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("a plot is drawn into an element");
  }
  override update(part: ElementPart, [s, , zoomed]: [Series, number, (a: number, b: number) => void]): void {
    const box = part.element as HTMLElement, old = made.get(box), theme = document.documentElement.dataset["theme"] ?? "";
    if (old?.series === s && old.theme === theme) return;
    requestAnimationFrame(() => {
      if (!box.isConnected || box.clientWidth < 10) return;
      if (old && old.theme === theme && old.series.where === s.where && old.series.quantity === s.quantity) { old.plot.setData(columns(s)); old.series = s; return; }
      old?.plot.destroy();
      if (!old) resized.observe(box);
      made.set(box, { plot: make(box, s, zoomed), theme, series: s });
    });
  }
  render(_s: Series, _k: number, _zoomed: (a: number, b: number) => void): void {}
}
const plots = directive(Plots);
