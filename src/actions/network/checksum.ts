import { getHashes } from "node:crypto";
import { VolleyError } from "../../core/errors.ts";

/** The digest that a file must have. */
export interface Checksum {
  /** Name in node:crypto. */
  readonly algorithm: string;
  /** In lower case. */
  readonly hex: string;
}

/** Resolve `sha256:HEX`, or `sha256:URL` of a list of checksums that names the file. Fails with `ACTION_FAILED`. */
export async function resolveChecksum(
  given: string,
  names: readonly string[],
  readList: (url: string) => Promise<string>,
): Promise<Checksum> {
  const [, algorithm = "", value = ""] = /^([A-Za-z0-9-]+):(.+)$/.exec(given.trim()) ?? [];
  const name = algorithm.toLowerCase().replace(/^sha-/, "sha");
  if (!getHashes().includes(name))
    throw new VolleyError("ACTION_FAILED", `cannot check ${given}: write it as sha256:HEX or sha256:URL`);
  const isUrl = /^https?:\/\//.test(value);
  const hex = isUrl ? findInList(await readList(value), names) : value.replace(/\s/g, "");
  if (hex === null)
    throw new VolleyError("ACTION_FAILED", `${value} has no checksum for ${names.join(" or ")}`);
  if (!/^[0-9a-f]+$/i.test(hex))
    throw new VolleyError("ACTION_FAILED", `${given} is not a hexadecimal checksum`);
  return { algorithm: name, hex: hex.toLowerCase() };
}

/** Find a checksum in the output of `sha256sum`, in its `--tag` form, or in a file that holds nothing else. */
function findInList(list: string, names: readonly string[]): string | null {
  const lines = list.split(/\r?\n/).filter((line) => line.trim() !== "");
  const only = lines.length === 1 ? /^\s*([0-9a-fA-F]{32,})\s*$/.exec(lines[0] ?? "")?.[1] : undefined;
  if (only !== undefined) return only;
  for (const line of lines) {
    const plain = /^\\?([0-9a-fA-F]{32,})\s+\*?(?:\.\/)?(.+?)\s*$/.exec(line);
    const tagged = /^\S+ \((?:\.\/)?(.+)\) = ([0-9a-fA-F]{32,})\s*$/.exec(line);
    const [hex, name] = plain ? [plain[1], plain[2]] : [tagged?.[2], tagged?.[1]];
    if (hex !== undefined && name !== undefined && names.includes(name)) return hex;
  }
  return null;
}
