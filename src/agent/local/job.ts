import { readFileSync, statSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { CarriedHost, Manifest } from "../../core/bundle.ts";
import { didYouMean, VolleyError } from "../../core/errors.ts";
import { type Job, type JobOptions, PROTOCOL_VERSION } from "../../core/protocol.ts";
import { asData, isRecord } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { selectNames } from "../../patterns/select.ts";
import { decodeVars } from "../../vars/whole-value.ts";

// The Job of a carried bundle: of what the bundle holds about a host, and of the vars that come from outside.

type Lists = Readonly<Record<string, readonly string[]>>;

/** The vars of a host from outside of the bundle. Absent parts are as the bundle has them. */
export interface GivenVars {
  readonly vars: Vars;
  readonly groups?: readonly string[];
  readonly inventoryGroups?: Lists;
  readonly hostVars?: Readonly<Record<string, Vars>>;
  readonly secrets: readonly string[];
}

/**
 * Read vars from a file, or from standard input for `-`: an object in JSON. Among them may stand `group_names`, `groups`
 * and `hostvars`, which mean what they mean in Ansible, and `volley_secrets`, the names of the vars to mask. Texts are
 * data and never templates. Fails with `USAGE`, and never shows a part of the content.
 */
export async function readVars(file: string): Promise<GivenVars> {
  const name = file === "-" ? "standard input" : file;
  const fail = (problem: string): never => {
    throw new VolleyError("USAGE", `--vars: ${name} ${problem}`);
  };
  let given: unknown;
  try {
    given = JSON.parse(file === "-" ? await text(process.stdin) : readFileSync(file, "utf8"));
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    fail(code === undefined ? "is not JSON" : `cannot be read (${code})`);
  }
  if (!isRecord(given)) return fail("is not an object in JSON");
  const { group_names: groups, groups: inventoryGroups, hostvars, volley_secrets: marked, ...vars } = given;
  const check = <T>(key: string, value: unknown, fits: (value: unknown) => boolean): T | undefined =>
    value === undefined || fits(value) ? (value as T) : fail(`has a wrong "${key}"`);
  const isNames = (value: unknown): boolean =>
    Array.isArray(value) && value.every((one) => typeof one === "string");
  const recordOf =
    (fits: (value: unknown) => boolean) =>
    (value: unknown): boolean =>
      isRecord(value) && Object.values(value).every(fits);
  const hostVars = check<Readonly<Record<string, Vars>>>("hostvars", hostvars, recordOf(isRecord));
  const secretNames = check<readonly string[]>("volley_secrets", marked, isNames) ?? [];
  if (secretNames.length > 0 && file !== "-") {
    const stats = statSync(file);
    if (stats.isFile() && (stats.mode & 0o077) !== 0)
      fail("holds secrets, and is open to other users: chmod 600 it");
  }
  return {
    vars: asData(vars),
    ...optional("groups", check<readonly string[]>("group_names", groups, isNames)),
    ...optional("inventoryGroups", check<Lists>("groups", inventoryGroups, recordOf(isNames))),
    ...optional("hostVars", asData(hostVars)),
    secrets: secretNames.flatMap((key) =>
      [vars, ...Object.values(hostVars ?? {})].flatMap((of) => textsOf(of[key])),
    ),
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [key in K]?: V };
}

/** List the texts in a value, numbers included. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(textsOf);
  return typeof value === "string" || typeof value === "number" ? [String(value)] : [];
}

/** Make the Job of a host. Fails with `PATTERN_UNKNOWN` for a host that the bundle was not made for. */
export function makeJob(
  manifest: Manifest,
  host: string,
  options: JobOptions,
  given: GivenVars | undefined,
): Job {
  const { hosts } = manifest;
  const carried =
    hosts === undefined ? anyHost(manifest) : Object.hasOwn(hosts, host) ? hosts[host] : undefined;
  if (carried === undefined) {
    const known = Object.keys(hosts ?? {});
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `this bundle was not made for "${host}"${didYouMean(host, known)}`,
      { hint: `it was made for: ${known.slice(0, 20).join(", ")}${known.length > 20 ? ", …" : ""}` },
    );
  }
  const own = decodeVars(carried);
  const { vars, secrets, ...rest } = given ?? { vars: {}, secrets: [] };
  return {
    protocol: PROTOCOL_VERSION,
    host,
    ...own,
    ...rest,
    ...(rest.groups === undefined && rest.inventoryGroups === undefined
      ? {}
      : placeOf(host, manifest, rest.groups, rest.inventoryGroups ?? own.inventoryGroups ?? {})),
    vars: { ...own.vars, ...vars },
    secrets: [...(own.secrets ?? []), ...secrets],
    options,
  };
}

/** A bundle made without an inventory knows no hosts: every play is for any host, unless its groups are given. */
function anyHost(manifest: Manifest): CarriedHost {
  return {
    groups: [],
    vars: {},
    plays: manifest.plays.map((_, index) => index),
    inventoryGroups: {},
    hostVars: {},
  };
}

/** Find a host's groups, and the plays whose pattern names the host. Parts of patterns that name nobody are passed over. */
function placeOf(
  host: string,
  { plays }: Manifest,
  names: readonly string[] | undefined,
  lists: Lists,
): Pick<Job, "groups" | "plays"> {
  const own = names ?? Object.keys(lists).filter((name) => name !== "all" && lists[name]!.includes(host));
  const hosts = [...new Set([...Object.values(lists).flat(), host])];
  const groups = new Map(
    Object.entries({ all: hosts, ...lists }).map(([name, hosts]) => [name, { name, hosts }]),
  );
  for (const name of own) {
    const others = groups.get(name)?.hosts ?? [];
    if (!others.includes(host)) groups.set(name, { name, hosts: [...others, host] });
  }
  const inventory = { hosts: new Map(hosts.map((name) => [name, null])), groups };
  return {
    groups: own,
    plays: plays.flatMap(({ hosts: pattern }, index) =>
      selectNames(inventory, pattern, { onUnknown: () => {} }).includes(host) ? [index] : [],
    ),
  };
}
