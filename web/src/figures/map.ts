// The map: what flows, as wide as it is; grey unless an alarm names it. Without coordinates it is a drawn schematic.
// The hand moves one layer; a scan redraws only the elements whose look has changed.
import { html, nothing, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import { repeat } from "lit-html/directives/repeat.js";
import type { Live } from "../live";
import type { Alarm, Element } from "../shapes";
import { asTable } from "../parts";
import { language, num, t } from "../words";
import { badgeIn, priorityName, RANK } from "./marks";
import { figure, lettered, measure } from "./draw";
import { exportCard, legend, scaleBar, shortCard } from "./mapkey";
import { inside, land, type Tile } from "./land";

export interface MapOptions {
  gas: boolean; power: boolean; synthetic: boolean;
  cards?: boolean; only?: Set<string> | null; // ids that are shown in full; the rest faint
  open: (e: Element) => void;
}
type P = readonly [number, number];
type Drawing = (alarm: Alarm | undefined, faint: string) => SVGTemplateResult;
interface Box { x0: number; y0: number; x1: number; y1: number }
/** One element in its place: drawn again when `look`, all that a scan can change of it, is another. */
interface Placed { e: Element; look: (alarm: Alarm | undefined) => unknown[]; draw: Drawing }

const WIDEST = 9; // px of the largest flow
const CARD = { width: 172, height: 44 }, SHORT = 20; // px
const LEAST = 0.6, MOST = 24; // zoom
const TABLE = 10_000; // ms between two tables
const SETTLED = 120; // ms without a turn of the wheel until the picture is laid out anew
export class MapFigure {
  private tiles: Tile[] = [];
  private own = "";
  private zoom = 1;
  private drawnZoom = 1; // of the layout on the screen; the difference is only stretched
  private shift: [number, number] = [0, 0];
  private box: Box | null = null;
  private size: [number, number] = [1, 1];
  private settling: ReturnType<typeof setTimeout> | undefined;
  private placed: Layout = { key: "", list: [], wanted: [], dense: [], solid: [] };
  private beside = new Map<string, number>(); // pipes of the same two nodes: how far to the side
  private bowed = new Set<string>(); // power lines that would lie on a pipe
  /** `moved` is told where the reader has moved the map. */
  constructor(private live: Live, private changed: () => void, private moved: (place: string) => void = () => {}, private keep = 0.06) {}

  /** Take the network as it is: bounds, land below. */
  load(focus?: Set<string>): void {
    const points: P[] = [];
    for (const e of this.live.elements) if (!focus || focus.has(e.id)) for (const p of e.path ?? (e.at ? [e.at] : [])) points.push(p);
    if (points.length === 0) return;
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const w = Math.max(...xs) - Math.min(...xs) || 1, h = Math.max(...ys) - Math.min(...ys) || 1, k = this.keep + (focus ? 0.3 : 0);
    this.box = { x0: Math.min(...xs) - k * w, x1: Math.max(...xs) + k * w, y0: Math.min(...ys) - k * h, y1: Math.max(...ys) + k * h };
    this.neighbours();
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
  private neighbours(): void {
    const pipes = this.live.elements.filter((e) => e.kind === "pipe" && e.path), same = new Map<string, Element[]>();
    for (const e of pipes) { const k = [e.from, e.to].sort().join("\n"); same.set(k, [...(same.get(k) ?? []), e]); }
    for (const list of same.values()) if (list.length > 1) list.forEach((e, k) => this.beside.set(e.id, (k - (list.length - 1) / 2) * (list[0]!.from === e.from ? 1 : -1)));
    for (const e of this.live.elements) if (e.kind === "line" && e.path && pipes.some((x) => near(x.path!, e.path!))) this.bowed.add(e.id);
  }

  view(o: MapOptions): TemplateResult {
    const marked = this.live.marked(), label = t("Map of the network: {n} elements, {m} of them with an alarm", { n: this.live.elements.length, m: marked.size });
    return html`<div class="fig map" @pointerdown=${(e: PointerEvent) => this.grab(e)} @wheel=${(e: WheelEvent) => this.wheel(e)} @focusin=${(e: FocusEvent) => this.reveal(e)}>
      <div class="world" style=${this.standing()}>${figure(label, (w, h) => this.draw(o, w, h, marked), "position:absolute;inset:0", true)}${o.cards ? this.cards(o) : ""}</div>
      <div class="zoom"><button @click=${() => this.scale(1.5)} aria-label=${t("Nearer")}>+</button><button @click=${() => this.scale(1 / 1.5)} aria-label=${t("Farther")}>−</button>${this.whole() ? nothing : html`<button @click=${() => this.reset()} aria-label=${t("Whole network")} title=${t("Whole network")}>□</button>`}</div>
      ${this.box && this.live.case.has_map ? scaleBar(this.frame().k * (this.zoom / this.drawnZoom)) : nothing}
    </div>${guard([language(), o.gas, o.power, marked.size, Math.floor(+new Date(this.live.snapshot?.time ?? 0) / TABLE)], () => this.table(o, label, marked))}`;
  }
  /** What flows, in words; the legend says how it is drawn. */
  private table(o: MapOptions, label: string, marked: Map<string, Alarm>): TemplateResult {
    const rows = this.live.elements.filter((e) => e.path && (e.kind === "pipe" || e.kind === "line") && this.shown(e, o)).map((e) => [
      e.name, e.kind === "pipe" ? this.flow(e) : (this.live.value("loading", e.name)?.value ?? null), e.kind === "pipe" ? t("Mm³/d") : "%", marked.has(e.id) ? priorityName(marked.get(e.id)!.priority) : "",
    ]);
    return asTable(label, [t("Element"), t("Value"), t("Unit"), t("Alarm")], rows);
  }
  legend(o: MapOptions): TemplateResult {
    const most = this.mostFlow();
    return legend({ ...o, most: most > 1e-6 ? most : null, wide: (q) => thick(q, most), unknown: this.live.elements.some((e) => e.kind === "pipe" && e.path && this.flow(e) === null), kilovolt: [...new Set(this.live.elements.filter((e) => e.kind === "line" && e.level_kv).map((e) => e.level_kv!))].sort((a, b) => b - a) });
  }

  // ------------------------------------------------------------------ place
  private project(): (p: P) => [number, number] {
    const { ox, oy, kx, k } = this.frame();
    return ([x, y]) => [ox + x * kx * k, oy - y * k];
  }
  /** Scale and origin of the layout; the shift is left to the layer. */
  private frame(): { ox: number; oy: number; kx: number; k: number } {
    const b = this.box!, [w, h] = this.size, kx = this.live.case.has_map ? Math.cos((((b.y0 + b.y1) / 2) * Math.PI) / 180) : 1;
    const k = Math.min(w / ((b.x1 - b.x0) * kx), h / (b.y1 - b.y0)) * this.drawnZoom;
    return { ox: w / 2 - ((b.x0 + b.x1) / 2) * kx * k, oy: h / 2 + ((b.y0 + b.y1) / 2) * k, kx, k };
  }
  private standing(): string {
    const r = this.zoom / this.drawnZoom;
    return `transform:translate(${(this.shift[0] + this.held[0]).toFixed(1)}px,${(this.shift[1] + this.held[1]).toFixed(1)}px)${r === 1 ? "" : ` scale(${r.toFixed(4)})`}`;
  }
  private held: P = [0, 0]; // how far the hand has it now
  private whole = (): boolean => this.zoom === 1 && this.shift[0] === 0 && this.shift[1] === 0;
  private reset(): void {
    this.zoom = this.drawnZoom = 1;
    this.shift = [0, 0];
    this.settle();
  }
  /** Where the map stands, for the address: zoom and shift in parts of its size. */
  place(): string {
    return this.whole() ? "" : [this.zoom.toFixed(2), (this.shift[0] / this.size[0]).toFixed(3), (this.shift[1] / this.size[1]).toFixed(3)].join(",");
  }
  stand(place: string): void {
    const [zoom = 1, x = 0, y = 0] = place.split(",").map(Number);
    if (![zoom, x, y].every(Number.isFinite) || place === this.stood) return;
    this.stood = place;
    this.wanted = [x, y];
    this.zoom = this.drawnZoom = Math.max(LEAST, Math.min(MOST, zoom));
    this.shift = [x * this.size[0], y * this.size[1]];
  }
  private stood = "";
  private wanted: P | null = null; // a place from the address, until the size of the box is known
  private turn(f: number, at: P): void {
    const next = Math.max(LEAST, Math.min(MOST, this.zoom * f)), r = next / this.zoom, [w, h] = this.size;
    this.shift = [at[0] - w / 2 - r * (at[0] - w / 2 - this.shift[0]), at[1] - h / 2 - r * (at[1] - h / 2 - this.shift[1])];
    this.zoom = Math.abs(next - 1) < 1e-6 ? 1 : next;
  }
  private scale(f: number): void {
    this.turn(f, [this.size[0] / 2, this.size[1] / 2]);
    this.settle();
  }
  private settle(): void {
    this.drawnZoom = this.zoom;
    this.moved((this.stood = this.place()));
    this.changed();
  }
  private wheel(e: WheelEvent): void {
    e.preventDefault();
    const box = e.currentTarget as HTMLElement, r = box.getBoundingClientRect();
    this.turn(e.deltaY < 0 ? 1.25 : 0.8, [e.clientX - r.left, e.clientY - r.top]);
    box.querySelector(".world")?.setAttribute("style", this.standing());
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), SETTLED);
  }
  /** The hand moves the layer; names and cards are laid out anew when it lets go. */
  private grab(e: PointerEvent): void {
    if (e.button !== 0 || (e.target as globalThis.Element).closest("button,.card")) return;
    const box = e.currentTarget as HTMLElement, world = box.querySelector(".world"), start: P = [e.clientX, e.clientY];
    let by: P = [0, 0], frame = 0;
    const move = (m: PointerEvent): void => {
      by = [m.clientX - start[0], m.clientY - start[1]];
      this.held = by;
      frame ||= requestAnimationFrame(() => { frame = 0; world?.setAttribute("style", this.standing()); });
    };
    const end = (): void => {
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerup", end);
      box.removeEventListener("pointerleave", end);
      cancelAnimationFrame(frame);
      this.held = [0, 0];
      if (Math.hypot(...by) > 3) { this.shift = [this.shift[0] + by[0], this.shift[1] + by[1]]; this.settle(); }
      else world?.setAttribute("style", this.standing());
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end);
    box.addEventListener("pointerleave", end);
  }
  /** An element that the keyboard reaches out of sight comes into it. */
  private reveal(e: FocusEvent): void {
    const r = (e.target as globalThis.Element).getBoundingClientRect(), box = (e.currentTarget as HTMLElement).getBoundingClientRect();
    const x = (r.left + r.right) / 2 - box.left, y = (r.top + r.bottom) / 2 - box.top;
    if (x >= 0 && y >= 0 && x <= box.width && y <= box.height) return;
    this.shift = [this.shift[0] + box.width / 2 - x, this.shift[1] + box.height / 2 - y];
    this.settle();
  }

  // ------------------------------------------------------------------- draw
  private draw(o: MapOptions, w: number, h: number, marked: Map<string, Alarm>): SVGTemplateResult {
    if (w !== this.size[0] || h !== this.size[1]) {
      this.size = [w, h];
      if (this.wanted) this.shift = [this.wanted[0] * w, this.wanted[1] * h];
      this.wanted = null;
      requestAnimationFrame(this.changed); // cards beside the drawing
    }
    if (!this.box) return svg`<text x="12" y="24" class="t">${t("The case has no elements to draw.")}</text>`;
    const layout = this.layout(o), { list } = layout, spoken = language();
    return svg`${this.ground()}${repeat(list, (p) => p.e.id, (p) => {
      const alarm = marked.get(p.e.id), faint = o.only && !o.only.has(p.e.id) ? "dead" : "";
      return svg`${guard([p, spoken, faint, alarm?.id, alarm?.state, ...p.look(alarm)], () => p.draw(alarm, faint))}`;
    })}${this.labels(o, layout, marked)}`;
  }
  /** Everything in its place; made anew when the box, the zoom, the network or the layers change. */
  private layout(o: MapOptions): Layout {
    const key = [this.live.layout.version, this.live.elements.length, ...this.size, this.drawnZoom, o.gas, o.power, o.synthetic].join();
    if (key === this.placed.key) return this.placed;
    const at = this.project(), shown = this.live.elements.filter((e) => this.shown(e, o)), edges = shown.filter((e) => e.path), sites = shown.filter((e) => e.at);
    const stations = edges.filter((e) => e.kind === "compressor" || e.kind === "regulator"), most = this.mostFlow();
    const list = [
      ...(o.power ? edges.filter((e) => e.kind === "line" && e.carrier !== "gas").map((e) => this.wire(e, at, o)) : []),
      ...(o.gas ? edges.filter((e) => e.kind === "pipe").map((e) => this.pipe(e, at, most, o)) : []),
      ...(o.gas ? stations.map((e) => this.station(e, at, o)) : []), ...sites.map((e) => this.site(e, at, o)),
    ];
    const wanted: Wanted[] = stations.filter((e) => e.kind === "compressor").map((e) => ({ e, p: middle(e.path!.map(at)), rank: 4 }));
    for (const e of sites)
      if (e.kind === "field" && e.table === "supplies") wanted.push({ e, p: at(e.at!), rank: 3 });
      else if (e.kind === "bus" && this.plain(e)) wanted.push({ e, p: at(e.at!), rank: (e.level_kv ?? 0) >= 400 ? 2 : 5 });
    const dense = [...wanted.map((x) => x.p), ...edges.flatMap((e) => { const a = at(e.path![0]!), b = at(e.path!.at(-1)!); return [0.2, 0.4, 0.6, 0.8].map((s): P => [a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])]); })];
    const solid = [...stations.map((e) => middle(e.path!.map(at))), ...wanted.map((x) => x.p), ...sites.filter((e) => e.kind === "export").map((e) => at(e.at!))].map(([x, y]) => ({ x: x - 7, y: y - 7, w: 14, h: 14 }));
    return (this.placed = { key, list, wanted: wanted.sort((a, b) => a.rank - b.rank), dense, solid });
  }
  /** The field's buses of 200 kV and more; where a case has few, all of them. */
  private plain(e: Element): boolean {
    return (e.level_kv ?? 0) >= 200 || !this.live.case.has_map;
  }
  private shown(e: Element, o: MapOptions): boolean {
    if (e.synthetic && !o.synthetic) return false;
    return e.carrier === "both" || (e.carrier === "gas" ? o.gas : o.power);
  }
  private ground(): SVGTemplateResult {
    if (this.tiles.length === 0) return svg``;
    const { ox, oy, kx, k } = this.frame(), ring = (r: number[][], close: string): string => `M${r.map((p) => `${p[0]} ${p[1]}`).join("L")}${close}`;
    return svg`<g transform=${`matrix(${kx * k} 0 0 ${-k} ${ox} ${oy})`}>${guard([this.tiles, this.own], () => svg`${this.tiles.flatMap((tile) => tile.countries.map((c) => svg`<path class=${`land ${c.name === this.own ? "own" : ""}`} d=${c.rings.map((r) => ring(r, "Z")).join("")}></path>`))}${this.tiles.map((tile) => svg`<path class="coast" d=${tile.lines.map((l) => ring(l, "")).join("")}></path>`)}`)}</g>`;
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
  private pipe(e: Element, at: (p: P) => [number, number], most: number, o: MapOptions): Placed {
    const [a, , b] = this.course(e, at), d = `M${a[0].toFixed(1)} ${a[1].toFixed(1)}L${b[0].toFixed(1)} ${b[1].toFixed(1)}`, long = Math.hypot(b[0] - a[0], b[1] - a[1]), heading = (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI;
    const now = (): { q: number | null; idle: boolean; wide: number } => {
      const q = this.flow(e), idle = q !== null && Math.abs(q) < 2e-3 * most;
      return { q, idle, wide: q === null ? 1.4 : idle ? 4 : thick(q, most) };
    };
    return { e, look: () => { const { q, wide } = now(); return [num(q, 1), wide.toFixed(1), q !== null && q < 0]; }, draw: (alarm, faint) => {
      const { q, idle, wide } = now(), turn = heading + (q !== null && q < 0 ? 180 : 0), arrows = !idle && wide > 2.6 && long > 30 ? Math.max(1, Math.round(long / 90)) : 0, h = Math.min(wide * 0.42, 3);
      const told = `${e.name}, ${q === null ? t("no flow known") : `${num(q, 1)} ${t("Mm³/d")}`}${said(alarm)}`;
      return this.hit(e, o, told, svg`<path d=${d} class="foc"></path><g class=${faint}>
        <path d=${d} class="case" stroke-width=${(wide + (alarm ? 5 : 2.4)).toFixed(1)}></path><path d=${d} class="pipe ${q === null && !alarm ? "unknown" : ""}" style=${colour(alarm)} stroke-width=${(wide + (alarm ? 2 : 0)).toFixed(1)}></path>
        ${idle ? svg`<path d=${d} class="tube"></path>` : ""}${e.synthetic ? svg`<path d=${d} class="stitch" stroke-width=${(wide + 0.6).toFixed(1)}></path>` : ""}
        ${Array.from({ length: arrows }, (_, i) => { const s = (i + 0.5) / arrows; return svg`<path class="arrow" d=${`M${-h} ${-h}L${h * 0.5} 0L${-h} ${h}`} transform=${`translate(${(a[0] + s * (b[0] - a[0])).toFixed(1)} ${(a[1] + s * (b[1] - a[1])).toFixed(1)}) rotate(${turn.toFixed(0)})`}></path>`; })}</g>`);
    } };
  }
  private wire(e: Element, at: (p: P) => [number, number], o: MapOptions): Placed {
    const [a, c, b] = this.course(e, at), high = (e.level_kv ?? 0) >= 400;
    const d = `M${a[0].toFixed(1)} ${a[1].toFixed(1)}Q${c[0].toFixed(1)} ${c[1].toFixed(1)} ${b[0].toFixed(1)} ${b[1].toFixed(1)}`, load = (): string => { const v = this.live.value("loading", e.name)?.value ?? null; return v === null ? "" : `, ${num(v, 0)} %`; };
    return { e, look: () => [load()], draw: (alarm, faint) => this.hit(e, o, `${e.name}, ${num(e.level_kv, 0)} kV${load()}${said(alarm)}`, svg`<path d=${d} class="foc"></path><g class=${faint}>${alarm ? svg`<path d=${d} fill="none" stroke="var(--edge)" stroke-width="4.6"></path>` : ""}
      <path d=${d} class="wire" style=${colour(alarm)} stroke-width=${alarm || high ? 3 : 1.2}></path>${high && !alarm ? svg`<path d=${d} class="core"></path>` : ""}${e.synthetic ? svg`<path d=${d} class="stitch" stroke-width="3.4"></path>` : ""}</g>`) };
  }
  private station(e: Element, at: (p: P) => [number, number], o: MapOptions): Placed {
    const [x, y] = middle(e.path!.map(at)), r = e.kind === "compressor" ? 7 : 4.5;
    return { e, look: () => [], draw: (alarm, faint) => this.hit(e, o, `${t(e.kind === "compressor" ? "Compressor station" : "Regulator")} ${e.name}${said(alarm)}`, svg`<circle cx=${x} cy=${y} r=${r + 4} class="foc" style="stroke-width:2"></circle><g class=${faint}>
      <circle cx=${x} cy=${y} r=${r} class=${`site ${e.synthetic ? "synthetic" : ""}`} style=${colour(alarm)}></circle>${r < 6 ? "" : svg`<path d=${`M${x - r * 0.62} ${y - r * 0.72}L${x + r * 0.86} ${y - r * 0.26}M${x - r * 0.62} ${y + r * 0.72}L${x + r * 0.86} ${y + r * 0.26}`} stroke="var(--gas)" stroke-width="1.2"></path>`}</g>`) };
  }
  private site(e: Element, at: (p: P) => [number, number], o: MapOptions): Placed {
    const [x, y] = at(e.at!), h = 6.5;
    const shape = e.kind === "field" && e.table === "supplies" ? svg`<path class="site" d=${`M${Array.from({ length: 6 }, (_, i) => `${(x + h * Math.cos(i * 1.0472)).toFixed(1)} ${(y + h * Math.sin(i * 1.0472)).toFixed(1)}`).join("L")}Z`}></path>`
      : e.kind === "export" && e.carrier === "gas" ? svg`<circle cx=${x} cy=${y} r="5.5" class="site"></circle><circle cx=${x} cy=${y} r="2.2" fill="var(--gas)"></circle>`
      : e.kind === "bus" && this.plain(e) ? svg`<rect x=${x - 4.5} y=${y - 4.5} width="9" height="9" class="bus"></rect><path d=${`M${x - 4.5} ${y}H${x + 4.5}`} stroke="var(--pow)" stroke-width="1.6"></path>` : null;
    return { e, look: () => [], draw: (alarm, faint) => (!shape && !alarm ? svg`` : this.hit(e, o, `${e.name}${said(alarm)}`, svg`<circle cx=${x} cy=${y} r="10" class="foc" style="stroke-width:2"></circle><g class=${faint}>${shape ?? svg`<circle cx=${x} cy=${y} r="4" style=${colour(alarm)} class="site"></circle>`}</g>`)) };
  }

  // ------------------------------------------------------- badges, then names
  private told: Told = { key: "", flags: [], names: [] };
  private labels(o: MapOptions, layout: Layout, marked: Map<string, Alarm>): SVGTemplateResult {
    const key = [layout.key, lettered(), ...this.shift, o.cards ? this.standingCards.key : "", this.laid.length, ...[...marked].map(([id, a]) => `${id} ${a.id} ${a.priority}`)].join();
    if (key !== this.told.key) {
      const taken = o.cards ? this.laid.map((c) => c.rect) : [], flags = this.flagged(layout, marked, taken);
      this.told = { key, flags, names: this.named(layout, flags, taken) };
    }
    const ties = o.cards ? this.laid : [], alarms = new Map([...marked.values()].map((a) => [a.id, a]));
    return svg`${ties.map((c) => svg`<path d=${`M${c.p[0].toFixed(1)} ${c.p[1].toFixed(1)}L${c.end[0].toFixed(1)} ${c.end[1].toFixed(1)}`} class="lim" style="stroke:var(--ink3)"></path>`)}
      ${repeat(this.told.names, (f) => f.name, (f) => svg`<text x=${f.x.toFixed(1)} y=${f.y.toFixed(1)} class=${`halo k2 ${f.kind}`}>${f.name}</text>`)}
      ${repeat(this.told.flags, (f) => f.alarm, (f) => { const a = alarms.get(f.alarm)!; return svg`<g class="hit ${o.only && !o.only.has(f.e.id) ? "dead" : ""}" data-flag=${f.e.id} transform=${`translate(${f.rect.x.toFixed(1)} ${f.rect.y.toFixed(1)})`} @click=${() => o.open(f.e)}>${badgeIn(a.priority, a.state === "unacknowledged")}<title>${f.e.name}${said(a)}</title></g>`; })}`;
  }
  /** A badge for each alarm that the map can show, beside what it names; all that it may be about has its colour. */
  private flagged(layout: Layout, marked: Map<string, Alarm>, taken: Rect[]): Flag[] {
    const drawn = new Map(layout.list.map((p) => [p.e.id, p.e])), mine = (id: string, a: Alarm): number => Number(this.live.resolve(a.element)?.id !== id);
    const found = new Map<string, Flag>(), blocked = [...taken, ...layout.solid], at = this.project();
    for (const [id, a] of [...marked].sort((x, y) => RANK[x[1].priority] - RANK[y[1].priority] || mine(...x) - mine(...y))) {
      const e = drawn.get(id), spots = e && !found.has(a.id) ? this.spots(e, at).map(around) : [];
      if (!e || !spots.some((r) => this.inView(r))) continue;
      const rect = spots.filter((r) => this.inView(r)).map((r): [number, Rect] => [blocked.reduce((sum, q) => sum + shared(grown(q, 1), r), 0), r]).sort((x, y) => x[0] - y[0])[0]![1];
      found.set(a.id, { alarm: a.id, e, rect });
      blocked.push(rect);
      taken.push(rect);
    }
    return [...found.values()];
  }
  /** Where the middle of a badge may lie, best first: on a line; beside a place. */
  private spots(e: Element, at: (p: P) => [number, number]): P[] {
    if (e.kind === "pipe" || e.kind === "line") {
      const [a, c, b] = this.course(e, at);
      const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1, aside: P = [-(b[1] - a[1]) / long, (b[0] - a[0]) / long];
      return [0, 13, -13, 20, -20].flatMap((off) => [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82].map((s): P => [
        (1 - s) ** 2 * a[0] + 2 * s * (1 - s) * c[0] + s * s * b[0] + off * aside[0], (1 - s) ** 2 * a[1] + 2 * s * (1 - s) * c[1] + s * s * b[1] + off * aside[1],
      ]));
    }
    const [x, y] = e.path ? middle(e.path.map(at)) : at(e.at!);
    return [19, 27].flatMap((d) => [[-1, 0], [1, 0], [0, -1], [0, 1], [-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]].map(([dx, dy]): P => [x + d * dx!, y + d * dy!]));
  }
  /** A line as it is drawn: its ends, and the point that bends it. */
  private course(e: Element, at: (p: P) => [number, number]): [P, P, P] {
    const [a, b] = aside(e.path!.map(at) as [[number, number], [number, number]], 5 * (this.beside.get(e.id) ?? 0)), bow = e.kind === "line" && this.bowed.has(e.id) ? 0.18 : 0;
    return [a, [(a[0] + b[0]) / 2 - (b[1] - a[1]) * bow, (a[1] + b[1]) / 2 + (b[0] - a[0]) * bow], b];
  }
  private inView(r: Rect): boolean {
    const [w, h] = this.size, [sx, sy] = this.shift;
    return r.x + sx >= 2 && r.x + r.w + sx <= w - 2 && r.y + sy >= 2 && r.y + r.h + sy <= h - 2;
  }
  /** Names where there is room, those of the places with an alarm first. */
  private named(layout: Layout, flags: Flag[], taken: Rect[]): Name[] {
    const [w, h] = this.size, [sx, sy] = this.shift, at = this.project(), found: Name[] = [], said = new Set<string>();
    const first = flags.filter(({ e }) => e.kind !== "pipe" && e.kind !== "line").map(({ e, rect }) => ({ e, p: e.path ? middle(e.path.map(at)) : at(e.at!), rect }));
    for (const { p } of [...first, ...layout.wanted]) taken.push({ x: p[0] - 6, y: p[1] - 6, w: 12, h: 12 });
    for (const { e, p, rect } of [...first, ...layout.wanted.map((x) => ({ ...x, rect: null }))]) {
      const name = e.name.replace(/ (CS|220|500|110)$/, ""), wide = measure(name);
      if (said.has(name) || p[0] + sx < 0 || p[1] + sy < 0 || p[0] + sx > w || p[1] + sy > h) continue;
      const beside = rect ? [[rect.x + 19 - p[0], rect.y + 12 - p[1], ""], [rect.x - 3 - p[0], rect.y + 12 - p[1], "e"], [rect.x + 8 - p[0], rect.y + 27 - p[1], "m"], [rect.x + 8 - p[0], rect.y - 4 - p[1], "m"]] as const : []; // else at its badge
      for (const [dx, dy, kind] of [[10, 4, ""], [-10, 4, "e"], [0, -10, "m"], [0, 18, "m"], [9, -8, ""], [-9, 14, "e"], [-9, -8, "e"], [9, 14, ""], ...beside] as const) {
        const x = p[0] + dx, y = p[1] + dy, left = kind === "e" ? x - wide : kind === "m" ? x - wide / 2 : x, r = { x: left - 1, y: y - 10, w: wide + 2, h: 13 };
        if (!this.inView(r) || taken.some((q) => meet(q, r))) continue;
        taken.push(r);
        said.add(name);
        found.push({ name, x, y, kind });
        break;
      }
    }
    return found;
  }

  // ------------------------------------------------------------------ cards
  private laid: { rect: Rect; p: [number, number]; end: [number, number] }[] = []; // as the layer is drawn, before its shift
  private standingCards = { key: "", at: new Map<string, Rect>() };
  private cards(o: MapOptions): TemplateResult[] {
    this.laid = [];
    const [w, h] = this.size, [sx, sy] = this.shift;
    if (!this.box || w < 620 || !this.live.snapshot) return [];
    const at = this.project(), out: TemplateResult[] = [], key = [this.placed.key, lettered(), sx, sy, language(), ...this.live.snapshot.exports.map((x) => x.id + (x.alarm ?? ""))].join();
    const known = key === this.standingCards.key ? this.standingCards.at : new Map<string, Rect>();
    this.standingCards = { key, at: known };
    // gas first: the wide cards find room before the short ones
    for (const x of [...this.live.snapshot.exports].sort((a, z) => Number(a.unit === "mw") - Number(z.unit === "mw"))) {
      const e = this.live.resolve(x.id), p = e?.at && this.shown(e, o) ? at(e.at) : null, short = x.unit === "mw" && !x.alarm;
      if (!e || !p || p[0] + sx < 0 || p[1] + sy < 0 || p[0] + sx > w || p[1] + sy > h) continue;
      const W = short ? Math.min(CARD.width, measure(`${x.name.replace(/ export$/, "")} ${num(x.flow, 0)} MW`) + 26) : CARD.width, H = short ? SHORT : CARD.height, rect = known.get(x.id) ?? this.room(p, W, H);
      if (!rect) continue;
      known.set(x.id, rect);
      this.laid.push({ rect, p, end: [Math.max(rect.x, Math.min(rect.x + W, p[0])), Math.max(rect.y, Math.min(rect.y + H, p[1]))] });
      out.push(html`<button class="card ${x.alarm ? `p${RANK[x.alarm]}` : ""} ${short ? "short" : ""}" style="left:${rect.x.toFixed(0)}px;top:${rect.y.toFixed(0)}px;width:${W.toFixed(0)}px" @click=${() => o.open(e)}>${short ? shortCard(x) : exportCard(x)}</button>`);
    }
    return out;
  }
  private room(p: P, W: number, H: number): Rect | null {
    const [w, h] = this.size, [sx, sy] = this.shift, out = Math.atan2(p[1] + sy - h / 2, p[0] + sx - w / 2);
    let best: Rect | null = null, least = Infinity;
    for (const far of [22, 46, 80, 120, 170])
      for (const turn of [0, 0.4, -0.4, 0.8, -0.8, 1.3, -1.3, 1.9, -1.9, 3]) {
        const cx = p[0] + Math.cos(out + turn) * (far + W / 2), cy = p[1] + Math.sin(out + turn) * (far + H / 2);
        const r = { x: Math.max(6 - sx, Math.min(w - W - 46 - sx, cx - W / 2)), y: Math.max(6 - sy, Math.min(h - H - 8 - sy, cy - H / 2)), w: W, h: H };
        if (!this.laid.some((q) => meet(grown(q.rect, 5), r)) && !(p[0] > r.x - 8 && p[0] < r.x + W + 8 && p[1] > r.y - 8 && p[1] < r.y + H + 8)) {
          let cost = far / 12;
          for (const q of this.placed.dense) if (q[0] > r.x - 4 && q[0] < r.x + W + 4 && q[1] > r.y - 4 && q[1] < r.y + H + 4 && ++cost >= least) break; // a worse place than that found
          if (cost < least) { least = cost; best = r; }
        }
      }
    return best;
  }
}
const thick = (q: number, most: number): number => 1.4 + ((WIDEST - 1.4) * Math.min(most, Math.abs(q))) / most;
const said = (alarm: Alarm | undefined): string => (alarm ? `, ${priorityName(alarm.priority)}: ${alarm.text}` : "");
const colour = (alarm: Alarm | undefined): string => (alarm ? `stroke:var(--p${RANK[alarm.priority]})` : "");
/** A line moved to its side. */
function aside([a, b]: [[number, number], [number, number]], by: number): [[number, number], [number, number]] {
  const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1, dx = (-(b[1] - a[1]) / long) * by, dy = ((b[0] - a[0]) / long) * by;
  return [[a[0] + dx, a[1] + dy], [b[0] + dx, b[1] + dy]];
}
interface Wanted { e: Element; p: [number, number]; rank: number }
/** What is drawn where; `dense`: where the network is; `solid`: what no badge may cover. */
interface Layout { key: string; list: Placed[]; wanted: Wanted[]; dense: P[]; solid: Rect[] }
interface Flag { alarm: string; e: Element; rect: Rect }
interface Name { name: string; x: number; y: number; kind: string }
interface Told { key: string; flags: Flag[]; names: Name[] }

interface Rect { x: number; y: number; w: number; h: number }
const meet = (a: Rect, b: Rect): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
const shared = (a: Rect, b: Rect): number => Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) * Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));
const around = ([x, y]: P): Rect => ({ x: x - 8, y: y - 8, w: 16, h: 16 }); // a badge
const grown = (r: Rect, d: number): Rect => ({ x: r.x - d, y: r.y - d, w: r.w + 2 * d, h: r.h + 2 * d });
const middle = (path: [number, number][]): [number, number] => [(path[0]![0] + path.at(-1)![0]) / 2, (path[0]![1] + path.at(-1)![1]) / 2];
const near = (a: [number, number][], b: [number, number][]): boolean => {
  const d = (p: P, q: P): number => Math.hypot(p[0] - q[0], p[1] - q[1]), [p, q] = [a[0]!, a.at(-1)!], [r, s] = [b[0]!, b.at(-1)!], long = d(r, s);
  return Math.min(d(p, r) + d(q, s), d(p, s) + d(q, r)) < 0.5 * long;
};
