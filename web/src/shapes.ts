// What the server sends, as docs/api.md says it. null = not known; a figure without a source is absent.

export type Priority = "urgent" | "high" | "low" | "data";
export interface Session {
  signed_in: boolean; name: string | null; roles: string[]; csrf: string | null; expires: string | null;
  first_run: boolean; permissions: string[];
}
export interface Case {
  name: string; title: string; place: string; time_zone: string; base_time: string; day: string | null; has_map: boolean;
  languages: string[]; synthetic: boolean; version: string; field_writes: boolean; page?: string;
}
export interface Fact { key: string; value: string | number | boolean; unit: string }
export interface Element {
  id: string; kind: string; table: string; name: string; from: string | null; to: string | null;
  at: [number, number] | null; path: [number, number][] | null; carrier: "gas" | "power" | "both";
  level_kv: number | null; length_km: number | null; diameter_mm: number | null; capacity: number | null;
  unit: string | null; status: string; source: string; confidence: string; synthetic: boolean; facts: Fact[];
}
export interface Value {
  quantity: string; where: string; unit: string; decimals: number; tag: string | null;
  low: number | null; high: number | null; sigma: number | null;
}
export interface Layout { version: string; values: Value[] }
export interface Figure {
  value: number | null; unit: string; sigma?: number | null; low?: number | null; high?: number | null;
  trend_per_h?: number | null; nominated?: number | null; unexplained?: number | null; largest_unit?: number | null;
}
export interface Export {
  id: string; name: string; flow: number | null; nominated: number | null; capacity: number | null; unit: string;
  alarm: Priority | null;
}
export interface Tally { urgent: number; high: number; low: number; data: number; unacknowledged: number }
export interface Solved { age_s: number | null; chi2: number | null; chi2_limit: number | null; status: string }
export interface Snapshot {
  sequence: number; time: string; clock: string; made: string;
  estimate: (number | null)[]; sigma: (number | null)[]; measured: (number | null)[]; quality: number[];
  source: string | string[]; key: Record<string, Figure>; exports: Export[]; tally: Tally;
  health: { gas?: Solved; power?: Solved };
}
export interface Alarm {
  id: string; key: string; state: string; priority: Priority; kind: string;
  words: { key: string; parameters: Record<string, string | number | null> } | null; text: string;
  element: string | null; quantity: string | null; value: number | null; limit: number | null; unit: string | null;
  began: string; changed: string; acknowledged_by: string | null; shelved_until: string | null; first_out: boolean;
  cause: string; consequence: string; response: string; time_to_respond_s: number | null;
  notes: { time: string; who: string; text: string }[]; probability?: number | null; set?: string[]; size?: number | null;
}
export interface Finding {
  id: string; kind: string; where: string; set: string[];
  words: { key: string; parameters: Record<string, string | number | null> } | null; text?: string;
  size: number | null; sigma: number | null; unit: string; onset: string | null; score: number | null;
  probability: number | null; false_alarm_per_month: number | null; smallest_detectable: number | null;
  evidence: { words: { key: string; parameters: Record<string, string | number | null> } | string; for: boolean }[];
  place: { element: string; share: number; low: number | null; high: number | null } | null;
}
export interface Diagnosis {
  time: string; findings: Finding[];
  residuals: { tag: string; where: string; quantity: string; normalised: number; limit: number }[];
  curve: { sizes: number[]; chance: number[]; unit: string; element: string } | null;
  unobservable: string[]; scan_ms: number | null;
}
export interface Ahead {
  from: string; made: string; hours: number;
  series: { quantity: string; where: string; unit: string; time: string[]; value: (number | null)[]; limit?: number | null }[];
  reached: { time: string; element: string; quantity: string; limit: number; value: number; unit?: string }[];
  survival: { lost: string; hours: number | null; first: string | null }[];
}
export interface Outages {
  made: string; took_s: number;
  cases: { lost: string; severity: number; broken: unknown[]; unserved: { gas: number | null; power: number | null }; words?: unknown; text?: string }[];
}
export interface Health {
  loop: { status: string; sequence: number; period_s: number; behind_s: number;
          stages: { name: string; p50_ms: number | null; p99_ms: number | null; last_ms: number | null }[] };
  sources: { name: string; protocol: string; status: string; since: string | null; readings_per_s: number | null;
             last: string | null; age_s: number | null; reason: string }[];
  history: { status: string; rows: number | null; last_sealed: string | null; free_bytes: number | null };
  processes: { name: string; pid: number | null; status: string; restarts: number; memory_mb: number | null }[];
  quality: { good: number; suspect: number; stale: number; bad: number; total: number };
  room?: { clients: number; behind: number };
}
export interface Reading {
  tag: string; quantity: string; where: string; place: string; value: number | null; unit: string; quality: string[];
  age_s: number | null; residual: number | null; estimate: number | null; sigma: number | null; limit: number | null;
}
export interface Series {
  quantity: string; where: string; unit: string; limits: { low: number | null; high: number | null } | null;
  time: string[]; measured: (number | null)[]; estimate: (number | null)[]; sigma: (number | null)[];
  forecast_from: string | null;
}
export interface Trend { start: string; end: string; series: Series[] }
export interface Command {
  id: string; quantity: string; where: string; value: number; unit: string; reason: string; proposed_by: string;
  state: string; refused_because: string | null; confirm_before: string | null;
  effect: { hours: number | null; worst: unknown;
            changes: { quantity: string; where: string; before: number | null; after: number | null; unit: string;
                       limit: number | null; broken: boolean }[] } | null;
}
export interface Entry { time: string; who: string; text: string; subject: string }
export interface Figures { [name: string]: unknown }
