// How units are written.
import { t, w } from "./words";

const UNITS: Record<string, string> = {
  million_m3_per_day: w("Mm³/d"), million_m3: w("Mm³"), million_m3_per_h: w("Mm³/h"), bara: w("bar"), bar: w("bar"), mw: w("MW"), mvar: w("Mvar"), deg: w("°"), degc: w("°C"), pu: w("pu"), percent: w("%"),
};
/** How a unit is written. */
export const unit = (u: string | null | undefined): string => (u ? t(UNITS[u] ?? u) : "");
