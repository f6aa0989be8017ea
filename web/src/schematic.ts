// A drawn schematic for a case without coordinates: what is far apart in the network lies far apart on the screen.
// The whole by PivotMDS (Brandes, Pich 2007, section 3), then stress by stochastic gradient descent (Zheng, Pawar,
// Goodman 2019, section 2). Nothing random: the same case looks the same on every screen and every day.
import type { Element } from "./shapes";

type P = [number, number];
interface Graph { names: string[]; ends: [number, number][]; near: number[][] }
const PIVOTS = 50, PAIRS = 100_000, SWEEPS = 30, GAP = 1.5; // edges between two parts that do not touch

/** Whether elements can only be drawn as a schematic: a node or a bus has no place. */
export const unplaced = (elements: Element[]): boolean => elements.some((e) => isNode(e) && !e.at);
const isNode = (e: Element): boolean => e.table === "gas_nodes" || e.table === "buses";
const NODE_FACTS = ["node", "bus", "gas_node"];

/** Give every element a place: nodes and buses by their distances, all else by what it is tied to. */
export function place(elements: Element[]): void {
  const fact = (e: Element): string | undefined => e.facts.filter((f) => NODE_FACTS.includes(f.key)).map((f) => String(f.value))[0];
  const tied = new Map(elements.filter((e) => !isNode(e)).map((e) => [e.name, fact(e)])), graph = joined(elements, tied);
  const at = laid(graph), where = new Map(graph.names.map((n, k) => [n, at[k]!]));
  for (const e of elements) {
    const a = where.get(e.from ?? ""), b = where.get(e.to ?? "");
    e.path = a && b && !isNode(e) ? [a, b] : null;
    e.at = e.path ? null : (where.get(isNode(e) ? e.name : (fact(e) ?? e.from ?? "")) ?? null);
  }
}
function joined(elements: Element[], tied: Map<string, string | undefined>): Graph {
  const names = elements.filter(isNode).map((e) => e.name), number = new Map(names.map((n, k) => [n, k]));
  const of = (n: string | null): number | undefined => (n === null ? undefined : (number.get(n) ?? number.get(tied.get(n) ?? "")));
  const ends: [number, number][] = [], near: number[][] = names.map(() => []);
  for (const e of elements) {
    const a = of(e.from), b = of(e.to);
    if (a === undefined || b === undefined || a === b || near[a]!.includes(b)) continue;
    ends.push([a, b]);
    near[a]!.push(b);
    near[b]!.push(a);
  }
  return { names, ends, near };
}
/** Steps from one node to all others; Infinity to those of another part. */
function steps(from: number, near: number[][]): number[] {
  const far = near.map(() => Infinity), queue = [from];
  far[from] = 0;
  for (const a of queue) for (const b of near[a]!) if (far[b] === Infinity) { far[b] = far[a]! + 1; queue.push(b); }
  return far;
}
/** Lay the parts of a graph side by side, the largest first. */
function laid(g: Graph): P[] {
  const at: P[] = g.names.map(() => [0, 0]), seen = new Set<number>(), parts: number[][] = [];
  g.names.forEach((_, k) => {
    if (seen.has(k)) return;
    const part = steps(k, g.near).flatMap((d, i) => (d < Infinity ? [i] : []));
    part.forEach((i) => seen.add(i));
    parts.push(part);
  });
  let right = 0;
  for (const part of parts.sort((a, b) => b.length - a.length)) {
    const own = new Map(part.map((i, k) => [i, k])), found = drawn(part.map((i) => g.near[i]!.map((j) => own.get(j)!)));
    const left = Math.min(...found.map((p) => p[0])), middle = (Math.min(...found.map((p) => p[1])) + Math.max(...found.map((p) => p[1]))) / 2;
    part.forEach((i, k) => { at[i] = [right + found[k]![0] - left, found[k]![1] - middle]; });
    right += Math.max(...found.map((p) => p[0])) - left + GAP;
  }
  return at;
}
/** One connected part, in edges' lengths. */
function drawn(near: number[][]): P[] {
  const n = near.length, k = Math.max(1, Math.min(n, PIVOTS, Math.floor(PAIRS / n)));
  const far: number[][] = [], least = near.map(() => Infinity);
  for (let next = 0; far.length < k;) {
    far.push(steps(next, near));
    far.at(-1)!.forEach((d, i) => { least[i] = Math.min(least[i]!, d); });
    next = least.indexOf(Math.max(...least));
  }
  const at = pivoted(far, n), pairs: [number, number, number][] = [];
  near.forEach((list, a) => { for (const b of list) if (a < b) pairs.push([a, b, 1]); });
  far.forEach((row) => { const from = row.indexOf(0); row.forEach((d, b) => { if (d > 1) pairs.push([from, b, d]); }); });
  return relaxed(at, pairs);
}
function pivoted(far: number[][], n: number): P[] {
  const k = far.length, mean = (v: number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
  const square = far.map((row) => row.map((d) => d * d)), ofPivot = square.map(mean), all = mean(ofPivot);
  const ofNode = Array.from({ length: n }, (_, i) => mean(square.map((row) => row[i]!)));
  const c = square.map((row, j) => row.map((d, i) => -0.5 * (d - ofPivot[j]! - ofNode[i]! + all)));
  const product = c.map((a) => c.map((b) => a.reduce((sum, x, i) => sum + x * b[i]!, 0))), axes: number[][] = [];
  for (let axis = 0; axis < 2; axis++) {
    let v = Array.from({ length: k }, (_, i) => Math.sin(1 + i * (axis + 1)));
    for (let turn = 0; turn < 60; turn++) {
      v = product.map((row) => row.reduce((sum, x, j) => sum + x * v[j]!, 0));
      for (const u of axes) { const dot = v.reduce((sum, x, j) => sum + x * u[j]!, 0); v = v.map((x, j) => x - dot * u[j]!); }
      const long = Math.hypot(...v) || 1;
      v = v.map((x) => x / long);
    }
    axes.push(v);
  }
  const at = Array.from({ length: n }, (_, i): P => [0, 1].map((axis) => axes[axis]!.reduce((sum, x, j) => sum + x * c[j]![i]!, 0)) as P);
  const wide = Math.max(...at.map((p) => Math.abs(p[0]))) || 1, long = Math.max(...far.flat()) / 2 || 1;
  // equal leaves fall on one place: a small turn each lets the stress part them
  return at.map(([x, y], i) => [(x * long) / wide + 0.05 * Math.cos(i * 2.4), (y * long) / wide + 0.05 * Math.sin(i * 2.4)]);
}
function relaxed(at: P[], pairs: [number, number, number][]): P[] {
  const most = Math.max(1, ...pairs.map(([, , d]) => d * d)), fall = Math.log(most / 0.1) / SWEEPS;
  let seed = 12345;
  const next = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 4294967296;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const rate = most * Math.exp(-fall * sweep);
    for (let i = pairs.length - 1; i > 0; i--) { const j = Math.floor(next() * (i + 1)), x = pairs[i]!; pairs[i] = pairs[j]!; pairs[j] = x; }
    for (const [a, b, d] of pairs) {
      const p = at[a]!, q = at[b]!, dx = p[0] - q[0], dy = p[1] - q[1], long = Math.hypot(dx, dy) || 1e-9;
      const move = (Math.min(1, rate / (d * d)) * (d - long)) / 2 / long;
      p[0] += move * dx; p[1] += move * dy; q[0] -= move * dx; q[1] -= move * dy;
    }
  }
  return at;
}
