declare module "virtual:land" {
  const tiles: Record<string, string>;
  export default tiles;
}
declare module "*.css";
