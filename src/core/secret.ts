import { type SourceLocation, VolleyError } from "./errors.ts";
import { commandLine } from "./unix/shell.ts";
import { type Data, type Float, isRecord, mapLeaves } from "./values/value.ts";

const SECRET = Symbol.for("volley.secret");
/** The prototype of every secret, which keeps it from being taken for a dict. */
const PROTOTYPE: object = Object.freeze({});

/** The value of a secret. */
export type SecretValue = string | number | bigint | Float | Data;

/** The source of a secret's value; only the controller asks there. */
export type SecretSource =
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string; readonly directory?: string }
  | { readonly kind: "command"; readonly command: string | readonly string[]; readonly directory?: string }
  | { readonly kind: "prompt"; readonly prompt: string }
  /** A value encrypted on its own with Ansible Vault, decrypted when it is needed. */
  | { readonly kind: "vault"; readonly text: string }
  /** A value of a file that was encrypted as a whole and is decrypted already. */
  | { readonly kind: "opened"; readonly from: string; readonly value: SecretValue };

/** The stand-in of a secret in an inventory until a run needs it: it has no value, and cannot become part of a text. */
export interface Secret {
  /** Keeps the type apart from all others. */
  readonly [SECRET_TYPE]: true;
}
declare const SECRET_TYPE: unique symbol;

interface SecretBody {
  readonly source: SecretSource;
  readonly location: SourceLocation | undefined;
  /** The stack of its making in a TypeScript inventory, until it has a location. */
  readonly stack: string | undefined;
}

/** Make the stand-in of a secret. */
export function makeSecret(
  source: SecretSource,
  at: { location?: SourceLocation | undefined; stack?: string } = {},
): Secret {
  const body: SecretBody = { source, location: at.location, stack: at.stack };
  const text = describeSource(source);
  const hidden = (value: unknown): PropertyDescriptor => ({ value, enumerable: false });
  // No property is enumerable: code that copies, merges or prints vars finds an empty object.
  return Object.freeze(
    Object.defineProperties(Object.create(PROTOTYPE) as object, {
      [SECRET]: hidden(body),
      toJSON: hidden(() => text),
      toString: hidden(() => refuseText(text)),
      [Symbol.toPrimitive]: hidden(() => refuseText(text)),
      [Symbol.for("nodejs.util.inspect.custom")]: hidden(() => `<${text}>`),
    }),
  ) as unknown as Secret;
}

function refuseText(text: string): never {
  throw new VolleyError(
    "INVENTORY_INVALID",
    `the ${text} was put into a text, but its value is known only when the run needs it`,
    {
      hint: 'give the secret a var of its own, and write the text as a template: "postgres://app:{{ db_password }}@db1/app"',
    },
  );
}

function bodyOf(secret: Secret): SecretBody {
  return (secret as unknown as { readonly [SECRET]: SecretBody })[SECRET];
}

/** Return whether a value stands for a secret. */
export function isSecret(value: unknown): value is Secret {
  return typeof value === "object" && value !== null && SECRET in value;
}

/** Return the source of a secret's value. */
export function secretSource(secret: Secret): SecretSource {
  return bodyOf(secret).source;
}

/** Return the place where a secret was written, if it is known. */
export function secretLocation(secret: Secret): SourceLocation | undefined {
  return bodyOf(secret).location;
}

/** Return `secret from env:NAME`, the only text that output shows for a secret. */
export function describeSecret(secret: Secret): string {
  return describeSource(bodyOf(secret).source);
}

function describeSource(source: SecretSource): string {
  switch (source.kind) {
    case "env":
      return `secret from env:${source.name}`;
    case "file":
      return `secret from file:${source.path}`;
    case "command":
      return `secret from command:${typeof source.command === "string" ? source.command : commandLine(source.command)}`;
    case "prompt":
      return `secret from prompt:${source.prompt}`;
    case "vault":
      return "secret from Ansible Vault";
    case "opened":
      return `secret from ${source.from}`;
  }
}

/** Replace every secret in a value, at any depth; return a value without any unchanged. */
export function mapSecrets(value: unknown, replace: (secret: Secret) => unknown): unknown {
  return mapLeaves(value, (leaf) => (isSecret(leaf) ? replace(leaf) : leaf));
}

