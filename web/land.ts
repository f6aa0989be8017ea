// Land outlines for any case: Natural Earth 1:50m (world-atlas), cut into tiles of 30 x 20 degrees when the page is built.
// A case loads the tiles that its map covers, so the page stays small and asks nothing of the outside at run time.
import { geoIdentity, geoPath } from "d3-geo";
import type { Feature, FeatureCollection, MultiLineString } from "geojson";
import { createRequire } from "node:module";
import { feature, mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";

export const WIDTH = 30, HEIGHT = 20; // degrees of a tile

/** One tile: countries as rings of [longitude, latitude], and the coasts and borders as lines. */
export interface Tile {
  countries: { name: string; rings: number[][][] }[];
  lines: number[][][];
}

type World = Topology<{ countries: GeometryCollection<{ name: string }> }>;

/** Return the tiles by name ("E030N20"); a tile of sea alone is left out. */
export function tiles(): Map<string, Tile> {
  const world = createRequire(import.meta.url)("world-atlas/countries-50m.json") as World;
  const countries = (feature(world, world.objects.countries) as FeatureCollection).features;
  const borders = mesh(world, world.objects.countries);
  const found = new Map<string, Tile>();
  for (let west = -180; west < 180; west += WIDTH)
    for (let south = -80; south < 80; south += HEIGHT) {
      const box: Box = [[west, south], [west + WIDTH, south + HEIGHT]];
      const tile: Tile = {
        countries: countries
          .map((c) => ({ name: String(c.properties?.["name"] ?? ""), rings: cut(c, box).filter((r) => r.length > 3) }))
          .filter((c) => c.rings.length > 0),
        lines: cut(borders, box).filter((l) => l.length > 1),
      };
      if (tile.countries.length > 0) found.set(name(west, south), tile);
    }
  return found;
}

type Box = [[number, number], [number, number]];

/** Return what of a shape lies in a box, as runs of points with three decimals (about 100 m). */
function cut(shape: Feature | MultiLineString, box: Box): number[][][] {
  const runs: number[][][] = [];
  const at = (x: number, y: number) => [Math.round(x * 1000) / 1000, Math.round(y * 1000) / 1000];
  const pen = {
    beginPath: () => {},
    moveTo: (x: number, y: number) => runs.push([at(x, y)]),
    lineTo: (x: number, y: number) => runs.at(-1)!.push(at(x, y)),
    closePath: () => {},
    arc: () => {},
  };
  geoPath(geoIdentity().clipExtent(box), pen)(shape);
  return runs;
}

export const name = (west: number, south: number): string =>
  `${west < 0 ? "W" : "E"}${String(Math.abs(west)).padStart(3, "0")}${south < 0 ? "S" : "N"}${String(Math.abs(south)).padStart(2, "0")}`;
