// One chart for all: limits with a hatch on the forbidden side, bands, lines, dots, labels on the lines.
import { svg, type SVGTemplateResult } from "lit-html";
import { num } from "../words";
import { decimalsOf, line, measure, text, ticks, type Point } from "./draw";

export interface Chart {
  x: [number, number];
  y?: [number, number];
  xTicks?: [number, string][];
  unit?: string;
  low?: { at: number; label: string } | null;
  high?: { at: number; label: string } | null;
  aim?: { at: number; label: string } | null;
  now?: number | null;
  bands?: { x: number; low: number | null; high: number | null }[][];
  lines?: { points: Point[]; kind?: "est" | "fc" | "quiet" }[];
  dots?: Point[];
  labels?: { x: number; y: number; text: string }[];
  more?: (X: (v: number) => number, Y: (v: number) => number, box: { left: number; right: number; top: number; bottom: number }) => SVGTemplateResult;
}

export function chart(o: Chart, width: number, height: number): SVGTemplateResult {
  const [y0, y1] = o.y ?? range(o);
  const steps = ticks(y0, y1, Math.max(2, Math.min(4, Math.floor(height / 42)))), d = decimalsOf(steps);
  const left = 14 + 6.2 * Math.max(...steps.map((v) => num(v, d).length), 2), right = width - 14, top = 10, bottom = height - 22;
  const X = (v: number): number => left + ((v - o.x[0]) / (o.x[1] - o.x[0] || 1)) * (right - left);
  const Y = (v: number): number => top + ((y1 - v) / (y1 - y0 || 1)) * (bottom - top);
  const inside = (v: number | undefined): v is number => v !== undefined && v > y0 && v < y1;
  const rule = (v: number, kind: string): SVGTemplateResult => svg`<line x1=${left} y1=${Y(v)} x2=${right} y2=${Y(v)} class=${kind}></line>`;
  const hatch = (a: number, b: number): SVGTemplateResult => svg`<rect x=${left} y=${Math.min(a, b)} width=${right - left} height=${Math.abs(a - b)} fill="url(#hl)"></rect>`;
  let last = -1e9;
  const shown = (o.xTicks ?? []).map(([v, s]) => ({ x: X(v), s, kind: X(v) > right - 14 ? "e" : X(v) < left + 10 ? "" : "m" })).filter(({ x, s, kind }) => {
    const wide = measure(s), from = kind === "e" ? x - wide : kind === "m" ? x - wide / 2 : x;
    if (x < left - 1 || x > right + 1 || from < last + 8) return false;
    last = from + wide;
    return true;
  });
  return svg`
    ${steps.map((v) => svg`${rule(v, "grid")}${text(left - 7, Y(v) + 4, num(v, d), "t e")}`)}
    ${inside(o.high?.at) ? svg`${hatch(top, Y(o.high!.at))}${rule(o.high!.at, "lim")}${text(right - 3, Y(o.high!.at) + 13, o.high!.label, "e halop")}` : ""}
    ${inside(o.low?.at) ? svg`${hatch(Y(o.low!.at), bottom)}${rule(o.low!.at, "lim")}${text(right - 3, Y(o.low!.at) - 5, o.low!.label, "e halop")}` : ""}
    ${inside(o.aim?.at) ? svg`${rule(o.aim!.at, "aim")}${text(right - 3, Y(o.aim!.at) - 5, o.aim!.label, "e halop")}` : ""}
    <line x1=${left} y1=${bottom} x2=${right} y2=${bottom} class="ax"></line>
    ${shown.map(({ x, s, kind }) => svg`<line x1=${x} y1=${bottom} x2=${x} y2=${bottom + 4} class="ax"></line>${text(x, bottom + 16, s, `t ${kind}`)}`)}
    ${o.now != null ? svg`<line x1=${X(o.now)} y1=${top} x2=${X(o.now)} y2=${bottom} class="nowl"></line>` : ""}
    ${(o.bands ?? []).map((band) => svg`<path class="bnd" d=${area(band, X, (v) => Math.max(top, Math.min(bottom, Y(v))))}></path>`)}
    ${(o.lines ?? []).map((l) => svg`<path class=${l.kind ?? "est"} d=${line(l.points.map(([x, y]) => [X(x), y === null ? null : Y(y)]))}></path>`)}
    ${(o.dots ?? []).map(([x, y]) => (y === null ? "" : svg`<circle cx=${X(x)} cy=${Y(y)} r="2.4" class="dot"></circle>`))}
    ${(o.labels ?? []).map((l) => text(X(l.x), Y(l.y), l.text, "halop"))}
    ${o.more?.(X, Y, { left, right, top, bottom }) ?? ""}`;
}

