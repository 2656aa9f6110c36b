import { NeedsAnswer } from "../core/errors.ts";
import { isSecret, mapSecrets, type Secret, type SecretValue, secretSource } from "../core/secret.ts";
import { Data, mapLeaves } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import type { ProgramHost } from "../engine/program.ts";
import { maskToo } from "../engine/results.ts";

// Vars of hosts whose secrets are closed: each is opened when a template asks for it, and masked from then on.

/** The names of the vars that hold secrets, by all vars of a host. */
const secretNames = new WeakMap<Vars, readonly string[]>();

function namesIn(vars: Vars): readonly string[] {
  const known = secretNames.get(vars) ?? Object.keys(vars).filter((name) => holdsSecret(vars[name]));
  secretNames.set(vars, known);
  return known;
}

function holdsSecret(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isSecret(leaf);
    return leaf;
  });
  return found;
}

/** The vars of hosts as the tasks of one host see them. */
export class HostVars {
  readonly #host: Pick<ProgramHost, "job" | "world">;
  readonly #made = new WeakMap<Vars, Vars>();
  readonly #values = new WeakMap<Secret, SecretValue>();

  constructor(host: Pick<ProgramHost, "job" | "world">) {
    this.#host = host;
  }

  /** Let the secrets among a host's vars be opened when they are asked for. */
  open(name: string, vars: Vars): Vars {
    const names = namesIn(vars);
    if (names.length === 0) return vars;
    const known = this.#made.get(vars);
    if (known !== undefined) return known;
    const made = { ...vars };
    for (const key of names)
      Object.defineProperty(made, key, {
        enumerable: true,
        get: () => mapSecrets(vars[key], (secret) => this.#leaf(secret, `${key} of host ${name}`)),
      });
    this.#made.set(vars, made);
    return made;
  }

  #leaf(secret: Secret, what: string): unknown {
    const source = secretSource(secret);
    if (source.kind === "opened") return this.#mask(source.value);
    const { world } = this.#host;
    const text = (): unknown => {
      if (!this.#values.has(secret))
        throw new NeedsAnswer(what, async () => {
          const value = await world!.secrets.open(secret, what);
          this.#values.set(secret, this.#mask(value));
        });
      const value = this.#values.get(secret);
      return value instanceof Data ? value.text : value;
    };
    // A secret by itself is no template, whatever it looks like.
    return Object.defineProperty(new Data(""), "text", { get: text });
  }

  #mask(value: SecretValue): SecretValue {
    const { job, world } = this.#host;
    maskToo(job, world?.secrets.textsOf(value) ?? []);
    return value;
  }
}
