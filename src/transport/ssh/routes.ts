import { readFileSync } from "node:fs";
import type { Endpoint } from "../transport.ts";

/** Names a file, JSON, that says for `address port` which port of this machine to connect to instead: `volley compare` measures there. */
export const ROUTES_VARIABLE = "VOLLEY_ROUTES";

let routes: Readonly<Record<string, number>> | undefined;

/**
 * Where the socket to an endpoint goes: to itself, unless {@link ROUTES_VARIABLE} says otherwise. Host keys are looked up
 * under the endpoint's own name all the same.
 */
export function routeOf({ address, port }: Pick<Endpoint, "address" | "port">): {
  readonly host: string;
  readonly port: number;
} {
  const file = process.env[ROUTES_VARIABLE];
  if (file === undefined || file === "") return { host: address, port };
  routes ??= JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, number>>;
  const routed = routes[`${address} ${port}`];
  return routed === undefined ? { host: address, port } : { host: "127.0.0.1", port: routed };
}
