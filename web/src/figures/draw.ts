// A figure is drawn at the true pixel size of its box, and again when the box changes; text is never scaled.
import { html, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import { Directive, directive, PartType, type ElementPart, type PartInfo } from "lit-html/directive.js";
import { render } from "lit-html";

type Drawn = ((width: number, height: number) => SVGTemplateResult) & { reachable?: boolean };

const drawn = new WeakMap<Element, { draw: Drawn; width: number; height: number }>();
const watch = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const own = drawn.get(target);
    if (own && (own.width !== contentRect.width || own.height !== contentRect.height)) {
      own.width = contentRect.width;
      own.height = contentRect.height;
      put(target as HTMLElement, own.draw, own.width, own.height);
    }
  }
});

// What is seen already is drawn again in the frames that follow, a few milliseconds in each: a scan moves everything, and
// the reader's hand must not wait for it.
const BUDGET = 5; // ms of one frame
const waiting = new Set<HTMLElement>();
let frame = 0;
function soon(box: HTMLElement): void {
  waiting.add(box);
  frame ||= requestAnimationFrame(work);
}
function work(): void {
  const until = performance.now() + BUDGET;
  for (const box of waiting) {
    const own = drawn.get(box);
    waiting.delete(box);
    if (own && box.isConnected) put(box, own.draw, own.width, own.height);
    if (performance.now() > until) break;
  }
  frame = waiting.size ? requestAnimationFrame(work) : 0;
}

function put(box: HTMLElement, draw: Drawn, width: number, height: number): void {
  if (width < 4 || height < 4) return;
  render(html`<svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" aria-hidden=${draw.reachable ? "false" : "true"}><defs>${HATCH}</defs>${draw(width, height)}</svg>`, box);
}
const HATCH = svg`<pattern id="hl" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="var(--ink3)" stroke-width="1" opacity=".55"></path></pattern>`;

class Draws extends Directive {
  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("a figure is drawn into an element");
  }
  override update(part: ElementPart, [draw]: [Drawn]): void {
    const box = part.element as HTMLElement, old = drawn.get(box);
    const width = old?.width ?? box.clientWidth, height = old?.height ?? box.clientHeight;
    drawn.set(box, { draw, width, height });
    if (old) return soon(box);
    watch.observe(box);
    put(box, draw, width, height);
  }
  render(_draw: Drawn): void {}
}
const draws = directive(Draws);

/** A figure: a sentence for those who do not see it, and the drawing; `reachable`: its parts are buttons of their own. */
export function figure(label: string, draw: Drawn, style = "", reachable = false): TemplateResult {
  draw.reachable = reachable;
  return html`<div class="fig" role=${reachable ? "group" : "img"} aria-label=${label} style=${style} ${draws(draw)}></div>`;
}

export type Point = readonly [number, number | null];
/** "M..L.." through points; a null breaks the line. */
export function line(points: Iterable<Point>): string {
  let d = "", pen = "M";
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) { pen = "M"; continue; }
    d += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return d;
}
export const text = (x: number, y: number, s: string, c = ""): SVGTemplateResult => svg`<text x=${x.toFixed(1)} y=${y.toFixed(1)} class=${c}>${s}</text>`;

/** Round steps for an axis: at most `most` of them. */
export function ticks(low: number, high: number, most = 4): number[] {
  const span = high - low || 1, raw = span / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? 10 * power;
  const found: number[] = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return found;
}
export const decimalsOf = (values: number[]): number => {
  const step = values.length > 1 ? Math.abs(values[1]! - values[0]!) : 1;
  return [0, 1, 2, 3, 4].find((d) => Math.abs(step * 10 ** d - Math.round(step * 10 ** d)) < 1e-6 * step * 10 ** d) ?? 4;
};
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((m) => m * 60_000);
/** Round times between two [ms]: at most `most`. */
export function timeTicks(a: number, b: number, most: number): number[] {
  const step = STEPS.find((x) => (b - a) / x <= most) ?? Math.ceil((b - a) / most / STEPS.at(-1)!) * STEPS.at(-1)!, found: number[] = [];
  for (let x = Math.ceil(a / step) * step; x <= b; x += step) found.push(x);
  return found;
}

/** Whether the room's own letters are there to be measured. */
export const lettered = (): boolean => document.fonts.check("11px Inter");
let pen: CanvasRenderingContext2D | null = null;
const widths = new Map<string, number>();
/** How wide a text of a drawing is [px]. */
export function measure(s: string): number {
  const known = widths.get(s);
  if (known !== undefined) return known;
  pen ??= document.createElement("canvas").getContext("2d");
  if (pen) pen.font = "11px Inter, sans-serif";
  const wide = pen?.measureText(s).width ?? s.length * 6.3;
  if (lettered()) widths.set(s, wide);
  return wide;
}
