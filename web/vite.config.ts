import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { tiles } from "./land.ts";

const OUT = process.env["SERAI_PAGE_OUT"] ?? "../src/serai/room/page";

/** Land outlines as files of their own, fetched when a map covers them; `virtual:land` lists their addresses. */
function land(): Plugin {
  const files = new Map<string, string>();
  return {
    name: "land",
    buildStart() {
      for (const [name, tile] of tiles()) {
        const source = JSON.stringify(tile);
        const fileName = `assets/land-${name}-${createHash("sha256").update(source).digest("hex").slice(0, 8)}.json`;
        this.emitFile({ type: "asset", fileName, source });
        files.set(name, `/${fileName}`);
      }
    },
    resolveId: (id) => (id === "virtual:land" ? "\0land" : undefined),
    load: (id) => (id === "\0land" ? `export default ${JSON.stringify(Object.fromEntries(files))}` : undefined),
  };
}

/** Compressed copies beside each file, and build.json with the version by which an open page knows that it is old. */
function finish(): Plugin {
  return {
    name: "finish",
    closeBundle() {
      const all = readdirSync(OUT, { recursive: true, encoding: "utf8" }).filter((f) => statSync(join(OUT, f)).isFile());
      const version = createHash("sha256");
      for (const file of all.sort()) {
        const content = readFileSync(join(OUT, file));
        version.update(file).update(content);
        if (!/\.(html|js|css|json|svg)$/.test(file)) continue;
        writeFileSync(join(OUT, `${file}.gz`), gzipSync(content, { level: 9 }));
        writeFileSync(join(OUT, `${file}.br`), brotliCompressSync(content));
      }
      writeFileSync(join(OUT, "build.json"), JSON.stringify({ version: version.digest("hex").slice(0, 12) }));
    },
  };
}

export default defineConfig({
  plugins: [land(), finish()],
  build: { outDir: OUT, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
