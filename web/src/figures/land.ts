// Land under the map: the tiles that a box of longitudes and latitudes touches, loaded once.
import tiles from "virtual:land";

export interface Tile { countries: { name: string; rings: number[][][] }[]; lines: number[][][] }
const loaded = new Map<string, Promise<Tile | null>>();

const WIDTH = 30, HEIGHT = 20; // degrees of a tile, as land.ts cuts them
const tileName = (west: number, south: number): string =>
  `${west < 0 ? "W" : "E"}${String(Math.abs(west)).padStart(3, "0")}${south < 0 ? "S" : "N"}${String(Math.abs(south)).padStart(2, "0")}`;

export async function land(west: number, south: number, east: number, north: number): Promise<Tile[]> {
  const wanted: Promise<Tile | null>[] = [];
  for (let x = Math.floor(west / WIDTH) * WIDTH; x < east; x += WIDTH)
    for (let y = Math.floor(south / HEIGHT) * HEIGHT; y < north; y += HEIGHT) {
      const name = tileName(x, y), address = tiles[name];
      if (!address) continue;
      if (!loaded.has(name)) loaded.set(name, fetch(address).then((r) => (r.ok ? (r.json() as Promise<Tile>) : null)).catch(() => (loaded.delete(name), null)));
      wanted.push(loaded.get(name)!);
    }
  return (await Promise.all(wanted)).filter((t) => t !== null);
}

/** Whether a point lies in rings (even-odd rule). */
export function inside(rings: number[][][], x: number, y: number): boolean {
  let found = false;
  for (const ring of rings)
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [ax, ay] = ring[i]! as [number, number], [bx, by] = ring[j]! as [number, number];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) found = !found;
    }
  return found;
}
