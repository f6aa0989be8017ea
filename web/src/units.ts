// How units are written.
import { t, w } from "./words";

const UNITS: Record<string, string> = {
  million_m3_per_day: w("Mm³/d"), million_m3: w("Mm³"), million_m3_per_h: w("Mm³/h"), bara: w("bar"), bar: w("bar"), mw: w("MW"), mvar: w("Mvar"), deg: w("°"), degc: w("°C"), pu: w("pu"), percent: w("%"),
  kg_per_s: "kg/s", ohm_per_km: "Ω/km", us_per_km: "µS/km", bcm_per_year: "bcm/a", mj_per_kwh: "MJ/kWh", kv: "kV", ka: "kA", mva: "MVA", kw: "kW", // of the International System
};
/** How a unit is written. */
export const unit = (u: string | null | undefined): string => (u ? t(UNITS[u] ?? u) : "");
