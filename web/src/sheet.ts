// What is on screen as a file: every table of the view, those of its figures too.
import { clock } from "./words";

const quote = (x: string): string => (/[",\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : x);
export const csv = (rows: (string | number)[][]): string => rows.map((r) => `${r.map((x) => quote(String(x))).join(",")}\n`).join("");

/** The tables of a view, each under its panel's title. */
export function tables(view: Element): string {
  const parts: string[] = [];
  for (const table of view.querySelectorAll("table")) {
    const title = table.getAttribute("aria-label") ?? table.closest("section")?.getAttribute("aria-label") ?? "";
    const rows = [...table.rows].map((r) => [...r.cells].map((c) => c.innerText.replace(/\s+/g, " ").trim()));
    if (rows.length > 0) parts.push(csv([[title], ...rows]));
  }
  return parts.join("\n");
}
/** Hand a text to the reader as a file. */
export function save(name: string, text: string, time: string | undefined): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`\ufeff${text}`], { type: "text/csv" })); // the mark lets spreadsheets read UTF-8
  link.download = `${name}${time ? `-${time.slice(0, 10)}-${clock(time, false).replace(":", "")}` : ""}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}
