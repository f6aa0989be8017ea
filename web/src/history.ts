// The last hours of the key figures: asked from the history once, then kept up by the scans. Bounded.
import { ask } from "./api";
import type { Snapshot, Trend } from "./shapes";
import type { Point } from "./figures/draw";

const HOURS = 12, MOST = 720, APART = 60_000; // ms between two points

export class History {
  private series = new Map<string, [number, number | null][]>();

  async load(keys: string[], now: number): Promise<void> {
    const from = new Date(now - HOURS * 3.6e6).toISOString(), to = new Date(now).toISOString();
    const query = keys.map((k) => `series=${encodeURIComponent(`key:${k}`)}`).join("&");
    try {
      const trend = await ask<Trend>(`trend?${query}&start=${from}&end=${to}&points=${MOST / 2}`);
      for (const s of trend.series) {
        const old: [number, number | null][] = s.time.map((x, i) => [+new Date(x), s.estimate[i] ?? s.measured[i] ?? null]);
        const later = this.series.get(s.where) ?? [];
        this.series.set(s.where, [...old.filter(([x, y]) => y !== null && x < (later[0]?.[0] ?? Infinity)), ...later]);
      }
    } catch { /* a history that is not there yet: the scans fill it */ }
  }
  take(s: Snapshot): void {
    const x = +new Date(s.time);
    for (const [key, f] of Object.entries(s.key)) {
      const list = this.series.get(key) ?? [];
      if (x - (list.at(-2)?.[0] ?? -Infinity) < APART) list.pop(); // the newest point moves until a minute has passed
      if (x > (list.at(-1)?.[0] ?? -Infinity)) list.push([x, f.value]);
      while (list.length > MOST) list.shift();
      this.series.set(key, list);
    }
  }
  points(key: string): Point[] {
    return this.series.get(key) ?? [];
  }
  values(key: string): (number | null)[] {
    return (this.series.get(key) ?? []).map(([, y]) => y);
  }
}
