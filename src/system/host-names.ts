import { hostname } from "node:os";

/** Return the names of this machine: its host name as it stands, and the first label of it. */
export function machineHostNames(): readonly string[] {
  const name = hostname();
  return [...new Set([name, name.split(".")[0]!])].filter((one) => one !== "");
}