/** Return the secrets in a value, at any depth. */
export function findSecrets(value: unknown): readonly Secret[] {
  const found: Secret[] = [];
  mapSecrets(value, (secret) => {
    found.push(secret);
    return secret;
  });
  return found;
}

/** Bind relative paths in the secrets of a value to a directory. */
export function bindSecrets(value: unknown, directory: string): unknown {
  return mapSecrets(value, (secret) => {
    const { source, location } = bodyOf(secret);
    if ((source.kind !== "file" && source.kind !== "command") || source.directory !== undefined)
      return secret;
    return makeSecret({ ...source, directory }, { location });
  });
}

/** Give each secret in a value its location, found from the stack of its making. */
export function locateSecrets(
  value: unknown,
  locate: (stack: string) => SourceLocation | undefined,
): unknown {
  return mapSecrets(value, (secret) => {
    const { source, stack } = bodyOf(secret);
    return stack === undefined ? secret : makeSecret(source, { location: locate(stack) });
  });
}

function written(source: SecretSource): Secret {
  const { stack } = new Error();
  return makeSecret(source, stack === undefined ? {} : { stack });
}

function requireText(what: string, value: unknown): void {
  if (typeof value === "string" && value.trim() !== "") return;
  throw new VolleyError("INVENTORY_INVALID", `secret.${what} needs a text that is not empty`);
}

/**
 * Secrets for an inventory's vars. The controller asks for each once in a run, and only if a host that has it takes
 * part. The value is masked in all output.
 */
export const secret = {
  /** An environment variable of the controller. */
  env: (name: string): Secret => {
    requireText("env", name);
    return written({ kind: "env", name });
  },
  /** A file's content, without the newline at the end of a single line; relative to the inventory's directory. */
  file: (path: string): Secret => {
    requireText("file", path);
    return written({ kind: "file", path });
  },
  /** The output of a command, without the newline at the end of a single line: a line for `sh`, or an argument list. The command runs in the inventory's directory, for at most 60 s. */
  command: (command: string | readonly string[]): Secret => {
    requireText("command", typeof command === "string" ? command : command[0]);
    return written({ kind: "command", command });
  },
  /** The answer at the terminal, typed unseen; each text is asked once in a run. */
  prompt: (prompt: string): Secret => {
    requireText("prompt", prompt);
    return written({ kind: "prompt", prompt });
  },
} as const;

/** The kinds of secrets that YAML can name. */
const WRITTEN_KINDS = ["env", "file", "command", "prompt"] as const;

/** Return the secret that `!secret` names: `kind:what`, or a mapping of one kind. Fail with `INVENTORY_INVALID`. */
export function parseSecret(value: unknown, location: SourceLocation): Secret {
  const fail = (): never => {
    throw new VolleyError("INVENTORY_INVALID", "!secret must say where the secret is to be had", {
      location,
      hint: "write !secret env:NAME, file:PATH, command:COMMAND or prompt:QUESTION, or a mapping such as !secret { command: pass show db }",
    });
  };
  let kind: string | undefined;
  let what: unknown;
  if (typeof value === "string") {
    const colon = value.indexOf(":");
    kind = value.slice(0, Math.max(0, colon)).trim();
    what = value.slice(colon + 1).trim();
  } else if (isRecord(value) && Object.keys(value).length === 1) {
    [[kind, what]] = Object.entries(value) as [[string, unknown]];
  }
  const known = WRITTEN_KINDS.find((candidate) => candidate === kind);
  const isList =
    known === "command" &&
    Array.isArray(what) &&
    what.length > 0 &&
    what.every((word) => typeof word === "string");
  if (known === undefined || !(isList || (typeof what === "string" && what !== ""))) return fail();
  switch (known) {
    case "env":
      return makeSecret({ kind: known, name: what as string }, { location });
    case "file":
      return makeSecret({ kind: known, path: what as string }, { location });
    case "command":
      return makeSecret({ kind: known, command: what as string | readonly string[] }, { location });
    case "prompt":
      return makeSecret({ kind: known, prompt: what as string }, { location });
  }
}