function area(band: { x: number; low: number | null; high: number | null }[], X: (v: number) => number, Y: (v: number) => number): string {
  const known = band.filter((b) => b.low !== null && b.high !== null);
  if (known.length < 2) return "";
  return `${line(known.map((b) => [X(b.x), Y(b.high!)]))}L${known.reverse().map((b) => `${X(b.x).toFixed(1)} ${Y(b.low!).toFixed(1)}`).join("L")}Z`;
}

const LEAST = 2e-3; // of a value: less than that is not drawn as a slope
export function range(o: Pick<Chart, "lines" | "dots" | "bands" | "low" | "high" | "aim">): [number, number] {
  const all: number[] = [];
  for (const l of o.lines ?? []) for (const [, y] of l.points) if (y !== null) all.push(y);
  for (const [, y] of o.dots ?? []) if (y !== null) all.push(y);
  const edges = (o.bands ?? []).flat().flatMap((b) => [b.low, b.high]).filter((v): v is number => v !== null).sort((x, z) => x - z);
  if (edges.length) all.push(edges[Math.floor(0.15 * edges.length)]!, edges[Math.ceil(0.85 * edges.length) - 1]!); // a band that begins wide would flatten the line
  if (all.length === 0) return [0, 1];
  let a = Math.min(...all), b = Math.max(...all);
  const least = Math.max(Math.abs(a), Math.abs(b)) * LEAST || 1, middle = (a + b) / 2;
  if (b - a < least) { a = middle - least / 2; b = middle + least / 2; }
  const span = b - a;
  // a limit that is near comes into the picture; one far away would flatten the line
  for (const limit of [o.low?.at, o.high?.at, o.aim?.at]) if (limit !== undefined && limit > a - 1.5 * span && limit < b + 1.5 * span) { a = Math.min(a, limit); b = Math.max(b, limit); }
  const pad = (b - a || 1) * 0.12;
  return [a - pad, b + pad];
}

/** A line of some hours without axes. */
export function spark(values: (number | null)[], width: number, height: number): SVGTemplateResult {
  const known = values.filter((v): v is number => v !== null);
  if (known.length < 2) return svg``;
  const a = Math.min(...known), b = Math.max(...known);
  const X = (k: number): number => 1 + (k / (values.length - 1)) * (width - 6), Y = (v: number): number => 3 + ((b - v) / (b - a || 1)) * (height - 6);
  const lastAt = values.findLastIndex((v) => v !== null);
  return svg`<path class="quiet" d=${line(values.map((v, k) => [X(k), v === null ? null : Y(v)]))}></path><circle cx=${X(lastAt)} cy=${Y(values[lastAt]!)} r="2.2" class="dot"></circle>`;
}

/** A value between its limits: hatch where it must not be, a dark stroke where it is. */
export function gauge(value: number | null, low: number | null, high: number | null, rank: number | null, width: number, height: number): SVGTemplateResult {
  if (value === null || (low === null && high === null)) return svg``;
  const a = low ?? Math.min(0, value), b = high ?? Math.max(value, low! + Math.abs(low!) * 0.5 + 1e-9), span = b - a || 1;
  const from = low === null ? a : a - 0.35 * span, to = high === null ? b + 0.1 * span : b + 0.35 * span;
  const X = (v: number): number => Math.max(1, Math.min(width - 2, ((v - from) / (to - from)) * width)), m = height / 2;
  return svg`<rect x="0" y=${m - 6} width=${width} height="12" fill="var(--sunk)"></rect><rect x=${X(a)} y=${m - 6} width=${Math.max(0, X(b) - X(a))} height="12" fill="var(--norm)"></rect>
    ${low === null ? "" : svg`<rect x="0" y=${m - 6} width=${X(a)} height="12" fill="url(#hl)"></rect><line x1=${X(a)} x2=${X(a)} y1=${m - 7} y2=${m + 7} class="lim"></line>`}
    ${high === null ? "" : svg`<rect x=${X(b)} y=${m - 6} width=${width - X(b)} height="12" fill="url(#hl)"></rect><line x1=${X(b)} x2=${X(b)} y1=${m - 7} y2=${m + 7} class="lim"></line>`}
    <line x1=${X(value)} x2=${X(value)} y1=${m - 8} y2=${m + 8} stroke=${rank ? `var(--p${rank})` : "var(--ink)"} stroke-width="2.6"></line>`;
}
