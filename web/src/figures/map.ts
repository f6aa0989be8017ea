// The map: what flows, as wide as it is; grey unless an alarm names it. Without coordinates it is a drawn schematic.
import { html, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import type { Live } from "../live";
import type { Alarm, Element, Export } from "../shapes";
import { num, t } from "../words";
import { badge, badgeIn, priorityName, RANK } from "./marks";
import { figure } from "./draw";
import { unit } from "../units";
import { inside, land, type Tile } from "./land";

export interface MapOptions {
  gas: boolean; power: boolean; synthetic: boolean;
  cards?: boolean; only?: Set<string> | null; // ids that are shown in full; the rest faint
  open: (e: Element) => void;
}
type P = readonly [number, number];
interface Box { x0: number; y0: number; x1: number; y1: number }

const WIDEST = 9; // px of the largest flow
export class MapFigure {
  private tiles: Tile[] = [];
  private own = "";
  private zoom = 1;
  private shift: [number, number] = [0, 0];
  private box: Box | null = null;
  private sites: Element[] = [];
  constructor(private live: Live, private changed: () => void, private keep = 0.06) {}

  /** Take the network as it is: bounds, land below. */
  load(focus?: Set<string>): void {
    const points: P[] = [];
    for (const e of this.live.elements) if (!focus || focus.has(e.id)) for (const p of e.path ?? (e.at ? [e.at] : [])) points.push(p);
    if (points.length === 0) return;
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const w = Math.max(...xs) - Math.min(...xs) || 1, h = Math.max(...ys) - Math.min(...ys) || 1, k = this.keep + (focus ? 0.3 : 0);
    this.box = { x0: Math.min(...xs) - k * w, x1: Math.max(...xs) + k * w, y0: Math.min(...ys) - k * h, y1: Math.max(...ys) + k * h };
    this.sites = this.live.elements.filter((e) => e.at);
    if (!this.live.case.has_map) return;
    const b = this.box, sample = points.filter((_, i) => i % Math.ceil(points.length / 60) === 0);
    void land(b.x0 - 0.6 * w, b.y0 - 0.6 * h, b.x1 + 0.6 * w, b.y1 + 0.6 * h).then((tiles) => {
      this.tiles = tiles;
      const count = new Map<string, number>();
      for (const c of tiles.flatMap((tile) => tile.countries)) count.set(c.name, (count.get(c.name) ?? 0) + sample.filter((p) => inside(c.rings, p[0], p[1])).length);
      this.own = [...count].sort((a, z) => z[1] - a[1])[0]?.[0] ?? "";
      this.changed();
    });
  }

  view(o: MapOptions): TemplateResult {
    const label = t("Map of the network: {n} elements, {m} of them with an alarm", { n: this.live.elements.length, m: this.live.marked().size });
    return html`<div class="fig map" @pointerdown=${(e: PointerEvent) => this.grab(e)} @wheel=${(e: WheelEvent) => this.wheel(e)}>
      ${figure(label, (w, h) => this.draw(o, w, h), "position:absolute;inset:0", true)}
      ${o.cards ? this.cards(o) : ""}
      <div class="zoom"><button @click=${() => this.scale(1.5)} aria-label=${t("Nearer")}>+</button><button @click=${() => this.scale(1 / 1.5)} aria-label=${t("Farther")}>−</button></div>
    </div>`;
  }

  // ------------------------------------------------------------------ place
  private size: [number, number] = [1, 1];
  private project(): (p: P) => [number, number] {
    const b = this.box!, [w, h] = this.size;
    const kx = this.live.case.has_map ? Math.cos((((b.y0 + b.y1) / 2) * Math.PI) / 180) : 1;
    const k = Math.min(w / ((b.x1 - b.x0) * kx), h / (b.y1 - b.y0)) * this.zoom;
    const ox = w / 2 - ((b.x0 + b.x1) / 2) * kx * k + this.shift[0], oy = h / 2 + ((b.y0 + b.y1) / 2) * k + this.shift[1];
    return ([x, y]) => [ox + x * kx * k, oy - y * k];
  }
  private scale(f: number, at: P = [this.size[0] / 2, this.size[1] / 2]): void {
    const next = Math.max(0.6, Math.min(24, this.zoom * f)), r = next / this.zoom;
    this.shift = [at[0] - this.size[0] / 2 - r * (at[0] - this.size[0] / 2 - this.shift[0]), at[1] - this.size[1] / 2 - r * (at[1] - this.size[1] / 2 - this.shift[1])];
    this.zoom = next;
    this.changed();
  }
  private wheel(e: WheelEvent): void {
    e.preventDefault();
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    this.scale(e.deltaY < 0 ? 1.25 : 0.8, [e.clientX - r.left, e.clientY - r.top]);
  }
  /** Panning moves one group; the picture is laid out anew when the hand lets go. */
  private grab(e: PointerEvent): void {
    if (e.button !== 0 || (e.target as globalThis.Element).closest("button,.card")) return;
    const box = e.currentTarget as HTMLElement, start: P = [e.clientX, e.clientY];
    let moved: P = [0, 0], frame = 0;
    const group = box.querySelector<SVGGElement>("g.world");
    const move = (m: PointerEvent): void => {
      moved = [m.clientX - start[0], m.clientY - start[1]];
      frame ||= requestAnimationFrame(() => { frame = 0; group?.setAttribute("transform", `translate(${moved[0]} ${moved[1]})`); });
    };
    const end = (): void => {
      box.removeEventListener("pointermove", move);
      cancelAnimationFrame(frame);
      group?.removeAttribute("transform");
      if (Math.hypot(...moved) > 3) { this.shift = [this.shift[0] + moved[0], this.shift[1] + moved[1]]; this.changed(); }
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end, { once: true });
    box.addEventListener("pointerleave", end, { once: true });
  }

  // ------------------------------------------------------------------- draw
  private draw(o: MapOptions, w: number, h: number): SVGTemplateResult {
    if (w !== this.size[0] || h !== this.size[1]) { this.size = [w, h]; requestAnimationFrame(this.changed); } // cards beside the drawing
    if (!this.box) return svg`<text x="12" y="24" class="t">${t("The case has no coordinates and no schematic.")}</text>`;
    const at = this.project(), marked = this.live.marked(), most = this.mostFlow();
    const edges = this.live.elements.filter((e) => e.path && this.shown(e, o));
    const pipes = edges.filter((e) => e.kind === "pipe"), wires = edges.filter((e) => e.kind === "line" && e.carrier !== "gas");
    const stations = edges.filter((e) => e.kind === "compressor" || e.kind === "regulator");
    const late = (e: Element): number => Number(marked.has(e.id));
    return svg`<g class="world">
      ${this.ground(at)}
      ${o.power ? wires.toSorted((a, b) => late(a) - late(b)).map((e) => this.wire(e, at, marked.get(e.id), o)) : ""}
      ${o.gas ? pipes.toSorted((a, b) => late(a) - late(b)).map((e) => this.pipe(e, at, marked.get(e.id), most, o)) : ""}
      ${o.gas ? stations.map((e) => this.station(e, at, marked.get(e.id), o)) : ""}
      ${this.sites.filter((e) => this.shown(e, o)).map((e) => this.site(e, at, marked.get(e.id), o))}
      ${this.labels(o, at, stations)}
    </g>`;
  }
  private shown(e: Element, o: MapOptions): boolean {
    if (e.synthetic && !o.synthetic) return false;
    return e.carrier === "both" || (e.carrier === "gas" ? o.gas : o.power);
  }
  private faint = (e: Element, o: MapOptions): string => (o.only && !o.only.has(e.id) ? "dead" : "");

  private ground(at: (p: P) => [number, number]): SVGTemplateResult {
    const ring = (r: number[][], close: string): string => `M${r.map((p) => at(p as unknown as P).map((v) => v.toFixed(1)).join(" ")).join("L")}${close}`;
    return svg`${this.tiles.flatMap((tile) => tile.countries.map((c) => svg`<path class=${`land ${c.name === this.own ? "own" : ""}`} d=${c.rings.map((r) => ring(r, "Z")).join("")}></path>`))}
      ${this.tiles.map((tile) => svg`<path class="coast" d=${tile.lines.map((l) => ring(l, "")).join("")}></path>`)}`;
  }
  private mostFlow(): number {
    let most = 1e-9;
    for (const e of this.live.elements) if (e.kind === "pipe") most = Math.max(most, Math.abs(this.flow(e) ?? 0), e.capacity ?? 0);
    return most;
  }
  flow(e: Element): number | null {
    return this.live.value("flow", e.name)?.value ?? null;
  }

  private hit(e: Element, o: MapOptions, label: string, content: SVGTemplateResult): SVGTemplateResult {
    return svg`<g class="hit" tabindex="0" role="button" data-element=${e.id} aria-label=${label} @click=${() => o.open(e)}
      @keydown=${(k: KeyboardEvent) => { if (k.key === "Enter" || k.key === " ") { k.preventDefault(); o.open(e); } }}>${content}<title>${label}</title></g>`;
  }
  private pipe(e: Element, at: (p: P) => [number, number], alarm: Alarm | undefined, most: number, o: MapOptions): SVGTemplateResult {
    const [a, b] = this.apart(e, e.path!.map(at)), q = this.flow(e), d = `M${a[0].toFixed(1)} ${a[1].toFixed(1)}L${b[0].toFixed(1)} ${b[1].toFixed(1)}`;
    const idle = q === null || Math.abs(q) < 2e-3 * most, wide = idle ? 4 : 1.4 + (WIDEST - 1.4) * Math.abs(q) / most;
    const long = Math.hypot(b[0] - a[0], b[1] - a[1]), turn = (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI + (q !== null && q < 0 ? 180 : 0);
    const arrows = !idle && wide > 2.6 && long > 30 ? Math.max(1, Math.round(long / 90)) : 0, h = Math.min(wide * 0.42, 3);
    const told = `${e.name}, ${q === null ? t("no flow known") : `${num(q, 1)} ${t("Mm³/d")}`}${alarm ? `, ${priorityName(alarm.priority)}: ${alarm.text}` : ""}`;
    const colour = alarm ? `stroke:var(--p${RANK[alarm.priority]})` : "";
    return this.hit(e, o, told, svg`<path d=${d} class="foc"></path><g class=${this.faint(e, o)}>
      <path d=${d} class="case" stroke-width=${(wide + (alarm ? 5 : 2.4)).toFixed(1)}></path><path d=${d} class="pipe" style=${colour} stroke-width=${(wide + (alarm ? 2 : 0)).toFixed(1)}></path>
      ${idle ? svg`<path d=${d} class="tube"></path>` : ""}${e.synthetic ? svg`<path d=${d} class="stitch" stroke-width=${(wide + 0.6).toFixed(1)}></path>` : ""}
      ${Array.from({ length: arrows }, (_, i) => { const s = (i + 0.5) / arrows; return svg`<path class="arrow" d=${`M${-h} ${-h}L${h * 0.5} 0L${-h} ${h}`} transform=${`translate(${(a[0] + s * (b[0] - a[0])).toFixed(1)} ${(a[1] + s * (b[1] - a[1])).toFixed(1)}) rotate(${turn.toFixed(0)})`}></path>`; })}
      ${alarm ? svg`<g transform=${`translate(${((a[0] + b[0]) / 2 - 8).toFixed(1)} ${((a[1] + b[1]) / 2 + 8).toFixed(1)})`}>${badgeIn(alarm.priority, alarm.state === "unacknowledged")}</g>` : ""}</g>`);
  }
  /** Pipes between the same two nodes lie side by side. */
  private apart(e: Element, [a, b]: [number, number][]): [[number, number], [number, number]] {
    const same = this.live.elements.filter((x) => x.kind === "pipe" && ((x.from === e.from && x.to === e.to) || (x.from === e.to && x.to === e.from)));
    const k = same.indexOf(e) - (same.length - 1) / 2;
    if (same.length < 2 || !a || !b) return [a!, b!];
    const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1, flip = same[0]!.from === e.from ? 1 : -1;
    const dx = (-(b[1] - a[1]) / long) * 5 * k * flip, dy = ((b[0] - a[0]) / long) * 5 * k * flip;
    return [[a[0] + dx, a[1] + dy], [b[0] + dx, b[1] + dy]];
  }
  private wire(e: Element, at: (p: P) => [number, number], alarm: Alarm | undefined, o: MapOptions): SVGTemplateResult {
    const [a, b] = e.path!.map(at) as [[number, number], [number, number]];
    const bow = this.live.elements.some((x) => x.kind === "pipe" && x.path && near(x.path, e.path!)) ? 0.09 : 0;
    const c = [(a[0] + b[0]) / 2 - (b[1] - a[1]) * bow * 2, (a[1] + b[1]) / 2 + (b[0] - a[0]) * bow * 2];
    const d = `M${a[0].toFixed(1)} ${a[1].toFixed(1)}Q${c[0]!.toFixed(1)} ${c[1]!.toFixed(1)} ${b[0].toFixed(1)} ${b[1].toFixed(1)}`, high = (e.level_kv ?? 0) >= 400;
    const load = this.live.value("loading", e.name)?.value ?? null;
    const told = `${e.name}, ${num(e.level_kv, 0)} kV${load === null ? "" : `, ${num(load, 0)} %`}${alarm ? `, ${priorityName(alarm.priority)}: ${alarm.text}` : ""}`;
    const colour = alarm ? `stroke:var(--p${RANK[alarm.priority]})` : "";
    return this.hit(e, o, told, svg`<path d=${d} class="foc"></path><g class=${this.faint(e, o)}>${alarm ? svg`<path d=${d} fill="none" stroke="var(--edge)" stroke-width="4.6"></path>` : ""}
      <path d=${d} class="wire" style=${colour} stroke-width=${alarm || high ? 3 : 1.2}></path>${high && !alarm ? svg`<path d=${d} class="core"></path>` : ""}${e.synthetic ? svg`<path d=${d} class="stitch" stroke-width="3.4"></path>` : ""}
      ${alarm ? svg`<g transform=${`translate(${(0.25 * a[0] + 0.5 * c[0]! + 0.25 * b[0] - 8).toFixed(1)} ${(0.25 * a[1] + 0.5 * c[1]! + 0.25 * b[1] - 8).toFixed(1)})`}>${badgeIn(alarm.priority, alarm.state === "unacknowledged")}</g>` : ""}</g>`);
  }
  private station(e: Element, at: (p: P) => [number, number], alarm: Alarm | undefined, o: MapOptions): SVGTemplateResult {
    const [x, y] = middle(e.path!.map(at)), r = e.kind === "compressor" ? 7 : 4.5;
    return this.hit(e, o, `${t(e.kind === "compressor" ? "Compressor station" : "Regulator")} ${e.name}`, svg`<circle cx=${x} cy=${y} r=${r + 4} class="foc" style="stroke-width:2"></circle><g class=${this.faint(e, o)}>
      <circle cx=${x} cy=${y} r=${r} class=${`site ${e.synthetic ? "synthetic" : ""}`}></circle>${r < 6 ? "" : svg`<path d=${`M${x - r * 0.62} ${y - r * 0.72}L${x + r * 0.86} ${y - r * 0.26}M${x - r * 0.62} ${y + r * 0.72}L${x + r * 0.86} ${y + r * 0.26}`} stroke="var(--gas)" stroke-width="1.2"></path>`}
      ${alarm ? svg`<g transform=${`translate(${x - 26} ${y - 8})`}>${badgeIn(alarm.priority, alarm.state === "unacknowledged")}</g>` : ""}</g>`);
  }
  private site(e: Element, at: (p: P) => [number, number], alarm: Alarm | undefined, o: MapOptions): SVGTemplateResult {
    const [x, y] = at(e.at!), h = 6.5;
    const shape = e.kind === "field" && e.table === "supplies" ? svg`<path class="site" d=${`M${Array.from({ length: 6 }, (_, i) => `${(x + h * Math.cos(i * 1.0472)).toFixed(1)} ${(y + h * Math.sin(i * 1.0472)).toFixed(1)}`).join("L")}Z`}></path>`
      : e.kind === "export" && e.carrier === "gas" ? svg`<circle cx=${x} cy=${y} r="5.5" class="site"></circle><circle cx=${x} cy=${y} r="2.2" fill="var(--gas)"></circle>`
      : e.kind === "bus" && (e.level_kv ?? 0) >= 200 ? svg`<rect x=${x - 4.5} y=${y - 4.5} width="9" height="9" class="bus"></rect><path d=${`M${x - 4.5} ${y}H${x + 4.5}`} stroke="var(--pow)" stroke-width="1.6"></path>` : null;
    if (!shape && !alarm) return svg``;
    return this.hit(e, o, `${e.name}${alarm ? `, ${priorityName(alarm.priority)}: ${alarm.text}` : ""}`, svg`<circle cx=${x} cy=${y} r="10" class="foc" style="stroke-width:2"></circle><g class=${this.faint(e, o)}>${shape ?? ""}
      ${alarm ? svg`<g transform=${`translate(${x - 24} ${y - 8})`}>${badgeIn(alarm.priority, alarm.state === "unacknowledged")}</g>` : ""}</g>`);
  }

  // ----------------------------------------------------------------- labels
  private labels(o: MapOptions, at: (p: P) => [number, number], stations: Element[]): SVGTemplateResult {
    const [w, h] = this.size, taken: Rect[] = o.cards ? this.laid.map((c) => c.rect) : [];
    const wanted: { e: Element; p: [number, number]; rank: number }[] = [];
    for (const e of this.sites) if (this.shown(e, o)) {
      if (e.kind === "field" && e.table === "supplies") wanted.push({ e, p: at(e.at!), rank: 3 });
      else if (e.kind === "bus" && (e.level_kv ?? 0) >= 200) wanted.push({ e, p: at(e.at!), rank: (e.level_kv ?? 0) >= 400 ? 2 : 5 });
    }
    for (const e of stations) if (e.kind === "compressor") wanted.push({ e, p: middle(e.path!.map(at)), rank: 4 });
    const found: SVGTemplateResult[] = [], said = new Set<string>();
    for (const { p } of wanted) taken.push({ x: p[0] - 6, y: p[1] - 6, w: 12, h: 12 });
    for (const { e, p } of wanted.sort((a, b) => a.rank - b.rank)) {
      const name = e.name.replace(/ (CS|220|500|110)$/, ""), wide = measure(name);
      if (said.has(name) || p[0] < 0 || p[1] < 0 || p[0] > w || p[1] > h) continue;
      for (const [dx, dy, kind] of [[10, 4, ""], [-10, 4, "e"], [0, -10, "m"], [0, 18, "m"], [9, -8, ""], [-9, 14, "e"]] as const) {
        const x = p[0] + dx, y = p[1] + dy, left = kind === "e" ? x - wide : kind === "m" ? x - wide / 2 : x;
        const r = { x: left - 1, y: y - 10, w: wide + 2, h: 13 };
        if (r.x < 2 || r.x + r.w > w - 2 || r.y < 2 || r.y + r.h > h - 2 || taken.some((q) => meet(q, r))) continue;
        taken.push(r);
        said.add(name);
        found.push(svg`<text x=${x.toFixed(1)} y=${y.toFixed(1)} class=${`halo k2 ${kind}`}>${name}</text>`);
        break;
      }
    }
    return svg`${this.laid.map((c) => (o.cards ? svg`<path d=${`M${c.p[0].toFixed(1)} ${c.p[1].toFixed(1)}L${c.end[0].toFixed(1)} ${c.end[1].toFixed(1)}`} class="lim" style="stroke:var(--ink3)"></path>` : ""))}${found}`;
  }

  // ------------------------------------------------------------------ cards
  private laid: { rect: Rect; p: [number, number]; end: [number, number] }[] = [];
  private cards(o: MapOptions): TemplateResult[] {
    this.laid = [];
    const [w, h] = this.size;
    if (!this.box || w < 620 || !this.live.snapshot) return [];
    const at = this.project(), W = 172, H = 44, out: TemplateResult[] = [];
    const mid: P = [w / 2, h / 2];
    for (const x of this.live.snapshot.exports) {
      const e = this.live.resolve(x.id), p = e?.at ? at(e.at) : null;
      if (!e || !p || p[0] < 0 || p[1] < 0 || p[0] > w || p[1] > h) continue;
      const rect = this.room(p, mid, W, H);
      if (!rect) continue;
      const end: [number, number] = [Math.max(rect.x, Math.min(rect.x + W, p[0])), Math.max(rect.y, Math.min(rect.y + H, p[1]))];
      this.laid.push({ rect, p, end });
      out.push(html`<button class="card ${x.alarm ? `p${RANK[x.alarm]}` : ""}" style="left:${rect.x.toFixed(0)}px;top:${rect.y.toFixed(0)}px" @click=${() => o.open(e)}>${exportCard(x)}</button>`);
    }
    return out;
  }
  private room(p: P, mid: P, W: number, H: number): Rect | null {
    const [w, h] = this.size, out = Math.atan2(p[1] - mid[1], p[0] - mid[0]);
    for (const far of [22, 46, 80, 120, 170])
      for (const turn of [0, 0.4, -0.4, 0.8, -0.8, 1.3, -1.3, 1.9, -1.9, 3]) {
        const cx = p[0] + Math.cos(out + turn) * (far + W / 2), cy = p[1] + Math.sin(out + turn) * (far + H / 2);
        const r = { x: Math.max(6, Math.min(w - W - 46, cx - W / 2)), y: Math.max(6, Math.min(h - H - 8, cy - H / 2)), w: W, h: H };
        if (!this.laid.some((q) => meet(grown(q.rect, 5), r)) && !(p[0] > r.x - 8 && p[0] < r.x + W + 8 && p[1] > r.y - 8 && p[1] < r.y + H + 8)) return r;
      }
    return null;
  }
}

/** One export at a glance: what flows, of what was nominated, of what the line can carry. */
export function exportCard(x: Export): TemplateResult {
  const most = Math.max(x.capacity ?? 0, x.nominated ?? 0, x.flow ?? 0) || 1, part = (v: number | null): string => `${Math.max(0, Math.min(100, (100 * (v ?? 0)) / most)).toFixed(1)}%`;
  const colour = x.alarm ? `var(--p${RANK[x.alarm]})` : "var(--gas)";
  return html`<span class="top"><b class="el" title=${x.name}>${x.name.replace(/ export$/, "")}</b>${x.alarm ? html`<span class="grow"></span>${badge(x.alarm, false, 14)}` : ""}</span>
    <span class="top"><span>${num(x.flow, 1)}${x.nominated === null ? "" : html` <span class="q">${t("of {n}", { n: num(x.nominated, 1) })}</span>`}</span><span class="grow"></span><span class="q">${x.capacity === null ? "" : `${t("max {n}", { n: num(x.capacity, 0) })} `}${unit(x.unit)}</span></span>
    <span style="display:block;position:relative;height:4px;background:var(--sunk)"><span style="position:absolute;inset:0 auto 0 0;width:${part(x.flow)};background:${colour}"></span>${x.nominated === null ? "" : html`<span style="position:absolute;top:-3px;height:10px;width:2px;background:var(--ink);left:${part(x.nominated)}"></span>`}</span>`;
}

interface Rect { x: number; y: number; w: number; h: number }
const meet = (a: Rect, b: Rect): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
const grown = (r: Rect, d: number): Rect => ({ x: r.x - d, y: r.y - d, w: r.w + 2 * d, h: r.h + 2 * d });
const middle = (path: [number, number][]): [number, number] => [(path[0]![0] + path.at(-1)![0]) / 2, (path[0]![1] + path.at(-1)![1]) / 2];
const near = (a: [number, number][], b: [number, number][]): boolean => {
  const d = (p: P, q: P): number => Math.hypot(p[0] - q[0], p[1] - q[1]), [p, q] = [a[0]!, a.at(-1)!], [r, s] = [b[0]!, b.at(-1)!], long = d(r, s);
  return Math.min(d(p, r) + d(q, s), d(p, s) + d(q, r)) < 0.5 * long;
};
let pen: CanvasRenderingContext2D | null = null;
const widths = new Map<string, number>();
function measure(s: string): number {
  const known = widths.get(s);
  if (known !== undefined) return known;
  pen ??= document.createElement("canvas").getContext("2d");
  if (pen) pen.font = "11px Inter, sans-serif";
  const wide = pen?.measureText(s).width ?? s.length * 6.3;
  if (document.fonts.check("11px Inter")) widths.set(s, wide);
  return wide;
}
