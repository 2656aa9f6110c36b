import type { Job } from "../core/protocol.ts";
import { Data, Float, floatKey } from "../core/values/value.ts";
import { Vaulted, type VaultedValue } from "../core/values/vaulted.ts";

/** The only key of what stands for a value that JSON lacks: `[kind, content]`. */
const MARK = "$volley";

/** Encode a value of vars or of a role's code for JSON, with nothing left out but functions. {@link decodeWhole} reverses it. */
export function encodeWhole(value: unknown): unknown {
  return encode(value, []);
}

/** Decode a value of {@link encodeWhole}. Throws for anything else. */
export function decodeWhole(written: unknown): unknown {
  return decode(written, []);
}

/** Encode a value as one line of JSON. {@link readWhole} reverses it. */
export function writeWhole(value: unknown): string {
  return JSON.stringify(encodeWhole(value));
}

/** Decode a text of {@link writeWhole}. Throws for anything else. */
export function readWhole(text: string): unknown {
  return decodeWhole(JSON.parse(text));
}

/** `above`: the lists and objects a value lies in, outermost first. */
function encode(value: unknown, above: readonly object[]): unknown {
  const mark = (kind: string, content?: unknown): unknown => ({ [MARK]: [kind, content] });
  if (typeof value === "bigint") return mark("bigint", String(value));
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)))
    return mark("number", Object.is(value, -0) ? "-0" : String(value));
  if (typeof value !== "object")
    return value === undefined || Object(value) === value ? mark("undefined") : value;
  if (value === null) return null;
  if (value instanceof Float) return mark("float", Object.is(value.value, -0) ? "-0" : String(value.value));
  if (value instanceof Data) return mark("data", value.text);
  if (value instanceof Vaulted) return mark("vaulted", [value.index, value.place]);
  if (above.includes(value)) return mark("above", above.indexOf(value));
  const inner = [...above, value];
  const list = (items: Iterable<unknown>): unknown[] => Array.from(items, (item) => encode(item, inner));
  if (Array.isArray(value)) return list(value);
  if (value instanceof Uint8Array) return mark("bytes", Buffer.from(value).toString("base64"));
  if (value instanceof Date) return mark("date", value.getTime());
  if (value instanceof Map) return mark("map", [...value].map(list));
  if (value instanceof Set) return mark("set", list(value));
  const entries = Object.entries(value).filter(
    ([, item]) => item !== undefined && typeof item !== "function",
  );
  const written = Object.fromEntries(entries.map(([key, item]) => [key, encode(item, inner)]));
  return MARK in written ? mark("object", written) : written;
}

function decode(written: unknown, above: readonly object[]): unknown {
  if (typeof written !== "object" || written === null) return written;
  const [kind, content] = ((written as Record<string, unknown>)[MARK] ?? []) as [string?, unknown?];
  const fill = <C extends object>(made: C, parts: readonly unknown[], add: (part: never) => void): C => {
    const inner = [...above, made];
    for (const part of parts)
      add(
        (Array.isArray(part) && made instanceof Map
          ? part.map((one) => decode(one, inner))
          : decode(part, inner)) as never,
      );
    return made;
  };
  if (Array.isArray(written)) {
    const list: unknown[] = [];
    return fill(list, written, (item) => list.push(item));
  }
  switch (kind) {
    case "bigint":
      return BigInt(content as string);
    case "number":
      return Number(content);
    case "float":
      return new Float(Number(content));
    case "data":
      return new Data(content as string);
    case "vaulted": {
      const [index, place] = content as [number, string];
      return new Vaulted(index, place);
    }
    case "undefined":
      return undefined;
    case "above":
      return above[content as number];
    case "bytes":
      return Buffer.from(content as string, "base64");
    case "date":
      return new Date(content as number);
    case "map": {
      const map = new Map<unknown, unknown>();
      return fill(map, content as unknown[], ([key, value]: [unknown, unknown]) =>
        map.set(asKey(key), value),
      );
    }
    case "set": {
      const set = new Set<unknown>();
      return fill(set, content as unknown[], (item) => set.add(asKey(item)));
    }
    default: {
      const object: Record<string, unknown> = {};
      const inner = [...above, object];
      for (const [key, item] of Object.entries((content ?? written) as object))
        Object.defineProperty(object, key, {
          value: decode(item, inner),
          enumerable: true,
          writable: true,
          configurable: true,
        });
      return object;
    }
  }
}

/** Keys are known by the object they are: a float needs the one that stands for its value. */
function asKey(value: unknown): unknown {
  return value instanceof Float ? floatKey(value.value) : value;
}

type WithVars = Pick<Job, "vars" | "hostVars" | "extraVars" | "vaulted" | "prompted">;

/**
 * Return a Job whose vars JSON can carry with nothing lost, marks of data included, for the wire and for carried
 * bundles.
 */
export function encodeVars<J extends WithVars>(job: J): J {
  return mapVarsOf(job, encodeWhole);
}

/** Decode the vars of {@link encodeVars}. */
export function decodeVars<J extends WithVars>(job: J): J {
  return mapVarsOf(job, decodeWhole);
}

function mapVarsOf<J extends WithVars>(job: J, map: (vars: unknown) => unknown): J {
  const { vars, hostVars, extraVars, vaulted, prompted } = job;
  return {
    ...job,
    vars: map(vars),
    hostVars: map(hostVars),
    ...(extraVars === undefined ? {} : { extraVars: map(extraVars) }),
    ...(prompted === undefined ? {} : { prompted: map(prompted) as typeof prompted }),
    ...(vaulted === undefined ? {} : { vaulted: map(vaulted) as readonly VaultedValue[] }),
  };
}
